import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

/** Bugs that the crash images and failing calls found, or a reading did, each as small as it gets. */
const test = suite('issue 002: storage recovery')

const JOURNAL = { journalFileBytes: 32 * 1024, bypassBytes: 8 * 1024 }

function partition(handle = 0, id = 1, config = {}): PartitionToOpen {
  const topicId = Buffer.alloc(16, id).toString('base64url')
  const name = `t${handle}-0`
  return {
    handle,
    name,
    topicId,
    partition: 0,
    leaderEpoch: 0,
    config: { ...LOG_CONFIG, ...config },
  }
}

function start(
  files: MemoryFs,
  partitions: PartitionToOpen[],
  clean = false,
  worker = 0,
  workers = 1,
) {
  const driver = new StoreDriver({ files, clean, worker, ...JOURNAL })
  const views = driver.open(partitions)
  driver.command('ready', { workers })
  return { driver, views }
}

const count = (files: MemoryFs, p: PartitionToOpen, view: LogView): number =>
  readLog(files, p.name, view).length

/** Nothing that was not flushed is kept. */
const cut = (files: MemoryFs): MemoryFs => {
  const none = new Random(1)
  none.next = () => 0
  none.chance = () => false
  none.pick = items => items[Math.min(1, items.length - 1)]!
  return files.image(none)
}

test('a turn amid a group does not call the batches flushed that it still holds', () => {
  const files = new MemoryFs()
  const p = partition()
  const { driver } = start(files, [p])
  for (let id = 1; id <= 200; id++) {
    driver.append(p, plainBatch({ id, contentBytes: 900 }))
    const after = cut(files)
    const { views } = start(after, [p])
    assert.is(views[0]!.offline, null, `after batch ${id}`)
    assert.is(count(after, p, views[0]!), id)
  }
})

test('marks that were lost with the power are no damage to the journal', () => {
  for (let seed = 1; seed < 60; seed++) {
    const files = new MemoryFs(new Random(seed))
    const p = partition()
    const { driver } = start(files, [p])
    for (let id = 1; id <= 12; id++) driver.append(p, plainBatch({ id, contentBytes: 9_000 }))
    const after = files.image(new Random(seed))
    const { views } = start(after, [p])
    assert.is(count(after, p, views[0]!), 12)
  }
})

test('a partition that could not be opened once loses nothing: the next start replays it', () => {
  const files = new MemoryFs()
  const p = partition()
  const { driver } = start(files, [p])
  driver.append(p, plainBatch({ id: 1 }))
  const after = cut(files)
  const { open } = after
  after.open = (path, mode) => {
    if (path.endsWith('.log')) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
    return open.call(after, path, mode)
  }
  const first = start(after, [p])
  assert.match(first.views[0]!.offline!, /EMFILE/)
  assert.is(first.driver.command('close', {}).clean, false)
  after.open = open
  const { views } = start(after, [p])
  assert.is(views[0]!.offline, null)
  assert.is(count(after, p, views[0]!), 1)
})

test('what a failed partition has only in the journal survives the turn of the journal', () => {
  const files = new MemoryFs()
  const failing = partition(0, 1)
  const other = partition(1, 2)
  const { driver } = start(files, [failing, other])
  driver.append(failing, plainBatch({ id: 1 }))
  files.fdatasync = fd => {
    if (/t0-0.*log$/.test(files.pathOf(fd))) throw new Error('EIO')
    MemoryFs.prototype.fdatasync.call(files, fd)
  }
  for (let id = 2; id <= 120; id++) {
    assert.is(driver.append(other, plainBatch({ id, contentBytes: 900 })).error, ErrorCode.NONE)
  }
  assert.ok(driver.offline.has(0))
  const after = cut(files)
  const { views } = start(after, [failing, other])
  assert.is(count(after, failing, views[0]!), 1)
})

test('a partition opened after the journal has failed does not use it', () => {
  const files = new MemoryFs()
  const { driver } = start(files, [partition(0, 1)])
  files.arm({ at: 1, kind: 'fdatasync', code: 'EIO' })
  assert.is(driver.append(partition(0, 1), plainBatch({ id: 1 })).error, 56)
  const late = partition(1, 2)
  assert.match(driver.open([late], false)[0]!.offline!, /journal/)
  assert.is(driver.append(late, plainBatch({ id: 2 })).error, ErrorCode.KAFKA_STORAGE_ERROR)
})

test('an offline log refuses deleteRecords, which would flush it again', () => {
  const files = new MemoryFs()
  const p = partition()
  const { driver } = start(files, [p])
  driver.append(p, plainBatch({ id: 1, contentBytes: 9_000 }))
  files.arm({ at: 1, kind: 'fdatasync', code: 'EIO' })
  assert.is(driver.append(p, plainBatch({ id: 2, contentBytes: 9_000 })).error, 56)
  assert.throws(() => driver.deleteRecords(0, 1), /offline/)
  assert.equal(files.retriedFlushes, [])
})

test('a topic made durable has its earlier records flushed first', () => {
  const files = new MemoryFs()
  const p = partition(0, 1, { flushMessages: 1_000 })
  const { driver } = start(files, [p])
  driver.append(p, plainBatch({ id: 1 }))
  driver.command('configure', { handles: [0], config: LOG_CONFIG })
  driver.append(p, plainBatch({ id: 2 }))
  const after = cut(files)
  const { views } = start(after, [partition()])
  assert.is(views[0]!.offline, null)
  assert.is(count(after, p, views[0]!), 2)
})

test('the folder of a deleted topic is not taken over by a new one of the same name', () => {
  const files = new MemoryFs()
  const { driver } = start(files, [partition(0, 1)])
  driver.append(partition(0, 1), plainBatch({ id: 1 }))
  const again = partition(0, 2)
  const { views } = start(cut(files), [again])
  assert.is(views[0]!.offline, null)
  assert.is(views[0]!.nextOffset, 0)
})

test('deleted records stay deleted when the partition moves to another worker', () => {
  const files = new MemoryFs()
  const parts = [partition(0, 1), partition(1, 2)]
  const { driver } = start(files, parts)
  for (let id = 1; id <= 4; id++) driver.append(parts[1]!, plainBatch({ id }))
  driver.deleteRecords(1, 3)
  const moved = cut(files)
  const one = new StoreDriver({ files: moved, worker: 0, ...JOURNAL })
  const two = new StoreDriver({ files: moved, worker: 1, ...JOURNAL })
  one.open([parts[0]!])
  two.open([parts[1]!])
  one.command('ready', { workers: 2 }) // and the power goes before the other one is ready
  const { views } = start(cut(moved), parts)
  assert.is(views[1]!.logStartOffset, 3)
})

test('a relaxed log does not end below its start after a crash', () => {
  const files = new MemoryFs()
  const p = partition(0, 1, { flushMessages: 1_000 })
  const { driver } = start(files, [p])
  for (let id = 1; id <= 4; id++) driver.append(p, plainBatch({ id }))
  driver.deleteRecords(0, 3)
  assert.is(start(cut(files), [p]).views[0]!.logStartOffset, 3)
})

test('any of the last five batches of a producer is known again after a restart', () => {
  for (const clean of [true, false]) {
    const files = new MemoryFs()
    const p = partition(0, 1, { segmentBytes: 1_000 })
    const { driver } = start(files, [p])
    const one = (n: number) => plainBatch({ id: n, contentBytes: 300, producerId: 9, sequence: n })
    for (let n = 0; n < 20; n++) driver.append(p, one(n))
    if (clean) driver.command('close', {})
    const again = start(clean ? files : cut(files), [p], clean).driver
    for (let n = 15; n < 20; n++) {
      const { duplicate, baseOffset } = again.append(p, one(n))
      assert.equal({ duplicate, baseOffset }, { duplicate: true, baseOffset: n })
    }
    assert.is(again.append(p, one(20)).baseOffset, 20)
  }
})

test('records without timestamps are deleted by the age of their file', () => {
  const files = new MemoryFs()
  files.nowMs = 1_000_000
  const p = partition(0, 1, { segmentBytes: 1_000, retentionMs: 500 })
  let now = 1_000_000
  const driver = new StoreDriver({ files, ...JOURNAL, now: () => now })
  driver.open([p])
  driver.command('ready', { workers: 1 })
  for (let id = 1; id <= 8; id++)
    driver.append(p, plainBatch({ id, contentBytes: 300, timestamp: -1 }))
  now += 400
  assert.equal(driver.command('retention', { handles: [0] }).views, [])
  now += 200
  assert.is(driver.command('retention', { handles: [0] }).views[0]!.logStartOffset, 8)
})

test('an index rebuilt of a segment that is gone or active does no harm', () => {
  const files = new MemoryFs()
  const p = partition()
  const { driver } = start(files, [p])
  driver.append(p, plainBatch({ id: 1 }))
  driver.command('rebuildIndexes', { handle: 0, base: 77 })
  driver.command('rebuildIndexes', { handle: 0, base: 0 })
  assert.is(driver.append(p, plainBatch({ id: 2 })).baseOffset, 1)
})

test('a group never outgrows the smallest journal', () => {
  const files = new MemoryFs()
  const parts = Array.from({ length: 20 }, (_, i) => partition(i, i + 1))
  const { driver } = start(files, parts)
  for (const [i, p] of parts.entries()) driver.submit(p, plainBatch({ id: i, contentBytes: 7_000 }))
  assert.ok(driver.run().every(o => o.error === ErrorCode.NONE))
})

test.run()
