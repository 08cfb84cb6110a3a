import { join } from 'node:path'
import type { ConfigValues } from '../configs/definition.ts'
import { isCompacted, type TopicConfig } from '../configs/topic.ts'
import { type BrokerConfigView, resolveTopicConfig } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { guarded } from '../guarded.ts'
import type { Change, MetadataStore } from '../metadata/store.ts'
import { BatchOpener } from '../protocol/batch-content.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ENTRY_HANDLE } from '../shared/entry.ts'
import type { LogView, PartitionToOpen } from '../storage/commands.ts'
import { errorOf, type Failure, failureOf } from '../storage/failure.ts'
import { realFileSystem } from '../storage/fs.ts'
import { OpenFiles } from '../storage/open-files.ts'
import { BufferPool } from './buffer-pool.ts'
import { Exclusive } from './exclusive.ts'
import { FairQueue } from './fair-queue.ts'
import { Freeing } from './freeing.ts'
import { CONTENT_BYTES_MAX, logConfigOf } from './log-config.ts'
import { LogReader } from './log-reader.ts'
import { Partition } from './partition.ts'
import { RecordDeletions } from './record-deletions.ts'
import { COMMAND_PARTITIONS, eachWorker, Rounds } from './rounds.ts'
import type { SegmentView } from './segment-view.ts'
import { Tombstones } from './tombstones.ts'
import { collisionKey, isInternalTopic, topicNameProblem } from './topic-names.ts'
import { PARTITION_FOLDER, TOPIC_PREFIX, type TopicRecord } from './topic-record.ts'
import { randomUuid } from './uuid.ts'
import type { WorkerLink } from './worker-link.ts'

/** Partitions that one topic may have. */
export const PARTITIONS_MAX = 100_000

export interface Topic {
  readonly name: string
  readonly id: string
  /** What was set on the topic itself. */
  configs: ConfigValues
  /** What is in force. */
  config: TopicConfig
  readonly partitions: Partition[]
  readonly brokerEpoch: number
}

export interface RegistryOptions {
  readonly store: MetadataStore
  readonly workers: readonly WorkerLink[]
  readonly dataDir: string
  /** Starts of this broker on this data folder, this one included. */
  readonly brokerEpoch: number
  /** Files that readers may have open. */
  readonly openSegmentsMax: number
  readonly configView: () => BrokerConfigView
  readonly producerIdExpirationMs: () => number
  /** Why nothing new may be made now (the disk is nearly full), or null. */
  readonly refusesGrowth: () => string | null
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/**
 * All topics of the broker: looked up by name and id, created, changed and deleted. The metadata store decides what
 * exists; a topic is visible here once its logs are open. Changes run one after the other, of
 * clients in turn.
 */
export class Registry {
  readonly pool = new BufferPool()
  /** Whatever changes the closed segments of a partition, by handle. */
  readonly exclusive = new Exclusive()
  /** Large files that no log has any more. */
  readonly freeing: Freeing
  /** What timers do with all partitions. */
  readonly rounds: Rounds
  readonly #o: RegistryOptions
  readonly #tombstones: Tombstones
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #collisions = new Map<string, string>()
  readonly #openSegments: OpenFiles<SegmentView>
  readonly #byHandle: (Partition | undefined)[] = []
  readonly #deletions = new RecordDeletions()
  readonly #changes = new FairQueue()
  #revision = 0
  /** Opens batches without waiting; there as soon as a topic is compacted to which clients write. */
  opener: BatchOpener | null = null
  /** Called when a topic is gone, before its deletion resolves. */
  onDeleted: (topic: Topic) => void = () => {}

  constructor(options: RegistryOptions) {
    this.#o = options
    this.#tombstones = new Tombstones(options.store)
    this.#openSegments = new OpenFiles<SegmentView>(options.openSegmentsMax)
    this.freeing = new Freeing((err, path) =>
      options.log.error({ err, path }, 'a file that is no part of a log any more was not removed'),
    )
    this.rounds = new Rounds({
      topics: () => this.topics,
      partition: handle => this.#byHandle[handle],
      exclusive: this.exclusive,
      guard: (partition, action) => this.#guard(partition, action),
      log: options.log,
    })
    for (const link of options.workers) {
      link.onCompletion = (ring, at) => {
        const partition = this.#byHandle[ring.words[(at >> 2) + ENTRY_HANDLE]!]
        // As #guard does, without a function for each append.
        try {
          partition?.onCompletion(ring, at)
        } catch (error) {
          this.#giveUp(partition!, error)
        }
      }
      link.onOffline = event => this.#takeOffline(event.handle, event)
      link.onBadWaiter = err =>
        options.log.error({ err }, 'bug: who waited for an append could not be told')
    }
  }

  topic(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  topicById(id: string): Topic | undefined {
    return this.#byId.get(id)
  }

  /** Rises with every topic that is made, deleted or given more partitions. */
  get revision(): number {
    return this.#revision
  }

  get topics(): Iterable<Topic> {
    return this.#byName.values()
  }

  partition(name: string, index: number): Partition | undefined {
    return this.#byName.get(name)?.partitions[index]
  }

  /** Opens every topic that the metadata has: at start, with recovery. */
  async load(): Promise<void> {
    const topics: Topic[] = []
    for (const { key, value } of await this.#o.store.list(TOPIC_PREFIX)) {
      const record = value as unknown as TopicRecord
      const topic = this.#newTopic(key.slice(TOPIC_PREFIX.length), record)
      this.#addPartitions(topic, record.partitions)
      topics.push(topic)
    }
    await this.#tombstones.load()
    const partitions = topics.flatMap(t => t.partitions)
    await this.#open(partitions, true)
    await this.#sweep(partitions)
    await Promise.all(
      this.#o.workers.map(w => w.command('ready', { workers: this.#o.workers.length })),
    )
    for (const topic of topics) {
      await this.#prepare(topic)
      this.#add(topic)
    }
  }

  /** Folders of no topic: what a crash left of deleted ones goes, the others are set aside. */
  async #sweep(partitions: readonly Partition[]): Promise<void> {
    const known = new Set(partitions.map(({ name }) => name))
    const folders = realFileSystem
      .readdir(this.#o.dataDir)
      .filter(name => PARTITION_FOLDER.test(name) && !known.has(name))
    if (folders.length > 0) {
      const input = { folders, deleted: this.#tombstones.ids }
      const { notes } = await this.#o.workers[0]!.command('sweep', input)
      for (const note of notes) this.#o.log.warn({}, note)
    }
    await this.#tombstones.clear()
  }

  /**
   * Creates a topic; it can be written when this resolves. `configs` are checked by the caller. `client` is who asks: clients
   * that ask for much wait for others in between. A topic of that name goes first if `replaces` says so of it in its turn.
   */
  create(
    name: string,
    partitions: number,
    configs: ConfigValues,
    client = '',
    replaces: (topic: Topic) => boolean = () => false,
  ): Promise<Topic> {
    return this.#change(async () => {
      const known = this.#byName.get(name)
      if (known !== undefined && replaces(known)) await this.#remove(known)
      this.checkNewName(name)
      this.#checkRoom()
      const { brokerEpoch, store } = this.#o
      const record: TopicRecord = { id: newTopicId(), partitions, configs, brokerEpoch }
      const { ok } = await store.compareAndSet(TOPIC_PREFIX + name, 0, { ...record })
      if (!ok)
        throw new BrokerError(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
      const topic = this.#newTopic(name, record)
      this.#addPartitions(topic, partitions)
      await this.#open(topic.partitions, false)
      await this.#prepare(topic)
      this.#add(topic)
      this.#o.log.info({ topic: name, partitions, id: topic.id }, 'topic created')
      return topic
    }, client)
  }

  /** Throws the error that creating a topic of this name would end with. */
  checkNewName(name: string): void {
    const problem = topicNameProblem(name)
    if (problem !== null) throw new BrokerError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
    if (this.#byName.has(name)) {
      throw new BrokerError(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
    }
    const other = this.#collisions.get(collisionKey(name))
    if (other !== undefined) {
      throw new BrokerError(
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        `Topic '${name}' collides with existing topic '${other}': "." and "_" count as the same.`,
      )
    }
  }

  #checkRoom(): void {
    const refusal = this.#o.refusesGrowth()
    if (refusal !== null) throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, refusal)
  }

  /**
   * Deletes a topic: when this resolves its records cannot be read any more and its files are gone; large ones go soon
   * after, and what cannot be removed goes with the next start, which the metadata tells.
   */
  delete(topic: Topic): Promise<void> {
    return this.#change(() => this.#remove(topic))
  }

  async #remove(topic: Topic): Promise<void> {
    const buried = this.#tombstones.changesFor(topic)
    await this.#update(topic, null, buried)
    this.#tombstones.applied(buried)
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#collisions.delete(collisionKey(topic.name))
    for (const partition of topic.partitions) {
      partition.markDeleted()
      this.#byHandle[partition.handle] = undefined
    }
    this.#revision++
    guarded(this.#o.log, 'a listener of deletions failed', { topic: topic.name }, () =>
      this.onDeleted(topic),
    )
    const handles = topic.partitions.map(({ handle }) => handle)
    const left: string[] = []
    await this.exclusive.run(handles, () =>
      eachWorker(topic.partitions, async (worker, own) => {
        const { doomed, failed } = await worker.command('delete', { handles: own })
        for (const folder of doomed) this.freeing.add(folder)
        left.push(...failed)
      }),
    )
    for (const reason of left) {
      this.#o.log.error({ topic: topic.name, reason }, 'not removed: the next start does it')
    }
    const isLost = topic.partitions.some(({ worker }) => worker.isLost)
    if (left.length === 0 && !isLost) this.#tombstones.finish(topic.id)
    this.#o.log.info({ topic: topic.name, id: topic.id }, 'topic deleted')
  }

  /** Raises the number of partitions to `count`. @throws BrokerError INVALID_PARTITIONS if it has that many */
  addPartitions(topic: Topic, count: number): Promise<void> {
    return this.#change(async () => {
      const from = topic.partitions.length
      if (count <= from) {
        const message = `Topic '${topic.name}' has ${from} partitions already, ${count} would not be more.`
        throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
      }
      this.#checkRoom()
      await this.#update(topic, record => ({ ...record, partitions: count }))
      const grown: Topic = { ...topic, partitions: [...topic.partitions] }
      this.#addPartitions(grown, count)
      const added = grown.partitions.slice(from)
      await this.#open(added, false)
      topic.partitions.push(...added)
      this.#revision++
      this.#o.log.info({ topic: topic.name, partitions: count }, 'partitions added')
    })
  }

  /**
   * Changes what is set on the topic itself. `change` is given the values of its turn, so that no other change is lost,
   * and checks the new ones; if it throws, nothing changes.
   */
  setConfigs(topic: Topic, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    return this.#change(async () => {
      const configs = change(topic.configs)
      await this.#update(topic, record => ({ ...record, configs }))
      topic.configs = configs
      await this.#applyConfig(topic)
      this.#o.log.info({ topic: topic.name, configs }, 'topic configs changed')
    })
  }

  /** The broker's configs have changed: topics that do not override them follow. */
  reconfigure(): Promise<void> {
    return this.#change(async () => {
      for (const topic of this.#byName.values()) await this.#applyConfig(topic)
    })
  }

  /** Moves the log start up; durable when it resolves. */
  async deleteRecords(partition: Partition, offset: number): Promise<void> {
    await this.exclusive.run([partition.handle], async () => {
      partition.update(await this.#deletions.run(partition, offset))
    })
  }

  /** A worker thread is gone: so are its partitions, until the broker is started again. */
  loseWorker(worker: WorkerLink, reason: string): void {
    for (const partition of this.#byHandle) {
      if (partition?.worker === worker) this.#takeOffline(partition.handle, { reason, stack: null })
    }
  }

  /** Closes the files that readers hold. */
  async close(): Promise<void> {
    for (const partition of this.#byHandle) partition?.reader.close()
    await this.freeing.close()
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
  #guard(partition: Partition, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#giveUp(partition, error)
    }
  }

  #giveUp({ handle, worker, name }: Partition, error: unknown): void {
    const failure = failureOf(error)
    this.#takeOffline(handle, failure)
    if (worker.isLost) return
    worker.command('giveUp', { handle, reason: failure.reason }).catch(err => {
      this.#o.log.error({ err, partition: name }, 'its worker could not be told')
    })
  }

  #change<T>(run: () => Promise<T>, client = ''): Promise<T> {
    return this.#changes.run(client, run)
  }

  #newTopic(name: string, record: TopicRecord): Topic {
    const config = resolveTopicConfig(record.configs, this.#o.configView())
    const { id, configs, brokerEpoch } = record
    return { name, id, configs, config, partitions: [], brokerEpoch }
  }

  #addPartitions(topic: Topic, count: number): void {
    for (let index = topic.partitions.length; index < count; index++) {
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
        leaderEpoch: this.#o.brokerEpoch - topic.brokerEpoch,
        config: topic.config,
        onBadListener: err =>
          this.#o.log.error(
            { err, partition: partition.name },
            'bug: a listener of appends failed',
          ),
      })
      this.#byHandle.push(partition)
      topic.partitions.push(partition)
    }
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

  async #open(partitions: readonly Partition[], recovering: boolean): Promise<void> {
    for (let i = 0; i < partitions.length; i += COMMAND_PARTITIONS) {
      const batch = partitions.slice(i, i + COMMAND_PARTITIONS)
      await eachWorker(batch, async (worker, handles) => {
        const toOpen = handles.map(handle => this.#toOpen(this.#byHandle[handle]!))
        const deleted = this.#tombstones.idsOf(new Set(batch.map(({ topic }) => topic)))
        const request = { partitions: toOpen, recovering, deleted }
        const { views, notes } = await worker.command('open', request)
        for (const note of notes) this.#o.log.warn({}, note)
        for (const view of views) this.#opened(view)
      })
    }
  }

  #opened(view: LogView): void {
    const partition = this.#byHandle[view.handle]!
    const { offline } = view
    if (offline !== null) this.#takeOffline(view.handle, { reason: offline, stack: null })
    partition.update(view)
  }

  #toOpen(partition: Partition): PartitionToOpen {
    const config = logConfigOf(partition.config, this.#o.producerIdExpirationMs())
    const { handle, name, topicId, index } = partition
    return { handle, name, topicId, partition: index, config }
  }

  #add(topic: Topic): void {
    this.#revision++
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
    this.#collisions.set(collisionKey(topic.name), topic.name)
  }

  /** Before clients can write to it: their batches on a compacted topic are looked into, which must not wait then. */
  async #prepare({ name, config }: Pick<Topic, 'name' | 'config'>): Promise<void> {
    if (!isCompacted(config) || isInternalTopic(name)) return
    this.opener ??= await BatchOpener.load(CONTENT_BYTES_MAX)
  }

  async #applyConfig(topic: Topic): Promise<void> {
    const changed = resolveTopicConfig(topic.configs, this.#o.configView())
    await this.#prepare({ name: topic.name, config: changed })
    topic.config = changed
    for (const partition of topic.partitions) partition.config = topic.config
    const config = logConfigOf(topic.config, this.#o.producerIdExpirationMs())
    await eachWorker(topic.partitions, (worker, handles) =>
      worker.command('configure', { handles, config }),
    )
  }

  async #update(
    topic: Topic,
    next: ((record: TopicRecord) => TopicRecord) | null,
    beside: readonly Change[] = [],
  ): Promise<void> {
    const key = TOPIC_PREFIX + topic.name
    const entry = await this.#o.store.get(key)
    const record = entry?.value as unknown as TopicRecord | undefined
    const value = next === null || record === undefined ? null : { ...next(record) }
    const same = entry !== null && record?.id === topic.id
    const compares = [{ key, revision: entry?.revision ?? 0 }]
    const changes = [{ key, value }, ...beside]
    const done = same && (await this.#o.store.transact(compares, changes)).ok
    if (!done) {
      const message = `Topic '${topic.name}' has been deleted or changed meanwhile.`
      throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    }
  }
}

/** A random id in Kafka's text form; never one of the reserved ones, nor one that starts with a dash (Uuid.java). */
function newTopicId(): string {
  for (;;) {
    const id = randomUuid()
    if (!id.startsWith('-')) return id
  }
}
