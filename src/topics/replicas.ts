import { join } from 'node:path'
import { ENTRY_HANDLE } from '../shared/entry.ts'
import type { LogView, PartitionToOpen } from '../storage/commands.ts'
import { errorOf, type Failure, failureOf } from '../storage/failure.ts'
import { OpenFiles } from '../storage/open-files.ts'
import { BufferPool } from './buffer-pool.ts'
import { Exclusive } from './exclusive.ts'
import { Freeing } from './freeing.ts'
import { logConfigOf } from './log-config.ts'
import { LogReader } from './log-reader.ts'
import { Partition } from './partition.ts'
import { RecordDeletions } from './record-deletions.ts'
import { COMMAND_PARTITIONS, eachWorker } from './rounds.ts'
import type { SegmentView } from './segment-view.ts'
import type { Topic } from './topic-table.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicasOptions {
  readonly workers: readonly WorkerLink[]
  readonly dataDir: string
  /** Files that readers may have open. */
  readonly openSegmentsMax: number
  readonly producerIdExpirationMs: () => number
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/** The partitions whose logs are on this broker, by the handle under which their worker knows them: opened, read, lost, removed. */
export class Replicas {
  readonly pool = new BufferPool()
  /** Whatever changes the closed segments of a partition, by handle. */
  readonly exclusive = new Exclusive()
  /** Large files that no log has any more. */
  readonly freeing: Freeing
  readonly #o: ReplicasOptions
  readonly #openSegments: OpenFiles<SegmentView>
  readonly #byHandle: (Partition | undefined)[] = []
  readonly #deletions = new RecordDeletions()

  constructor(options: ReplicasOptions) {
    this.#o = options
    this.#openSegments = new OpenFiles<SegmentView>(options.openSegmentsMax)
    this.freeing = new Freeing((err, path) =>
      options.log.error({ err, path }, 'a file that is no part of a log any more was not removed'),
    )
    for (const link of options.workers) this.#follow(link)
  }

  #follow(link: WorkerLink): void {
    link.onCompletion = (ring, at) => {
      const partition = this.#byHandle[ring.words[(at >> 2) + ENTRY_HANDLE]!]
      // As `guard` does, without a function for each append.
      try {
        partition?.onCompletion(ring, at)
      } catch (error) {
        this.giveUp(partition!, error)
      }
    }
    link.onStability = (ring, at) => {
      const partition = this.#byHandle[ring.words[(at >> 2) + ENTRY_HANDLE]!]
      if (partition !== undefined) this.guard(partition, () => partition.onStability(ring, at))
    }
    link.onPlaced = (ring, at) => {
      const partition = this.#byHandle[ring.words[(at >> 2) + ENTRY_HANDLE]!]
      if (partition !== undefined) this.guard(partition, () => partition.onPlaced(ring, at))
    }
    link.onOffline = event => this.#takeOffline(event.handle, event)
    link.onViews = views => {
      for (const view of views) this.#update(view)
    }
    link.onBadWaiter = err =>
      this.#o.log.error({ err }, 'bug: who waited for an append could not be told')
  }

  get(handle: number): Partition | undefined {
    return this.#byHandle[handle]
  }

  /** A partition of a topic, not open yet. */
  make(
    topic: Pick<Topic, 'name' | 'id' | 'config' | 'hasGaps'>,
    index: number,
    leaderEpoch: number,
  ): Partition {
    const handle = this.#byHandle.length
    const worker = this.#o.workers[handle % this.#o.workers.length]!
    const dir = join(this.#o.dataDir, `${topic.name}-${index}`)
    const { pool, freeing } = this
    const shared = { pool, open: this.#openSegments, freeing, tails: worker.tails }
    const reader = new LogReader(dir, shared, base => this.#rebuildIndexes(handle, base))
    const partition: Partition = new Partition({
      topic: topic.name,
      topicId: topic.id,
      index,
      handle,
      worker,
      reader,
      leaderEpoch,
      config: topic.config,
      hasGaps: topic.hasGaps,
      onBadListener: err =>
        this.#o.log.error({ err, partition: partition.name }, 'bug: a listener of appends failed'),
    })
    this.#byHandle.push(partition)
    return partition
  }

  /**
   * Opens their logs: at the start of the broker with recovery, later as new and empty ones.
   * @param deletedOf ids of deleted topics that may have left folders under these names
   */
  async open(
    partitions: readonly Partition[],
    recovering: boolean,
    deletedOf: (topics: ReadonlySet<string>) => readonly string[],
  ): Promise<void> {
    for (let i = 0; i < partitions.length; i += COMMAND_PARTITIONS) {
      const batch = partitions.slice(i, i + COMMAND_PARTITIONS)
      for (const { reader } of batch) reader.forget()
      await eachWorker(batch, async (worker, handles) => {
        const toOpen = handles.map(handle => this.#toOpen(this.#byHandle[handle]!))
        const deleted = deletedOf(new Set(batch.map(({ topic }) => topic)))
        const request = { partitions: toOpen, recovering, deleted }
        const { notes } = await worker.command('open', request)
        for (const note of notes) this.#o.log.warn({}, note)
      })
    }
  }

  #toOpen(partition: Partition): PartitionToOpen {
    const expirationMs = this.#o.producerIdExpirationMs()
    const config = logConfigOf(partition.config, expirationMs, partition.hasGaps)
    const { handle, name, topicId, index, leaderEpoch } = partition
    return { handle, name, topicId, partition: index, config, leaderEpoch }
  }

  /** What a worker says of a log as a whole. */
  #update(view: LogView): void {
    const partition = this.#byHandle[view.handle]
    if (partition === undefined) return
    const { offline } = view
    if (offline !== null) this.#takeOffline(view.handle, { reason: offline, stack: null })
    this.guard(partition, () => partition.update(view))
  }

  /** A topic's config goes for its partitions from now on. */
  async configure({ partitions, config, hasGaps }: Topic): Promise<void> {
    for (const partition of partitions) {
      partition.config = config
      partition.hasGaps = hasGaps
    }
    const logConfig = logConfigOf(config, this.#o.producerIdExpirationMs(), hasGaps)
    await eachWorker(partitions, (worker, handles) =>
      worker.command('configure', { handles, config: logConfig }),
    )
  }

  /** Nothing more is read or written: whoever waits is told. Their files stay until `remove`. */
  forget(partitions: readonly Partition[]): void {
    for (const partition of partitions) {
      partition.markDeleted()
      this.#byHandle[partition.handle] = undefined
    }
  }

  /** Removes their files; large ones are freed later. @returns what could not be removed, and why */
  async remove(partitions: readonly Partition[]): Promise<string[]> {
    const left: string[] = []
    const handles = partitions.map(({ handle }) => handle)
    await this.exclusive.run(handles, () =>
      eachWorker(partitions, async (worker, own) => {
        const { doomed, failed } = await worker.command('delete', { handles: own })
        for (const folder of doomed) this.freeing.add(folder)
        left.push(...failed)
      }),
    )
    return left
  }

  /** Moves the log start up; durable when it resolves. */
  async deleteRecords(partition: Partition, offset: number): Promise<void> {
    await this.exclusive.run([partition.handle], () => this.#deletions.run(partition, offset))
  }

  #rebuildIndexes(handle: number, base: number): void {
    const partition = this.#byHandle[handle]
    if (partition === undefined || partition.offline !== null) return
    this.#o.log.warn({ partition: partition.name, segment: base }, 'rebuilding a damaged index')
    const rebuild = () => partition.worker.command('rebuildIndexes', { handle, base })
    this.exclusive.run([handle], rebuild).catch(error => {
      this.#takeOffline(handle, failureOf(error))
    })
  }

  /** A worker thread is gone: so are its partitions, until the broker is started again. */
  loseWorker(worker: WorkerLink, reason: string): void {
    for (const partition of this.#byHandle) {
      if (partition?.worker === worker) this.#takeOffline(partition.handle, { reason, stack: null })
    }
  }

  #takeOffline(handle: number, failure: Failure): void {
    const partition = this.#byHandle[handle]
    if (partition === undefined || partition.offline !== null) return
    const { reason, stack } = failure
    partition.goOffline(reason)
    const { name } = partition
    if (stack === null) this.#o.log.error({ partition: name, reason }, 'partition is offline')
    else this.#o.log.error({ err: errorOf(failure), partition: name }, 'bug: partition is offline')
  }

  /** What nobody expected in a partition's own code costs the partition: nobody knows any more what is true of it. */
  guard(partition: Partition, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.giveUp(partition, error)
    }
  }

  /** Its files cannot be trusted any more: it is offline until it is opened anew. */
  giveUp({ handle, worker, name }: Partition, error: unknown): void {
    const failure = failureOf(error)
    this.#takeOffline(handle, failure)
    if (worker.isLost) return
    worker.command('giveUp', { handle, reason: failure.reason }).catch(err => {
      this.#o.log.error({ err, partition: name }, 'its worker could not be told')
    })
  }

  /** Closes the files that readers hold. */
  async close(): Promise<void> {
    for (const partition of this.#byHandle) partition?.reader.close()
    await this.freeing.close()
  }
}
