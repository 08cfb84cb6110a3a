import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { readFile } from '../../src/storage/fs.ts'
import { isOffsetIndex } from '../../src/storage/index-file.ts'
import type { LogConfig } from '../../src/storage/log.ts'
import { idOf, plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { DATA_DIR, LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const test = suite('followers and truncation')

const EPOCH = 3

function partition(config: Partial<LogConfig> = {}): PartitionToOpen {
  return {
    handle: 0,
    name: 'orders-0',
    topicId: Buffer.alloc(16, 1).toString('base64url'),
    partition: 0,
    leaderEpoch: EPOCH,
    config: { ...LOG_CONFIG, ...config },
  }
}

function opened(to: PartitionToOpen, files = new MemoryFs(new Random(1))): StoreDriver {
  const driver = new StoreDriver({ files })
  driver.open([to])
  driver.command('ready', { workers: 1 })
  return driver
}

function follow(driver: StoreDriver, epoch = EPOCH + 1): LogView {
  const items = [{ handle: 0, epoch, highWatermark: 0 }]
  return driver.command('follow', { items }).views[0]!
}

function cut(driver: StoreDriver, offset: number, epoch = EPOCH + 1): LogView | undefined {
  return driver.command('truncate', { items: [{ handle: 0, epoch, offset }] }).views[0]
}

/** A batch as a leader has it. */
function leaders(offset: number, epoch: number, options: Parameters<typeof plainBatch>[0]): Buffer {
  const bytes = plainBatch(options)
  batch.assign(bytes, offset, epoch)
  return bytes
}

const outcome = (driver: StoreDriver, to: PartitionToOpen, bytes: Buffer, epoch = EPOCH + 1) => {
  driver.replicate(to, bytes, epoch)
  return driver.run()[0]!
}

test('what is cut off is gone with its segments, and indexes lead to what is left', () => {
  const files = new MemoryFs(new Random(1))
  const to = partition({ segmentBytes: 40_000 })
  const driver = opened(to, files)
  for (let id = 1; id <= 60; id++) driver.append(to, plainBatch({ id, contentBytes: 3_000 }))
  const before = follow(driver)
  assert.ok(before.segments.length > 3)
  for (const end of [45, 30, 7, 0]) {
    const view = cut(driver, end)!
    assert.is(view.nextOffset, end)
    assert.is(view.offline, null)
    const found = readLog(files, to.name, view)
    assert.equal(
      found.map(b => idOf(b.bytes)),
      Array.from({ length: end }, (_, i) => i + 1),
    )
    const names = files.readdir(join(DATA_DIR, to.name)).filter(name => name.endsWith('.log'))
    assert.is(names.length, view.segments.length)
    const last = view.segments.at(-1)!
    const old = before.segments.find(({ base }) => base === last.base)!
    assert.ok(last.version > old.version, 'readers are told that it is another one')
    driver.command('rebuildIndexes', { handle: 0, base: last.base })
    const index = readFile(files, join(DATA_DIR, to.name, `${names.at(-1)!.slice(0, 20)}.index`))
    assert.ok(isOffsetIndex(index, Math.max(1, last.size)))
  }
})

test('a retry of what was cut off is appended, of what was left a duplicate', () => {
  const to = partition()
  const driver = opened(to)
  const batches = Array.from({ length: 6 }, (_, i) =>
    plainBatch({ id: i + 1, producerId: 9, sequence: i }),
  )
  for (const bytes of batches) driver.append(to, Buffer.from(bytes))
  follow(driver)
  cut(driver, 4)
  driver.command('lead', { items: [{ handle: 0, epoch: EPOCH + 2, highWatermark: 4 }] })
  const append = (bytes: Buffer) => {
    driver.submit(to, Buffer.from(bytes), EPOCH + 2)
    return driver.run()[0]!
  }
  assert.is(append(batches[3]!).duplicate, true)
  assert.is(append(batches[0]!).duplicate, true)
  const again = append(batches[4]!)
  assert.equal([again.error, again.duplicate, again.baseOffset], [ErrorCode.NONE, false, 4])
})

test('a truncation of another epoch, or where it is led, changes nothing', () => {
  const to = partition()
  const driver = opened(to)
  for (let id = 1; id <= 5; id++) driver.append(to, plainBatch({ id }))
  assert.is(cut(driver, 2, EPOCH), undefined)
  follow(driver)
  assert.is(cut(driver, 2, EPOCH), undefined)
  assert.is(cut(driver, 2, EPOCH + 2), undefined)
  assert.is(follow(driver, EPOCH + 3).nextOffset, 5)
})

test('what a leader has is kept as it is, and led on from there in a new epoch', () => {
  const files = new MemoryFs(new Random(1))
  const to = partition()
  const driver = opened(to, files)
  follow(driver)
  assert.is(outcome(driver, to, leaders(0, 1, { id: 1, records: 3 })).error, ErrorCode.NONE)
  assert.is(outcome(driver, to, leaders(3, 4, { id: 2 })).error, ErrorCode.NONE)
  const items = [{ handle: 0, epoch: 6, highWatermark: 4 }]
  const [view] = driver.command('lead', { items }).views
  assert.equal(view!.epochs, [
    { epoch: 1, startOffset: 0 },
    { epoch: 4, startOffset: 3 },
    { epoch: 6, startOffset: 4 },
  ])
  driver.submit(to, plainBatch({ id: 3 }), 6)
  assert.is(driver.run()[0]!.baseOffset, 4)
  const found = readLog(files, to.name, follow(driver, 7))
  assert.equal(
    found.map(({ bytes }) => batch.leaderEpoch(bytes)),
    [1, 4, 6],
  )
})

test('what does not fit behind what is here is refused: a gap, an older epoch, a wrong checksum', () => {
  const to = partition()
  const driver = opened(to)
  follow(driver)
  outcome(driver, to, leaders(0, 2, { id: 1, records: 3 }))
  const codeOf = (bytes: Buffer) => outcome(driver, to, bytes).error
  assert.is(codeOf(leaders(5, 2, { id: 2 })), ErrorCode.OFFSET_OUT_OF_RANGE)
  assert.is(codeOf(leaders(2, 2, { id: 2 })), ErrorCode.OFFSET_OUT_OF_RANGE)
  assert.is(codeOf(leaders(3, 1, { id: 2 })), ErrorCode.CORRUPT_MESSAGE)
  const damaged = leaders(3, 2, { id: 2 })
  damaged[damaged.length - 1]! ^= 1
  assert.is(codeOf(damaged), ErrorCode.CORRUPT_MESSAGE)
  assert.is(codeOf(leaders(3, 2, { id: 2 })), ErrorCode.NONE)
})

test('of a compacted topic offsets may be lacking, within segments and between them, also at a start', () => {
  const files = new MemoryFs(new Random(1))
  const to = partition({ hasGaps: true, segmentBytes: 9_000 })
  const driver = opened(to, files)
  follow(driver)
  for (let id = 1; id <= 12; id++) {
    const bytes = leaders(id * 10, 2, { id, contentBytes: 2_000 })
    assert.is(outcome(driver, to, bytes).error, ErrorCode.NONE)
  }
  const again = new StoreDriver({ files: files.clone(new Random(2)) }).open([to])[0]!
  assert.is(again.offline, null)
  assert.is(again.nextOffset, 121)
  const view = cut(driver, 55)!
  assert.is(view.nextOffset, 51)
})

test('retention and compaction leave what is not committed', () => {
  const files = new MemoryFs(new Random(1))
  const compaction = { minCompactionLagMs: 0, maxCompactionLagMs: Number.MAX_SAFE_INTEGER }
  const to = partition({ segmentBytes: 9_000, retentionBytes: 1, compaction })
  const driver = opened(to, files)
  for (let id = 1; id <= 20; id++) driver.append(to, plainBatch({ id, contentBytes: 2_000 }))
  follow(driver)
  const cleanableEnd = () =>
    driver.command('cleanable', { handles: [0] }).logs[0]?.firstUncleanableOffset ?? 0
  assert.is(cleanableEnd(), 0)
  assert.equal(driver.command('retention', { handles: [0] }).views, [])
  driver.command('highWatermarks', { items: [{ handle: 0, offset: 9 }] })
  assert.is(cleanableEnd(), 8)
  const [view] = driver.command('retention', { handles: [0] }).views
  assert.is(view!.logStartOffset, 8)
  // And it is known after a start that is told nothing else.
  const kept = new StoreDriver({ files: files.clone(new Random(2)) })
  const [reopened] = kept.open([{ ...to, leaderEpoch: -1 }])
  assert.is(reopened!.highWatermark, 9)
})

test('while two rings have batches, each has its share of a group', () => {
  const to = partition()
  const other = { ...to, handle: 1, name: 'orders-1', partition: 1 }
  const driver = opened(to)
  driver.open([other], false)
  driver.command('follow', { items: [{ handle: 1, epoch: 9, highWatermark: 0 }] })
  for (let i = 0; i < 60; i++) driver.submit(to, plainBatch({ id: i + 1, contentBytes: 12_000 }))
  driver.replicate(other, leaders(0, 9, { id: 100 }), 9)
  driver.store.turn()
  const first = driver.run()
  const place = first.findIndex(({ handle }) => handle === 1)
  assert.ok(place > 0 && place < 59, `replicated as number ${place} of ${first.length}`)
})

test.run()
