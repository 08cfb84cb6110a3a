import { resolveTopicConfig } from '../../src/configs/values.ts'
import { batchBytes } from '../../src/protocol/record-batch.ts'
import { encodePlainBatch } from '../../src/protocol/records.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { DataDir } from '../../src/topics/data-dir.ts'
import { logConfigOf } from '../../src/topics/log-config.ts'
import { PARTITION_FOLDER, TOPIC_PREFIX, type TopicRecord } from '../../src/topics/topic-record.ts'
import { plainBatch } from './batches.ts'
import { compactStore } from './compact-store.ts'
import { MemoryFs } from './memory-fs.ts'
import type { Random } from './random.ts'
import { DATA_DIR, readLog, StoreDriver, type Stored } from './store-driver.ts'

const NODE = 1
const WORKERS = 2
const CLUSTER = 'cluster-of-the-test-1A'
const NO_CONFIGS = { dynamicBroker: {}, dynamicDefault: {}, static: {} }
const JOURNAL = { journalFileBytes: 16 * 1024, bypassBytes: 4 * 1024 }

/** Topics with small segments; the last one is compacted. */
const TOPICS: readonly { name: string; partitions: number; compacted: boolean }[] = [
  { name: 'orders', partitions: 2, compacted: false },
  { name: 'single', partitions: 1, compacted: false },
  { name: 'keys', partitions: 1, compacted: true },
]
const SEGMENT_BYTES = 4_000

interface Opened {
  readonly partition: PartitionToOpen
  readonly driver: StoreDriver
  view: LogView
}

/** A broker without sockets and threads: metadata, workers and all their files, in a file system in memory. */
export class RunningFolder {
  readonly dir: DataDir
  readonly drivers: readonly StoreDriver[]
  readonly logs = new Map<string, Opened>()
  readonly #files: MemoryFs

  private constructor(files: MemoryFs, dir: DataDir) {
    this.#files = files
    this.dir = dir
    this.drivers = Array.from(
      { length: WORKERS },
      (_, worker) => new StoreDriver({ files, worker, clean: dir.wasClean, ...JOURNAL }),
    )
  }

  /** What `BrokerNode.start` does with the folder. @throws what refuses a start */
  static async start(files: MemoryFs): Promise<RunningFolder> {
    files.mkdir(DATA_DIR)
    const dir = new DataDir(DATA_DIR, NODE, CLUSTER, files)
    const running = new RunningFolder(files, dir)
    await dir.begin()
    await dir.expectNoMoreThan(WORKERS)
    const { entries } = await dir.store.list(TOPIC_PREFIX)
    for (const { key, value } of entries) {
      running.#open(key.slice(TOPIC_PREFIX.length), value as unknown as TopicRecord, true)
    }
    const folders = files.readdir(DATA_DIR).filter(name => PARTITION_FOLDER.test(name))
    const strays = folders.filter(name => !running.logs.has(name))
    running.drivers[0]!.command('sweep', { folders: strays, deleted: [] })
    for (const driver of running.drivers) driver.command('ready', { workers: WORKERS })
    await dir.expectJournals(WORKERS)
    return running
  }

  async create(): Promise<void> {
    const epoch = ((await this.dir.store.get(`brokers/${NODE}/epoch`))?.value as number) ?? 1
    for (const [i, { name, partitions, compacted }] of TOPICS.entries()) {
      const configs: Record<string, string> = compacted ? { 'cleanup.policy': 'compact' } : {}
      const id = Buffer.alloc(16, i + 7).toString('base64url')
      const record: TopicRecord = { id, partitions, configs, brokerEpoch: epoch }
      await this.dir.store.compareAndSet(TOPIC_PREFIX + name, 0, { ...record })
      this.#open(name, record, false)
    }
  }

  #open(topic: string, record: TopicRecord, recovering: boolean): void {
    const config = {
      ...logConfigOf(resolveTopicConfig(record.configs, NO_CONFIGS), 86_400_000),
      segmentBytes: SEGMENT_BYTES,
    }
    for (let partition = 0; partition < record.partitions; partition++) {
      const handle = this.logs.size
      const name = `${topic}-${partition}`
      const toOpen = {
        handle,
        name,
        topicId: record.id,
        partition,
        config,
        leaderEpoch: this.#epoch,
      }
      const driver = this.drivers[handle % WORKERS]!
      const [view] = driver.open([toOpen], recovering)
      this.logs.set(name, { partition: toOpen, driver, view: view! })
    }
  }

  append(name: string, bytes: Buffer): number {
    const { driver, partition } = this.logs.get(name)!
    driver.submit(partition, bytes, this.#epoch)
    return driver.run().at(-1)!.baseOffset
  }

  get #epoch(): number {
    return (this.dir.store.peek(`brokers/${NODE}/epoch`) as number) - 1
  }

  /** The log as it is now. */
  view(name: string): LogView {
    const { driver, partition } = this.logs.get(name)!
    const items = [{ handle: partition.handle, offset: 0 }]
    return driver.command('deleteRecords', { items }).views[0]!
  }

  async compact(name: string, view: LogView): Promise<void> {
    const { driver, partition } = this.logs.get(name)!
    await compactStore(driver, this.#files, partition, view, SEGMENT_BYTES)
  }

  /** What is served of each partition; null if it is offline. */
  served(): Map<string, Stored[] | null> {
    const all = new Map<string, Stored[] | null>()
    for (const [name, { view }] of this.logs) {
      const isOnline = view.offline === null
      all.set(name, isOnline ? readLog(this.#files, name, view).filter(isServed(view)) : null)
    }
    return all
  }

  async stop(): Promise<void> {
    const closed = this.drivers.map(driver => driver.command('close', {}))
    await this.dir.store.close()
    if (closed.every(({ clean }) => clean)) this.dir.markClean()
  }
}

const isServed =
  ({ logStartOffset }: LogView) =>
  ({ baseOffset, bytes }: Stored): boolean =>
    baseOffset + bytes.readInt32BE(23) >= logStartOffset && batchBytes(bytes) > 0

let ids = 1

const batchOf = (name: string, random: Random): Buffer =>
  name.startsWith('keys')
    ? encodePlainBatch(
        Array.from({ length: 1 + random.below(3) }, () => ({
          timestamp: 1_000 + random.below(500),
          key: Buffer.from(`key-${random.below(6)}`),
          value: random.chance(0.1) ? null : Buffer.alloc(random.below(300), 5),
        })),
      )
    : plainBatch({
        ...{ id: ids++, records: 1 + random.below(3), contentBytes: 20 + random.below(500) },
        ...{ timestamp: 1_000 + random.below(500) },
      })

/**
 * A folder as a broker leaves it that has been started a few times: logs of several segments, some shortened at the front, one compacted;
 * left clean, killed, or after a power cut.
 */
export async function writeFolder(
  random: Random,
  ending: 'clean' | 'kill' | 'power cut',
): Promise<MemoryFs> {
  let files = new MemoryFs(random)
  const starts = 1 + random.below(3)
  for (let start = 0; start < starts; start++) {
    const running = await RunningFolder.start(files)
    if (start === 0) await running.create()
    for (let i = 0; i < 60; i++) {
      const name = random.pick([...running.logs.keys()])
      running.append(name, batchOf(name, random))
      if (random.chance(0.03)) for (const driver of running.drivers) driver.tick()
    }
    if (random.chance(0.5)) {
      const { driver, partition } = running.logs.get('orders-0')!
      driver.deleteRecords(partition.handle, 1 + random.below(8))
    }
    const view = running.view('keys-0')
    if (view.segments.length > 1) await running.compact('keys-0', view)
    const isLast = start === starts - 1
    if (!isLast || ending === 'clean') await running.stop()
    else if (ending === 'kill') files = files.clone(random)
    else files = files.image(random)
  }
  return files
}
