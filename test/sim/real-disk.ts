import { partitionKey } from '../../src/replication/partition-state.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import type { FileSystem } from '../../src/storage/fs.ts'
import { LaggingFs } from '../lib/lagging-fs.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { LOG_CONFIG, StoreDriver } from '../lib/store-driver.ts'
import type { Disk } from './disk.ts'
import type { SimNode, Surroundings } from './node.ts'
import type { Process } from './process.ts'
import { RealLog } from './real-log.ts'
import { RealWorker } from './real-worker.ts'
import { Violation } from './world.ts'

/** How the logs of storage are set up. */
export interface RealLogs {
  readonly segmentBytes: number
  readonly journalFileBytes: number
  readonly bypassBytes: number
  readonly openLogsMax: number
  readonly isDurable: boolean
}

const TOPIC_ID = Buffer.alloc(16, 7).toString('base64url')
const PARTITIONS = 2

/** A disk with the files of a PartitionStore, which runs while a process does. */
export class RealDisk implements Disk {
  readonly logs = new Map<string, RealLog>()
  readonly #node: SimNode
  readonly #around: Surroundings
  readonly #partitions: ReadonlyMap<string, PartitionToOpen>
  readonly #setup: RealLogs
  /** As it is while no process runs. */
  #disk: MemoryFs
  #files: LaggingFs | null = null
  #driver: StoreDriver | null = null
  /** When what was done last is on the disk. */
  #busyUntil = 0
  /** The store closed all in order. */
  #isClosed = true

  constructor(node: SimNode, around: Surroundings, setup: RealLogs) {
    this.#node = node
    this.#around = around
    this.#setup = setup
    this.#disk = new MemoryFs(around.world.random)
    const flushMessages = setup.isDurable ? 1 : 1_000_000
    const config = { ...LOG_CONFIG, segmentBytes: setup.segmentBytes, flushMessages, flushMs: 500 }
    this.#partitions = new Map(
      Array.from({ length: PARTITIONS }, (_, partition) => {
        const what = { handle: partition + 1, name: `t-${partition}`, topicId: TOPIC_ID, partition }
        return [partitionKey('T', partition), { ...what, config, leaderEpoch: -1 }]
      }),
    )
  }

  get driver(): StoreDriver {
    return this.#driver!
  }

  /** What partitions are here is known from the metadata. */
  recover(isClean: boolean): void {
    const files = new LaggingFs(this.#disk, this.#around.world.random)
    this.#files = files
    this.#driver = this.#open(files, files.front, isClean && this.#isClosed)
    files.settle(files.calls)
  }

  worker(process: Process): RealWorker {
    return new RealWorker(process, this)
  }

  crash(isPowerCut: boolean): void {
    const { random } = this.#around.world
    if (this.#files !== null) this.#disk = this.#files.crash(isPowerCut, random)
    else if (isPowerCut) this.#disk = this.#disk.image(random)
    this.#isClosed = false
    this.#end()
    this.#look()
  }

  stopped(): void {
    this.#isClosed = this.driver.command('close', {}).clean
    const { random } = this.#around.world
    this.#files!.settle(this.#files!.calls)
    this.#disk = this.#files!.crash(false, random)
    this.#end()
    this.#look()
  }

  replace(): void {
    this.logs.clear()
    this.#disk = new MemoryFs(this.#around.world.random)
  }

  /** A partition's log, made if there is none. */
  make(key: string): RealLog {
    const known = this.logs.get(key)
    if (known !== undefined) return known
    return this.begin(key)
  }

  /** A new and empty log; what is there in its place is put aside. */
  begin(key: string): RealLog {
    const partition = this.#partitions.get(key)!
    const log = new RealLog(key, partition, this.#files!.front)
    log.take(this.driver.open([partition], false)[0]!)
    this.logs.set(key, log)
    return log
  }

  stop(key: string): void {
    const { handle } = this.#partitions.get(key)!
    if (this.logs.delete(key)) this.driver.command('delete', { handles: [handle] })
  }

  /** Tells it when all that was done so far is on the disk, in order. */
  settled(delay: number, done: () => void): void {
    const { world } = this.#around
    const { process } = this.#node
    const files = this.#files!
    const { calls } = files
    const at = Math.max(this.#busyUntil, world.now + delay)
    this.#busyUntil = at
    const { offline, stacks } = this.driver
    for (const reason of offline.values()) throw new Violation(`offline: ${reason} ${stacks}`)
    world.after(at - world.now, () => {
      if (this.#files !== files) return
      files.settle(calls)
      process!.deliver(done)
    })
  }

  #end(): void {
    this.#files = null
    this.#driver = null
    this.#busyUntil = 0
  }

  /** What is on the disk of a process that is gone: others' checks ask for that. */
  #look(): void {
    const files = this.#disk.clone(this.#around.world.random)
    this.#open(files, files, this.#isClosed)
  }

  #open(files: FileSystem, seen: MemoryFs, clean: boolean): StoreDriver {
    const { world } = this.#around
    const driver = new StoreDriver({
      ...this.#setup,
      files,
      clean,
      now: () => 1_000_000 + Math.floor(world.now),
      monotonic: () => world.now,
      freeBytes: () => (this.#node.isFull ? 0 : Number.POSITIVE_INFINITY),
    })
    const keys = [...this.logs.keys()]
    const views = driver.open(keys.map(key => this.#partitions.get(key)!))
    keys.forEach((key, i) => {
      const log = new RealLog(key, this.#partitions.get(key)!, seen)
      log.take(views[i]!)
      log.settle()
      this.logs.set(key, log)
    })
    driver.command('ready', { workers: 1 })
    return driver
  }
}
