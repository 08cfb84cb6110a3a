import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import { idOf, plainBatch } from '../lib/batches.ts'
import { type Call, MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const FAULTS: [Call, string[]][] = [
  ['write', ['EIO', 'ENOSPC', 'EDQUOT', 'short']],
  ['fdatasync', ['EIO', 'ENOSPC']],
  ['fsyncDir', ['EIO']],
  ['open', ['EMFILE', 'EIO']],
  ['truncate', ['EIO', 'ENOSPC']],
  ['rename', ['EIO', 'ENOSPC']],
  ['unlink', ['EIO']],
  ['read', ['EIO']],
  ['close', ['EIO']],
]
/** The first calls of a run are failed one by one, of the rest every fourth; FULL=1: all. */
const DENSE = 12
const FULL = process.env.FULL === '1'
const BYPASS_BYTES = 8 * 1024

const test = suite('failing calls')

function partition(handle: number, flushMessages: number): PartitionToOpen {
  const config = { ...LOG_CONFIG, segmentBytes: 40_000, flushMessages }
  const topicId = Buffer.alloc(16, handle + 1).toString('base64url')
  return { handle, name: `p${handle}-0`, topicId, partition: 0, leaderEpoch: 0, config }
}

/** Three partitions, the last one relaxed, in a store that may fail; what it acknowledged. */
class Bench {
  readonly partitions = [partition(0, 1), partition(1, 1), partition(2, 1_000)]
  readonly acknowledged: number[][] = [[], [], []]
  readonly starts = [0, 0, 0]
  readonly files: MemoryFs
  driver: StoreDriver | null = null
  /** Partitions that the last start said are offline: the broker does not send it appends for them. */
  unopened: number[] = []
  #nextId = 1
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
    this.files = new MemoryFs(new Random(seed))
    this.start()
  }

  start(clean = false): void {
    const files = this.files
    const options = { files, clean, journalFileBytes: 32 * 1024, bypassBytes: BYPASS_BYTES }
    this.driver = null
    const driver = new StoreDriver(options)
    const views = driver.open(this.partitions)
    driver.command('ready', { workers: 1 })
    this.unopened = views.filter(v => v.offline !== null).map(v => v.handle)
    this.driver = driver
  }

  /** Appends one batch to each of the partitions, as one group. @returns the error codes, by partition */
  append(contentBytes: number, to: readonly number[] = [0, 1, 2]): number[] {
    const codes: number[] = [-1, -1, -1]
    const ids = new Map<number, number>()
    for (const p of to) {
      const id = this.#nextId++
      ids.set(p, id)
      this.driver!.submit(this.partitions[p]!, plainBatch({ id, contentBytes }))
    }
    for (const { handle, error } of this.driver!.run()) {
      codes[handle] = error
      if (error === ErrorCode.NONE) this.acknowledged[handle]!.push(ids.get(handle)!)
    }
    return codes
  }

  follow(handle: number): void {
    this.driver!.command('follow', { items: [{ handle, epoch: 0, highWatermark: 0 }] })
  }

  lead(handle: number): void {
    this.driver!.command('lead', { items: [{ handle, epoch: 0, highWatermark: 0 }] })
  }

  /** Cuts a log off; of what was above nothing is promised any more. Each batch has one record. */
  cut(handle: number, offset: number): void {
    this.follow(handle)
    this.acknowledged[handle]!.splice(offset)
    try {
      this.driver!.command('truncate', { items: [{ handle, epoch: 0, offset }] })
    } finally {
      this.lead(handle)
    }
  }

  /** After a failure: who was hit says so from now on and acknowledges nothing, all others go on. */
  checkAfterFailure(): void {
    const { files, driver } = this
    assert.equal(files.retriedFlushes, [], 'a failed flush was tried again')
    if (driver === null) return
    this.#waitForRoom(driver)
    const first = this.append(100)
    const second = this.append(100)
    for (const p of [0, 1, 2].filter(p => !this.unopened.includes(p))) {
      const isKnown = first[p] === ErrorCode.NONE || first[p] === ErrorCode.KAFKA_STORAGE_ERROR
      assert.ok(isKnown, `answered ${first[p]}`)
      if (first[p] !== ErrorCode.NONE) assert.is(second[p], ErrorCode.KAFKA_STORAGE_ERROR)
      assert.is(driver.offline.has(p), second[p] !== ErrorCode.NONE, 'offline is told once it is')
      const isOther =
        files.failedPath.startsWith('/data/p') && !files.failedPath.startsWith(`/data/p${p}-0`)
      if (isOther) assert.is(first[p], ErrorCode.NONE, `hit by a failure of ${files.failedPath}`)
    }
    for (let i = 0; i < 60; i++) this.append(500) // the journal turns more than once
    driver.tick()
    assert.equal(files.retriedFlushes, [], 'a failed flush was tried again')
  }

  /** A full disk at a start is no failure: appends are refused until the checkpoint can be written. */
  #waitForRoom(driver: StoreDriver): void {
    const codes = this.append(100)
    const refused = codes.map((code, p) => code !== ErrorCode.NONE && !driver.offline.has(p))
    if (!refused.some((isRefused, p) => isRefused && !this.unopened.includes(p))) return
    assert.match(this.files.failedPath, /checkpoint(\.2)?\.tmp$/)
    driver.tick()
    assert.equal(this.append(100), [0, 0, 0], 'there is room again')
  }

  /** A restart finds all that was acknowledged: after a kill, and after a power cut then and there. */
  checkRestart(): void {
    for (const kind of ['kill', 'cut', 'kill then cut'] as const) {
      const random = new Random(this.#seed)
      let files = kind === 'cut' ? this.files.image(random) : this.files.clone(random)
      this.#checkStart(files)
      if (kind !== 'kill then cut') continue
      files = files.image(random)
      this.#checkStart(files)
    }
  }

  #checkStart(files: MemoryFs): void {
    const driver = new StoreDriver({
      files,
      journalFileBytes: 32 * 1024,
      bypassBytes: BYPASS_BYTES,
    })
    const views = driver.open(this.partitions)
    driver.command('ready', { workers: 1 })
    for (const view of views) {
      const { handle } = view
      assert.is(view.offline, null)
      if (handle === 2) continue // relaxed: nothing was promised
      const found = readLog(files, this.partitions[handle]!.name, view)
      const there = new Set(found.map(b => idOf(b.bytes)))
      assert.is(there.size, found.length, 'a batch is there twice')
      if (this.starts[handle]! > 0) continue
      const lost = this.acknowledged[handle]!.filter(id => !there.has(id))
      assert.equal(lost, [], `lost from ${handle}`)
    }
  }
}

const SCENARIOS: Record<string, (bench: Bench) => void> = {
  'small appends': bench => {
    for (let i = 0; i < 4; i++) bench.append(200)
  },
  'large appends': bench => {
    for (let i = 0; i < 3; i++) bench.append(BYPASS_BYTES + 1_000)
  },
  'small and large in turn': bench => {
    for (let i = 0; i < 6; i++) bench.append(i % 2 === 0 ? 200 : BYPASS_BYTES + 1_000)
  },
  'rolling segments': bench => {
    for (let i = 0; i < 12; i++) bench.append(7_000)
  },
  'turns of the journal': bench => {
    for (let i = 0; i < 60; i++) bench.append(900)
  },
  'a turn with partitions that stay idle': bench => {
    bench.append(900)
    for (let i = 0; i < 80; i++) bench.append(900, [1])
  },
  'idle ticks': bench => {
    for (let i = 0; i < 4; i++) {
      bench.append(500)
      bench.driver!.tick()
    }
  },
  'deleting records': bench => {
    for (let i = 0; i < 8; i++) bench.append(7_000)
    bench.starts[0] = 5
    bench.driver!.deleteRecords(0, 5)
    bench.append(300)
  },
  'a truncation': bench => {
    for (let i = 0; i < 14; i++) bench.append(7_000)
    bench.cut(0, 7)
    bench.append(300)
    bench.cut(1, 15)
    bench.append(300)
  },
  'starting anew': bench => {
    for (let i = 0; i < 8; i++) bench.append(7_000)
    bench.starts[0] = 100
    bench.follow(0)
    bench.driver!.command('startAnew', { handle: 0, epoch: 0, offset: 100 })
    bench.lead(0)
    bench.append(300)
  },
  'a clean stop and a start': bench => {
    for (let i = 0; i < 8; i++) bench.append(7_000)
    const { clean } = bench.driver!.command('close', {})
    bench.start(clean)
    bench.append(300)
  },
  'a start after a kill': bench => {
    for (let i = 0; i < 8; i++) bench.append(900)
    bench.start()
    bench.append(300)
  },
}

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(`${name}: whatever call fails, nothing acknowledged is lost and nothing is tried again`, () => {
    for (const [kind, codes] of FAULTS) {
      for (const code of codes) {
        for (let n = 1; ; n += n < DENSE || FULL ? 1 : 4) {
          const bench = new Bench(n)
          bench.files.arm({ at: n, kind, code })
          const where = `${kind} ${n} ${code}`
          try {
            try {
              scenario(bench)
            } catch (error) {
              // A command or a start may be refused; appends never throw.
              if (!bench.files.hasFailed || !/E[A-Z]+:|journal|offline/.test(String(error)))
                throw error
            }
            if (bench.files.hasFailed) {
              bench.checkAfterFailure()
              bench.checkRestart()
            }
          } catch (error) {
            throw new Error(`${where} (${bench.files.failedPath}): ${(error as Error).stack}`)
          }
          if (!bench.files.hasFailed) break
        }
      }
    }
  })
}

test.run()
