import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32c } from '../../src/protocol/crc32c.ts'
import {
  ENTRY_BYTES,
  ENTRY_HEADER_BYTES,
  ENTRY_PAYLOAD,
  entryBytes,
} from '../../src/shared/entry.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import { readFile } from '../../src/storage/fs.ts'
import { GROUP_ALIGN, GROUP_HEADER_BYTES, Journal, journalPath } from '../../src/storage/journal.ts'
import {
  CorruptJournal,
  type GroupEntries,
  groupsOfRunning,
  type JournalFlushed,
  readEntries,
  readJournal,
} from '../../src/storage/journal-groups.ts'
import { JournalBytes, Window, withJournalFiles } from '../../src/storage/journal-source.ts'
import { idOf, plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const DIR = '/data/journal/0'
/** A group of one entry with this payload takes 512 bytes. */
const PAYLOAD_BYTES = 100
const FIRST = { incarnation: 0, sequence: 0 }
const MIB = 1024 * 1024
const test = suite('journal')

/** An entry whose payload begins with its number. */
function entry(id: number, payloadBytes = PAYLOAD_BYTES): Buffer {
  const bytes = Buffer.alloc(entryBytes(payloadBytes))
  bytes.writeUInt32LE(bytes.length, ENTRY_BYTES * 4)
  bytes.writeUInt32LE(payloadBytes, ENTRY_PAYLOAD * 4)
  bytes.writeUInt32LE(id, ENTRY_HEADER_BYTES)
  return bytes
}

/** Of groups with one entry each. */
const ids = (groups: readonly GroupEntries[]): number[] =>
  groups.map(group => readEntries(group).readUInt32LE(ENTRY_HEADER_BYTES))

const crcOf = (bytes: Buffer): number => crc32c(bytes)

const read = (contents: readonly Buffer[], flushed: JournalFlushed | null) =>
  readJournal(
    contents.map(content => new JournalBytes(content)),
    flushed,
  )

const running = (content: Buffer, incarnation: number) =>
  groupsOfRunning(new JournalBytes(content), incarnation)

/** A journal of one-entry groups 1 to `count`, all flushed, as a crash leaves it. */
function journal(count: number, incarnation = 1, fileBytes = 64 * GROUP_ALIGN): MemoryFs {
  return continued(new MemoryFs(), count, incarnation, fileBytes)
}

function continued(
  files: MemoryFs,
  count: number,
  incarnation: number,
  fileBytes: number,
): MemoryFs {
  const written = new Journal(files, DIR, fileBytes, incarnation)
  for (let id = 1; id <= count; id++) {
    const bytes = entry(id)
    if (written.needsTurn(bytes.length)) written.turn()
    written.append([bytes], true)
  }
  written.close()
  return files
}

const both = (files: MemoryFs): Buffer[] =>
  ([0, 1] as const).map(file => readFile(files, journalPath(DIR, file)))

const damage = (files: MemoryFs, file: number, at: number): void =>
  files.peek(journalPath(DIR, file))!.damage(bytes => bytes.fill(0xee, at, at + 40))

/** Bytes that read as a group: everything right but for the salt, which a client cannot know. */
function forgedGroup(incarnation: number, sequence: number, durable: number): Buffer {
  const entries = entry(999)
  const group = Buffer.alloc(GROUP_ALIGN)
  group.writeUInt32LE(0x4a47444f, 0)
  group.writeUInt32LE(group.length, 8)
  group.writeUInt32LE(entries.length, 12)
  group.writeDoubleLE(incarnation, 16)
  group.writeDoubleLE(sequence, 24)
  group.writeDoubleLE(durable, 32)
  entries.copy(group, GROUP_HEADER_BYTES)
  group.writeUInt32LE(crc32c(group.subarray(8, GROUP_HEADER_BYTES + entries.length)), 4)
  return group
}

test('gives back every group in order, from both files', () => {
  const found = read(both(journal(7, 1, 5 * GROUP_ALIGN)), FIRST)
  assert.equal(ids(found.groups), [1, 2, 3, 4, 5, 6, 7])
  assert.is(found.incarnation, 1)
})

test('a file used again holds the newest groups, the older ones behind them count no more', () => {
  const files = journal(12, 1, 5 * GROUP_ALIGN) // file 0: 11, 12, then 3, 4, 5
  const found = read(both(files), { incarnation: 0, sequence: 5 })
  assert.equal(ids(found.groups), [6, 7, 8, 9, 10, 11, 12])
})

test('groups up to the flushed sequence are left out', () => {
  const flushed = { incarnation: 0, sequence: 3 }
  assert.equal(ids(read(both(journal(5)), flushed).groups), [4, 5])
})

test('without a checkpoint the newest incarnation at the start of a file is read', () => {
  const found = read(both(journal(3, 8)), null)
  assert.equal(ids(found.groups), [1, 2, 3])
  assert.is(found.incarnation, 8)
})

test('a torn last group ends the journal', () => {
  const files = journal(4)
  damage(files, 0, 3 * GROUP_ALIGN + 100)
  assert.equal(ids(read(both(files), FIRST).groups), [1, 2, 3])
})

test('a damaged group that a later one calls durable is refused', () => {
  for (const group of [0, 1, 2]) {
    const files = journal(4)
    damage(files, 0, group * GROUP_ALIGN + 100)
    assert.throws(
      () => read(both(files), FIRST),
      (error: Error) =>
        error instanceof CorruptJournal && /but only those up to/.test(error.message),
    )
  }
})

test('a missing group that was never flushed is passed over: only marks were in it', () => {
  const files = new MemoryFs()
  const written = new Journal(files, DIR, 64 * GROUP_ALIGN, 1)
  written.append([entry(1)], true)
  written.append([entry(2)], false)
  written.append([entry(3)], false)
  damage(files, 0, GROUP_ALIGN + 100)
  assert.equal(ids(read(both(files), FIRST).groups), [1])
})

test('empty, missing and zeroed files are a journal without groups', () => {
  for (const content of [[], [Buffer.alloc(0), Buffer.alloc(0)], [Buffer.alloc(4096)]]) {
    assert.equal(read(content, null).groups, [])
    assert.equal(read(content, { incarnation: 4, sequence: 0 }), {
      groups: [],
      incarnation: 4,
      salvaged: 0,
    })
  }
})

test('groups of another incarnation are left out, also where they stand behind newer ones', () => {
  const files = continued(journal(9, 1), 4, 2, 64 * GROUP_ALIGN)
  const found = read(both(files), { incarnation: 1, sequence: 0 })
  assert.equal(ids(found.groups), [1, 2, 3, 4])
  assert.is(found.incarnation, 2)
  assert.equal(read(both(files), { incarnation: 2, sequence: 0 }).groups, [])
})

test('groups of another journal with the same incarnation do not continue this one', () => {
  const older = both(journal(6, 1))[0]!
  const files = journal(3, 1)
  const file = both(files)[0]!
  older.copy(file, 3 * GROUP_ALIGN, 3 * GROUP_ALIGN, 6 * GROUP_ALIGN)
  assert.equal(ids(read([file], FIRST).groups), [1, 2, 3])
  assert.equal(ids(running(file, 1)), [1, 2, 3])
})

test('a payload that reads as the next group is not taken for one', () => {
  const files = journal(3)
  const file = both(files)[0]!
  const end = 3 * GROUP_ALIGN
  forgedGroup(1, 4, 3).copy(file, end)
  assert.equal(ids(read([file], FIRST).groups), [1, 2, 3])
  forgedGroup(1, 900, 899).copy(file, end + 2 * GROUP_ALIGN)
  assert.equal(ids(read([file], FIRST).groups), [1, 2, 3])
})

test('through a window the same is read, whatever the sizes of the groups', () => {
  const random = new Random(1)
  const files = new MemoryFs()
  const written = new Journal(files, DIR, 16 * MIB, 1)
  const payloads = [3 * MIB, ...Array.from({ length: 60 }, () => 4 + random.below(400_000))]
  for (const [id, payload] of payloads.entries()) {
    const bytes = entry(id, payload)
    if (written.needsTurn(bytes.length)) break
    written.append([bytes], true)
  }
  written.close()
  const path = journalPath(DIR, 0)
  withJournalFiles(files, [path], new Window(), ([source]) => {
    const expected = read([readFile(files, path)], FIRST).groups.map(readEntries)
    const found = readJournal([source!], FIRST).groups.map(readEntries)
    assert.ok(expected.length > 10)
    assert.equal(found.map(crcOf), expected.map(crcOf))
  })
})

test('one file of a running journal is read without what was there before', () => {
  const files = journal(12, 3, 5 * GROUP_ALIGN)
  const [zero, one] = both(files)
  assert.equal(ids(running(zero!, 3)), [11, 12])
  assert.equal(ids(running(one!, 3)), [6, 7, 8, 9, 10])
  assert.equal(running(zero!, 4), [])
})

const PARTITION: PartitionToOpen = {
  handle: 0,
  name: 'orders-0',
  topicId: Buffer.alloc(16, 7).toString('base64url'),
  partition: 0,
  leaderEpoch: 0,
  config: LOG_CONFIG,
}
const STORE = { journalFileBytes: 64 * 1024, bypassBytes: 16 * 1024 }
/** Batches of one journal group each; in its content every 512th byte of the file can begin a forged group. */
const CONTENT_BYTES = 6 * 1024

/** A batch for a group at a multiple of 512 whose payload holds forged groups at multiples of 512. */
function forgedBatch(id: number): Buffer {
  const bytes = plainBatch({ id, contentBytes: CONTENT_BYTES })
  const start = GROUP_HEADER_BYTES + ENTRY_HEADER_BYTES
  for (let at = 2 * GROUP_ALIGN - start; at + GROUP_ALIGN <= bytes.length; at += GROUP_ALIGN) {
    forgedGroup(1, 1_000_000, 999_999).copy(bytes, at)
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

test('a store starts after a crash although clients planted groups in their records', () => {
  const BATCHES = 40
  const files = new MemoryFs()
  const driver = new StoreDriver({ files, ...STORE })
  driver.open([PARTITION])
  driver.command('ready', { workers: 1 })
  for (let id = 1; id <= BATCHES; id++) driver.append(PARTITION, forgedBatch(id))
  const crashed = files.clone(files.random)
  const held = both(crashed).map(file => file.indexOf(forgedGroup(1, 1_000_000, 999_999)))
  assert.ok(
    held.every(at => at > 0 && at % GROUP_ALIGN === 0),
    'both files hold forged groups where groups may stand',
  )
  const again = new StoreDriver({ files: crashed, ...STORE })
  const [view] = again.open([PARTITION])
  assert.is(view!.offline, null)
  assert.equal(
    readLog(crashed, PARTITION.name, view!).map(stored => idOf(stored.bytes)),
    Array.from({ length: BATCHES }, (_, i) => i + 1),
  )
})

test.run()
