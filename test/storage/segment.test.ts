import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as batch from '../../src/protocol/record-batch.ts'
import { readFile } from '../../src/storage/fs.ts'
import {
  fileName,
  INDEX_INTERVAL_BYTES,
  parseFileName,
  Segment,
} from '../../src/storage/segment.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

const BASE = 1_000
const RECORDS = 3
const test = suite('segment')

interface Written {
  readonly files: MemoryFs
  readonly segment: Segment
  readonly batches: Buffer[]
}

/** Batches of three records each, appended and not written. */
function filled(
  count: number,
  contentBytes: number,
  timestamp = (i: number) => 5_000 + i,
): Written {
  const files = new MemoryFs()
  const segment = Segment.create(files, '/', BASE)
  const batches = Array.from({ length: count }, (_, i) => {
    const bytes = plainBatch({ id: i, records: RECORDS, contentBytes, timestamp: timestamp(i) })
    batch.assign(bytes, BASE + i * RECORDS, 0)
    return bytes
  })
  for (const bytes of batches) segment.append(bytes)
  return { files, segment, batches }
}

/** Where an entry is due: as soon as more than the interval lies behind the last one. */
function dueEntries(batches: readonly Buffer[]): [lastOffset: number, position: number][] {
  const due: [number, number][] = []
  let position = 0
  let since = 0
  for (const bytes of batches) {
    if (since > INDEX_INTERVAL_BYTES) {
      due.push([batch.lastOffset(bytes) - BASE, position])
      since = 0
    }
    since += bytes.length
    position += bytes.length
  }
  return due
}

function offsetEntries(files: MemoryFs): [number, number][] {
  const index = readFile(files, `/${fileName(BASE, 'index')}`)
  return Array.from({ length: index.length / 8 }, (_, i) => [
    index.readInt32BE(i * 8),
    index.readInt32BE(i * 8 + 4),
  ])
}

function timeEntries(files: MemoryFs): [number, number][] {
  const index = readFile(files, `/${fileName(BASE, 'timeindex')}`)
  return Array.from({ length: index.length / 12 }, (_, i) => [
    batch.readInt64(index, i * 12),
    index.readInt32BE(i * 12 + 8),
  ])
}

test('an index entry after more than 4096 bytes names the last offset of its batch', () => {
  const exact = INDEX_INTERVAL_BYTES / 8 - batch.BATCH_HEADER_BYTES // eight batches make 4096
  for (const contentBytes of [4, exact, exact + 1, 700, 5_000]) {
    const { files, segment, batches } = filled(60, contentBytes)
    segment.seal()
    assert.equal(offsetEntries(files), dueEntries(batches), `${contentBytes} bytes`)
  }
})

test('exactly 4096 bytes are not more than 4096', () => {
  const exact = INDEX_INTERVAL_BYTES / 8 - batch.BATCH_HEADER_BYTES
  const { files, segment } = filled(10, exact)
  segment.seal()
  assert.equal(offsetEntries(files), [[10 * RECORDS - 1, 9 * 512]])
})

test('a time entry comes with an offset entry if a newer time was seen, and at the end', () => {
  const { files, segment } = filled(10, 5_000, i => [50, 40, 60, 10, 10, 10, 10, 10, 10, 70][i]!)
  segment.seal()
  const lastOffset = (i: number): number => i * RECORDS + RECORDS - 1
  assert.equal(timeEntries(files), [
    [50, lastOffset(0)],
    [60, lastOffset(2)],
    [70, lastOffset(9)],
  ])
})

test('sealing adds the newest time even if no offset entry was due', () => {
  const { files, segment } = filled(2, 100, i => 90 - i)
  segment.seal()
  assert.equal(offsetEntries(files), [])
  assert.equal(timeEntries(files), [[90, RECORDS - 1]])
})

test('what was sealed survives a power cut, and the file is closed', () => {
  const { files, segment, batches } = filled(20, 900)
  files.fsyncDir('/')
  segment.seal()
  assert.equal(files.openFiles, [])
  files.fsyncDir('/')
  const after = files.image(files.random)
  assert.equal(readFile(after, segment.path), Buffer.concat(batches))
  assert.equal(offsetEntries(after), dueEntries(batches))
})

test('write hands over to the system, flush to the disk; each counts its bytes', () => {
  const { files, segment, batches } = filled(3, 100)
  const bytes = Buffer.concat(batches)
  assert.is(segment.waitingBytes, bytes.length)
  assert.is(readFile(files, segment.path).length, 0)
  segment.write()
  assert.is(segment.waitingBytes, 0)
  assert.is(segment.flushedBytes, 0)
  assert.equal(readFile(files, segment.path), bytes)
  segment.append(batches[0]!)
  segment.flush()
  assert.is(segment.flushedBytes, bytes.length, 'what waits is not flushed')
  segment.dropWaiting()
  assert.is(segment.size, bytes.length)
})

test('indexes made again from the batches are the same bytes', () => {
  const { files, segment, batches } = filled(40, 700, i => 5_000 + (i % 7))
  segment.seal()
  const before = [offsetEntries(files), timeEntries(files)]
  const state = { size: segment.size, offsetIndexBytes: 0, timeIndexBytes: 0 }
  const again = new Segment(files, '/', BASE, state)
  const all = Buffer.concat(batches)
  for (let at = 0; at < all.length; at += batch.batchBytes(all, at)) again.note(all, at, at)
  again.sealIndexes()
  assert.equal([offsetEntries(files), timeEntries(files)], before)
  assert.is(again.maxTimestamp, segment.maxTimestamp)
  assert.is(again.maxTimestampOffset, segment.maxTimestampOffset)
})

test('its age is that of its newest record', () => {
  assert.is(filled(3, 100, i => 70 - i).segment.newestMs(), 70)
})

test('without a timestamp in its records the file says when it was written', () => {
  const { files, segment } = filled(1, 100, () => -1)
  files.nowMs = 123
  segment.write()
  assert.is(segment.newestMs(), 123)
})

test('remove leaves none of its files, but the content of a large one for whoever frees it', () => {
  for (const [count, left] of [
    [1, []],
    [20, ['/00000000000000001000.log.deleted']],
  ] as const) {
    const { files, segment } = filled(count, 300)
    segment.seal()
    segment.remove()
    assert.equal(files.list(), left)
  }
})

test('file names are 20 digits, and others are not taken for segments', () => {
  assert.is(fileName(42, 'log'), '00000000000000000042.log')
  assert.is(parseFileName('00000000000000000042.log', 'log'), 42)
  assert.is(parseFileName('00000000000000000042.index', 'log'), null)
  assert.is(parseFileName('42.log', 'log'), null)
  assert.is(parseFileName('00000000000000000042.log.5.torn', 'log'), null)
})

test.run()
