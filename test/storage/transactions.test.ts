import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeMarker } from '../../src/protocol/control-records.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { encodePlainBatch } from '../../src/protocol/records.ts'
import {
  ABORTED_BYTES,
  type AbortedTransaction,
  abortedAt,
} from '../../src/storage/aborted-transactions.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { Compactor } from '../../src/storage/compaction/compactor.ts'
import { swapIn } from '../../src/storage/compaction/swap.ts'
import { type FileSystem, readFile } from '../../src/storage/fs.ts'
import type { LogConfig } from '../../src/storage/log.ts'
import { fileName } from '../../src/storage/segment.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random, seeds } from '../lib/random.ts'
import { DATA_DIR, LOG_CONFIG, StoreDriver } from '../lib/store-driver.ts'

const test = suite('transactions in a log')

const EPOCH = 0
const PRODUCERS = 4

function partition(config: Partial<LogConfig> = {}): PartitionToOpen {
  return {
    ...{ handle: 0, name: 'orders-0', partition: 0, leaderEpoch: EPOCH },
    topicId: Buffer.alloc(16, 1).toString('base64url'),
    config: { ...LOG_CONFIG, ...config },
  }
}

interface Of {
  readonly pid: number
  readonly epoch?: number
  readonly sequence?: number
  readonly transactional?: boolean
}

function records({ pid, epoch = 0, sequence = 0, transactional = true }: Of, count = 1): Buffer {
  const list = Array.from({ length: count }, () => {
    return { timestamp: 1, key: null, value: Buffer.from('v') }
  })
  const producer = { producerId: pid, producerEpoch: epoch, baseSequence: sequence }
  return encodePlainBatch(list, { ...producer, transactional })
}

function marker(of: { pid: number; epoch?: number; commits: boolean; coordinator?: number }) {
  const { pid: producerId, epoch: producerEpoch = 0, commits: isCommit, coordinator = 0 } = of
  return encodeMarker({ producerId, producerEpoch, isCommit, coordinatorEpoch: coordinator }, 1)
}

/** What the files say that was aborted, as far as readers may look. */
function abortedIn(files: FileSystem, view: LogView): AbortedTransaction[] {
  return view.segments.flatMap(({ base, abortedBytes }) => {
    if (abortedBytes === 0) return []
    const index = readFile(files, join(DATA_DIR, 'orders-0', fileName(base, 'txnindex')))
    const count = abortedBytes / ABORTED_BYTES
    return Array.from({ length: count }, (_, i) => abortedAt(index, i * ABORTED_BYTES))
  })
}

function opened(to: PartitionToOpen, files: FileSystem, clean = false) {
  const driver = new StoreDriver({ files, clean })
  const [view] = driver.open([to])
  driver.command('ready', { workers: 1 })
  return { driver, view: view! }
}

const viewOf = (driver: StoreDriver): LogView =>
  driver.command('lead', { items: [{ handle: 0, epoch: EPOCH, highWatermark: 0 }] }).views[0]!

/** What a log should say, from what was appended to it. */
class Model {
  readonly #open = new Map<number, number>()
  readonly aborted: AbortedTransaction[] = []

  data(pid: number, offset: number): void {
    if (!this.#open.has(pid)) this.#open.set(pid, offset)
  }

  has(pid: number): boolean {
    return this.#open.has(pid)
  }

  end(pid: number, lastOffset: number, commits: boolean): void {
    const firstOffset = this.#open.get(pid)
    this.#open.delete(pid)
    if (firstOffset === undefined || commits) return
    const lastStableOffset = Math.min(this.undecided ?? lastOffset + 1, lastOffset + 1)
    this.aborted.push({ producerId: pid, firstOffset, lastOffset, lastStableOffset })
  }

  get undecided(): number | null {
    return this.#open.size === 0 ? null : Math.min(...this.#open.values())
  }
}

test('what is open is undecided until its marker, and what was aborted is in the index', () => {
  const files = new MemoryFs(new Random(1))
  const to = partition()
  const { driver } = opened(to, files)
  assert.is(driver.append(to, records({ pid: 1 }, 3)).baseOffset, 0)
  assert.is(driver.append(to, records({ pid: 2 }, 2)).baseOffset, 3)
  assert.equal(driver.stabilities, [{ undecided: 0, segmentBase: 0, abortedBytes: 0 }])
  assert.is(driver.append(to, marker({ pid: 1, commits: false })).baseOffset, 5)
  assert.equal(driver.stabilities.at(-1), { undecided: 3, segmentBase: 0, abortedBytes: 34 })
  driver.append(to, marker({ pid: 2, commits: true }))
  const { undecided } = driver.stabilities.at(-1)!
  assert.is(undecided, Number.POSITIVE_INFINITY)
  const aborted = [{ producerId: 1, firstOffset: 0, lastOffset: 5, lastStableOffset: 3 }]
  assert.equal(abortedIn(files, viewOf(driver)), aborted)
})

test('what does not fit to a transaction is refused as Kafka does', () => {
  const to = partition()
  const { driver } = opened(to, new MemoryFs(new Random(1)))
  const code = (bytes: Buffer, version = 1) => {
    const { error, duplicate } = driver.append(to, bytes, version)
    return duplicate && error === 0 ? 'duplicate' : errorName(error as ErrorCode)
  }
  assert.is(code(records({ pid: 1, sequence: 4 }), 2), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.is(code(records({ pid: 1, sequence: 4 }), 1), 'NONE')
  assert.is(code(records({ pid: 1, sequence: 5, transactional: false })), 'INVALID_TXN_STATE')
  assert.is(code(marker({ pid: 1, commits: true, coordinator: 3 })), 'NONE')
  // Again, as its coordinator asks that has not heard of it.
  assert.is(code(marker({ pid: 1, commits: true, coordinator: 3 })), 'duplicate')
  assert.is(code(records({ pid: 1, sequence: 5 })), 'NONE')
  const old = marker({ pid: 1, commits: true, coordinator: 2 })
  assert.is(code(old), 'TRANSACTION_COORDINATOR_FENCED')
  // From version 2 on a marker has the epoch behind that of what it ends: this one is of the transaction before.
  assert.is(code(marker({ pid: 1, commits: false, coordinator: 3 }), 2), 'INVALID_PRODUCER_EPOCH')
  assert.is(code(marker({ pid: 1, epoch: 1, commits: false, coordinator: 3 }), 2), 'NONE')
  assert.is(code(records({ pid: 1, sequence: 6 })), 'INVALID_PRODUCER_EPOCH')
  assert.is(code(records({ pid: 1, epoch: 1, sequence: 0 }), 2), 'NONE')
})

test('a producer with an open transaction is not forgotten, and retention leaves it whole', () => {
  let now = 1_000_000
  const to = partition({ retentionMs: 1, segmentBytes: 200, producerIdExpirationMs: 10 })
  const driver = new StoreDriver({ files: new MemoryFs(new Random(1)), now: () => now })
  driver.open([to])
  driver.command('ready', { workers: 1 })
  driver.append(to, records({ pid: 9, transactional: false }))
  driver.append(to, records({ pid: 1 }))
  for (let i = 0; i < 10; i++) {
    driver.append(to, records({ pid: 9, sequence: i + 1, transactional: false }))
  }
  now += 1_000_000
  assert.is(driver.command('retention', { handles: [0] }).views.at(-1)?.logStartOffset ?? 0, 0)
  driver.append(to, marker({ pid: 1, commits: true }))
  assert.is(driver.command('retention', { handles: [0] }).views.at(-1)!.logStartOffset, 13)
})

/** Appends at random, and stops the program, the machine or a disk amid it; what was not flushed may be gone then, and nothing else. */
for (const seed of seeds(1, 150)) {
  test(`whatever happens to the program and its files, it is known which transactions were aborted: seed ${seed}`, () => {
    const random = new Random(seed)
    const to = partition({ segmentBytes: random.pick([400, 1_200, 1 << 30]) })
    let files = new MemoryFs(new Random(seed))
    let { driver, view } = opened(to, files)
    const model = new Model()
    const sequences = new Map<number, number>()
    const check = (found: LogView): void => {
      assert.equal(abortedIn(files, found), model.aborted)
      assert.is(found.undecided, model.undecided)
    }
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 40; i++) {
        const pid = random.below(PRODUCERS)
        if (model.has(pid) && random.chance(0.4)) {
          const commits = random.chance(0.5)
          const { error, baseOffset } = driver.append(to, marker({ pid, commits }))
          assert.is(error, ErrorCode.NONE)
          model.end(pid, baseOffset, commits)
          continue
        }
        const sequence = sequences.get(pid) ?? 0
        const count = 1 + random.below(3)
        const { error, baseOffset } = driver.append(to, records({ pid, sequence }, count))
        assert.is(error, ErrorCode.NONE)
        sequences.set(pid, sequence + count)
        model.data(pid, baseOffset)
      }
      check(viewOf(driver))
      const isClean = random.chance(0.3)
      if (isClean) driver.command('close', {})
      else if (random.chance(0.5)) files = files.image(random)
      if (random.chance(0.3)) lose(files, random)
      ;({ driver, view } = opened(to, files, isClean))
      check(view)
    }
  })
}

/** One of the files that can be made anew from the others. */
function lose(files: MemoryFs, random: Random): void {
  const dir = join(DATA_DIR, 'orders-0')
  const names = files.readdir(dir).filter(name => /\.(txnindex|index|snapshot)$/.test(name))
  if (names.length > 0) files.unlink(join(dir, random.pick(names)))
}

/** A leader's log, and a follower that copies it, is cut off somewhere, and copies it again, perhaps other than before. */
for (const seed of seeds(1, 60)) {
  test(`a follower forgets what it is cut off of: seed ${seed}`, () => {
    const random = new Random(seed)
    const to = partition({ segmentBytes: random.pick([400, 1 << 30]) })
    const files = new MemoryFs(new Random(seed))
    const { driver } = opened(to, files)
    driver.command('follow', { items: [{ handle: 0, epoch: 1, highWatermark: 0 }] })
    let log: { pid: number; first: number; last: number; commits: boolean | null }[] = []
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) {
        const pid = random.below(PRODUCERS)
        const first = (log.at(-1)?.last ?? -1) + 1
        const commits = random.pick([null, null, true, false])
        const count = commits === null ? 1 + random.below(3) : 1
        const bytes = commits === null ? records({ pid }, count) : marker({ pid, commits })
        batch.assign(bytes, first, 1)
        driver.replicate(to, bytes, 1)
        assert.is(driver.run().at(-1)!.error, ErrorCode.NONE)
        log.push({ pid, first, last: first + count - 1, commits })
      }
      const offset = random.below((log.at(-1)?.last ?? 0) + 2)
      const view = driver.command('truncate', { items: [{ handle: 0, epoch: 1, offset }] })
        .views[0]!
      log = log.filter(({ last }) => last < offset)
      const model = new Model()
      for (const { pid, first, last, commits } of log) {
        if (commits === null) model.data(pid, first)
        else model.end(pid, last, commits)
      }
      assert.equal(abortedIn(files, view), model.aborted)
      assert.is(view.undecided, model.undecided)
    }
  })
}

test('compaction keeps of the index what it keeps the markers of', async () => {
  const files = new MemoryFs(new Random(1))
  const compaction = { minCompactionLagMs: 0, maxCompactionLagMs: Number.MAX_SAFE_INTEGER }
  const to = partition({ segmentBytes: 300, compaction, deletes: false, hasGaps: true })
  const { driver } = opened(to, files)
  // The first of its epoch stays, if only as an empty one.
  driver.append(to, records({ pid: 9, transactional: false }))
  for (const commits of [false, true]) {
    driver.append(to, records({ pid: 1, sequence: commits ? 1 : 0 }))
    driver.append(to, marker({ pid: 1, commits }))
  }
  // Of others, so that these are closed, and none of them is its producer's last.
  for (let i = 0; i < 8; i++) {
    driver.append(to, records({ pid: 1, sequence: 2 + i, transactional: false }))
  }
  const entry = { producerId: 1, firstOffset: 1, lastOffset: 2, lastStableOffset: 3 }
  const compact = async (now: number): Promise<LogView> => {
    const view = viewOf(driver)
    const dir = join(DATA_DIR, 'orders-0')
    const plan = {
      ...{ dir, name: 'orders-0', segments: view.segments.slice(0, -1), firstDirtyOffset: 0, now },
      ...{ firstUncleanableOffset: view.segments.at(-1)!.base, producers: new Map() },
      ...{ deleteRetentionMs: 100, segmentBytes: 1_500 },
      ...{ keyBytesMax: 256 * 1024, contentBytesMax: 1024 * 1024 },
    }
    const run = new Compactor(files, plan, { spent: () => {}, flush: act => act() }).run()
    for (let step = await run.next(); !step.done; step = await run.next()) {
      swapIn(files, dir, step.value, 0)
      driver.command('swapped', { handle: 0, cleaned: step.value })
    }
    return viewOf(driver)
  }
  assert.equal(abortedIn(files, viewOf(driver)), [entry])
  // What was aborted goes first; then its marker has nothing to say, and goes when its time has come.
  for (const now of [1_000, 2_000]) assert.equal(abortedIn(files, await compact(now)), [entry])
  assert.equal(abortedIn(files, await compact(3_000)), [])
  assert.equal(abortedIn(files, opened(to, files).view), [])
})

test.run()
