import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { INT64_MAX, INT64_MIN } from '../../src/protocol/int64.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import {
  type BatchRecord,
  encodePlainBatch,
  isUnreadable,
  readRecords,
} from '../../src/protocol/records.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { Compactor } from '../../src/storage/compaction/compactor.ts'
import { swapIn } from '../../src/storage/compaction/swap.ts'
import { loadSnapshot } from '../../src/storage/learning.ts'
import { findByTimestamp, findMaxTimestamp } from '../../src/storage/timestamp-search.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { oddBatch, rawBatch, rawRecords } from '../lib/odd-batch.ts'
import { Random, seeds } from '../lib/random.ts'
import { DATA_DIR, LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const CASES = Number(process.env.CASES ?? 150)
const STEPS = 60
const DAY_MS = 86_400_000
const test = suite('odd batches')

const PARTITION: PartitionToOpen = {
  handle: 1,
  name: 'topic-0',
  topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
  partition: 0,
  leaderEpoch: 0,
  config: {
    ...LOG_CONFIG,
    segmentBytes: 1_500,
    segmentMs: DAY_MS,
    compaction: { minCompactionLagMs: 0, maxCompactionLagMs: Number.MAX_SAFE_INTEGER },
  },
}

/** One partition that odd batches get into, between good ones, as they may be in the files of an older version or of Kafka. */
class OddCase {
  readonly #random: Random
  #files: MemoryFs
  #driver!: StoreDriver
  #now = 1_700_000_000_000
  #cleanedOffset = 0
  /** Of every good record its offset, by its key. */
  readonly #good = new Map<string, number>()
  /** The newest offset of each key in a batch that can be read and is no good one: a tombstone, and it, may go. */
  readonly #superseded = new Map<string, number>()

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#files = new MemoryFs(new Random(seed + 1))
  }

  async run(): Promise<void> {
    this.#start(false)
    for (let i = 0; i < STEPS; i++) {
      await this.#step()
      const view = this.#view()
      assert.is(view.offline, null)
      assert.is(this.#driver.offline.size, 0, [...this.#driver.offline.values()].join())
    }
    this.#restart()
    await this.#check()
  }

  #start(clean: boolean): void {
    this.#driver = new StoreDriver({ files: this.#files, clean, now: () => this.#now })
    const [view] = this.#driver.open([PARTITION])
    assert.is(view!.offline, null)
    this.#driver.command('ready', { workers: 1 })
  }

  #restart(): void {
    const isKilled = this.#random.chance(0.5)
    if (isKilled) this.#files = this.#files.clone(new Random(this.#random.below(2 ** 31)))
    else assert.is(this.#driver.command('close', {}).clean, true)
    this.#start(!isKilled)
  }

  #view(): LogView {
    return this.#driver.deleteRecords(1, 0)
  }

  async #step(): Promise<void> {
    const { random } = this
    this.#now += random.pick([0, 1, 1_000, DAY_MS])
    const what = random.below(20)
    if (what < 8) this.#appendGood()
    else if (what < 15) await this.#appendOdd()
    else if (what === 15) this.#restart()
    else if (what === 16) await this.#compact()
    else if (what === 17) this.#driver.command('retention', { handles: [1] })
    else if (what === 18) this.#deleteSome()
    else await this.#search()
  }

  get random(): Random {
    return this.#random
  }

  #appendGood(): void {
    const key = `good ${this.#good.size}`
    const record = { timestamp: this.#now, key: Buffer.from(key), value: Buffer.alloc(60) }
    const outcome = this.#driver.append(PARTITION, encodePlainBatch([record]))
    assert.is(outcome.error, 0)
    this.#good.set(key, outcome.baseOffset)
  }

  async #appendOdd(): Promise<void> {
    const bytes = oddBatch(this.#random, ['odd', ...this.#good.keys()])
    const { error, baseOffset } = this.#driver.append(PARTITION, bytes)
    if (error !== 0) return
    for (const { key, offset } of await recordsOf(bytes)) {
      if (key !== null) this.#superseded.set(key.toString(), baseOffset + offset)
    }
  }

  #deleteSome(): void {
    const { logStartOffset, nextOffset } = this.#view()
    const offset =
      logStartOffset + this.#random.below(Math.min(20, nextOffset - logStartOffset + 1))
    this.#driver.deleteRecords(1, offset)
  }

  async #search(): Promise<void> {
    const { segments, logStartOffset, nextOffset: endOffset } = this.#view()
    const input = { dir: join(DATA_DIR, PARTITION.name), segments, logStartOffset, endOffset }
    for (const target of [INT64_MIN, -1, 0, this.#now - DAY_MS, this.#now, INT64_MAX]) {
      const found = await findByTimestamp(this.#files, { ...input, target })
      assert.ok(found === null || found.timestamp >= target, String(target))
    }
    await findMaxTimestamp(this.#files, input)
  }

  async #compact(): Promise<void> {
    const dir = join(DATA_DIR, PARTITION.name)
    const view = this.#view()
    const segments = view.segments.slice(0, -1)
    if (segments.length === 0) return
    this.#driver.command('settle', { handle: 1 })
    const firstDirtyOffset = Math.max(this.#cleanedOffset, view.logStartOffset)
    const producers = [...loadSnapshot(this.#files, dir).state.producers].map(
      ([id, { epoch, batches }]) =>
        [id, { epoch, lastOffset: batches.at(-1)?.lastOffset ?? -1 }] as const,
    )
    const plan = {
      ...{ dir, name: PARTITION.name, segments, firstDirtyOffset, now: this.#now },
      firstUncleanableOffset: view.segments.at(-1)!.base,
      producers: new Map(producers),
      ...{ deleteRetentionMs: DAY_MS, segmentBytes: 1_500 },
      ...{ keyBytesMax: 256 * 1024, contentBytesMax: 1024 * 1024 },
    }
    const run = new Compactor(this.#files, plan, { spent: () => {}, flush: act => act() }).run()
    let step = await run.next()
    for (; !step.done; step = await run.next()) {
      swapIn(this.#files, dir, step.value, firstDirtyOffset)
      this.#driver.command('swapped', { handle: 1, cleaned: step.value })
    }
    this.#cleanedOffset = step.value.endOffset
    this.#driver.command('compacted', { handle: 1, cleanedOffset: step.value.endOffset })
    await this.#check()
  }

  /** Every good record above the log's start is there, unless a batch that can be read has had a newer one of its key. */
  async #check(): Promise<void> {
    const view = this.#view()
    const found = new Set<number>()
    for (const { bytes } of readLog(this.#files, PARTITION.name, view)) {
      for (const { offset } of await recordsOf(bytes)) found.add(offset)
    }
    for (const [key, offset] of this.#good) {
      if (offset < view.logStartOffset || (this.#superseded.get(key) ?? -1) > offset) continue
      assert.ok(found.has(offset), `${key} at offset ${offset} is gone`)
    }
  }
}

/** None of a batch that cannot be read to its end. */
async function recordsOf(bytes: Buffer): Promise<BatchRecord[]> {
  try {
    return [...(await readRecords(bytes, 1024 * 1024))]
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return []
  }
}

test(`whatever a batch says, its partition stays online and what is around it is there (${CASES} cases)`, async () => {
  for (const seed of seeds(1, CASES)) {
    try {
      await new OddCase(seed).run()
    } catch (error) {
      const reason = error instanceof Error ? error.stack : String(error)
      throw new Error(`seed ${seed}: ${reason}`, { cause: error })
    }
  }
})

/** A driver with the partition open, and a way to compact what is closed: seen by what is kept. */
function opened(now: () => number): { driver: StoreDriver; files: MemoryFs } {
  const files = new MemoryFs()
  const driver = new StoreDriver({ files, now })
  driver.open([PARTITION])
  driver.command('ready', { workers: 1 })
  return { driver, files }
}

async function compacted(batches: readonly Buffer[], now: number): Promise<Buffer[]> {
  const { driver, files } = opened(() => now)
  for (const bytes of batches) assert.is(driver.append(PARTITION, bytes).error, 0)
  const before = driver.deleteRecords(1, 0)
  // A batch that does not fit closes the segment.
  driver.append(PARTITION, plain('filler', 1_400))
  const dir = join(DATA_DIR, PARTITION.name)
  const run = new Compactor(
    files,
    {
      ...{ dir, name: 'topic-0', segments: before.segments, firstDirtyOffset: 0, now },
      ...{ firstUncleanableOffset: before.nextOffset, producers: new Map() },
      ...{ deleteRetentionMs: 1_000, segmentBytes: 1_500 },
      ...{ keyBytesMax: 256 * 1024, contentBytesMax: 1024 * 1024 },
    },
    { spent: () => {}, flush: action => action() },
  ).run()
  for (let step = await run.next(); !step.done; step = await run.next()) {
    swapIn(files, dir, step.value, 0)
    driver.command('swapped', { handle: 1, cleaned: step.value })
  }
  const view = driver.deleteRecords(1, 0)
  return readLog(files, PARTITION.name, view).map(({ bytes }) => bytes)
}

const plain = (key: string, valueBytes = 10, timestamp = 1_000): Buffer =>
  encodePlainBatch([{ timestamp, key: Buffer.from(key), value: Buffer.alloc(valueBytes) }])

test('segment.ms closes a segment whose first batch has no timestamp', () => {
  let now = 1_700_000_000_000
  const { driver } = opened(() => now)
  const segments = () => driver.deleteRecords(1, 0).segments.length
  driver.append(PARTITION, plain('a', 10, -1))
  now += DAY_MS / 2
  driver.append(PARTITION, plain('a', 10, -1))
  assert.is(segments(), 1)
  now += DAY_MS
  driver.append(PARTITION, plain('a', 10, -1))
  assert.is(segments(), 2)
  // Nor do batches without one keep open a segment that began with one.
  now += 2 * DAY_MS
  driver.append(PARTITION, plain('a', 10, now))
  const before = segments()
  now += 2 * DAY_MS
  driver.append(PARTITION, plain('a', 10, -1))
  assert.is(segments(), before + 1)
})

test('a record that lies about its offset, or is in a batch that ends too early, supersedes nothing', async () => {
  const lie = rawBatch({}, rawRecords([{ offsetDelta: 2 ** 30, key: 'k', value: 'lie' }]))
  const one = rawRecords([{ offsetDelta: 0, key: 'k', value: 'cut' }])
  const cut = rawBatch({ count: 2, lastOffsetDelta: 1 }, Buffer.concat([one, Buffer.alloc(9, 255)]))
  const sizes = async (...batches: Buffer[]) => {
    const kept = await compacted(batches, 2_000)
    const records = await Promise.all(kept.slice(0, -1).map(recordsOf))
    return records.map(([record]) => record?.value?.length ?? -1)
  }
  assert.equal(await sizes(plain('k'), lie), [10, -1])
  assert.equal(await sizes(plain('k'), cut), [10, -1])
  // The first of its leader epoch stays as an empty one.
  assert.equal(await sizes(plain('k'), lie, cut, plain('k', 20)), [-1, -1, -1, 20])
})

test('timestamps at the ends of int64 come through compaction exactly', async () => {
  // The tombstone makes the batch get a delete horizon as its base timestamp: every delta is written anew.
  const times = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 1_000n]
  const base = 2n ** 63n - 1n
  const records = times.map((time, i) => ({
    timestampDelta: BigInt.asIntN(64, time - base),
    offsetDelta: i,
    key: `k${i}`,
    value: i === 3 ? null : 'value',
  }))
  const header = { baseTimestamp: base, lastOffsetDelta: 3, count: 4 }
  const now = 5_000
  const [bytes] = await compacted([rawBatch(header, rawRecords(records))], now)
  assert.is(batch.deleteHorizon(bytes!), now + 1_000)
  assert.is(bytes!.readBigInt64BE(35), base)
  const found = [...(await readRecords(bytes!, 1_000))].map(({ timestamp }) => timestamp)
  assert.equal(found, [INT64_MAX, INT64_MIN, INT64_MAX, 1_000])
  const deltas = times.map(time => BigInt.asIntN(64, time - BigInt(now + 1_000)))
  const expected = records.map((record, i) => ({ ...record, timestampDelta: deltas[i]! }))
  assert.equal(bytes!.subarray(batch.BATCH_HEADER_BYTES), rawRecords(expected))
})

test.run()
