import type { ConfigValues } from '../configs/definition.ts'
import { isCompacted, type TopicConfig } from '../configs/topic.ts'
import { type BrokerConfigView, resolveTopicConfig } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { guarded } from '../guarded.ts'
import type { Change, MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'
import { BatchOpener } from '../protocol/batch-content.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { realFileSystem } from '../storage/fs.ts'
import { FairQueue } from './fair-queue.ts'
import { CONTENT_BYTES_MAX } from './log-config.ts'
import type { Partition } from './partition.ts'
import { Replicas, type ReplicasOptions } from './replicas.ts'
import { Rounds } from './rounds.ts'
import { Tombstones } from './tombstones.ts'
import { collisionKey, isInternalTopic, topicNameProblem } from './topic-names.ts'
import { PARTITION_FOLDER, TOPIC_PREFIX, type TopicRecord } from './topic-record.ts'
import { randomUuid } from './uuid.ts'

/** Partitions that one topic may have. */
export const PARTITIONS_MAX = 100_000

export interface Topic {
  readonly name: string
  readonly id: string
  /** What was set on the topic itself. */
  configs: ConfigValues
  /** What is in force. */
  config: TopicConfig
  partitionCount: number
  /** Those whose logs are on this broker, in order of index; on a broker without a cluster that is all of them. */
  readonly partitions: Partition[]
  readonly brokerEpoch: number
}

/** The partition, if its log is on this broker. */
export function replicaOf({ partitions }: Topic, index: number): Partition | undefined {
  const first = partitions[index]
  if (first?.index === index) return first
  return partitions.find(partition => partition.index === index)
}

export interface RegistryOptions extends ReplicasOptions {
  readonly store: MetadataStore
  /** Starts of this broker on this data folder, this one included. */
  readonly brokerEpoch: number
  readonly configView: () => BrokerConfigView
  /** Why nothing new may be made now (the disk is nearly full), or null. */
  readonly refusesGrowth: () => string | null
}

/**
 * All topics of the broker: looked up by name and id, created, changed and deleted. The metadata store decides what
 * exists; a topic is visible here once its logs are open. Changes run one after the other, of
 * clients in turn.
 */
export class Registry {
  /** The partitions that are on this broker. */
  readonly replicas: Replicas
  /** What timers do with all partitions. */
  readonly rounds: Rounds
  readonly #o: RegistryOptions
  readonly #tombstones: Tombstones
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #collisions = new Map<string, string>()
  readonly #changes = new FairQueue()
  #revision = 0
  /** Opens batches without waiting; there as soon as a topic is compacted to which clients write. */
  opener: BatchOpener | null = null
  /** Called when a topic is gone, before its deletion resolves. */
  onDeleted: (topic: Topic) => void = () => {}

  constructor(options: RegistryOptions) {
    this.#o = options
    this.#tombstones = new Tombstones(options.store)
    this.replicas = new Replicas(options)
    this.rounds = new Rounds({
      topics: () => this.topics,
      replicas: this.replicas,
      log: options.log,
    })
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

  /** The partition, if its log is on this broker, whoever leads it. */
  partition(name: string, index: number): Partition | undefined {
    const topic = this.#byName.get(name)
    return topic === undefined ? topic : replicaOf(topic, index)
  }

  /** Whether there is such a partition, here or elsewhere. */
  has(name: string, index: number): boolean {
    return index >= 0 && index < (this.#byName.get(name)?.partitionCount ?? 0)
  }

  /**
   * The partition where it is led, as nearly all wants that is asked of one; be it offline. Else the code that says why it is
   * not asked of this broker.
   */
  led(topic: Topic | undefined, index: number): Partition | ErrorCode {
    const partition = topic === undefined ? undefined : replicaOf(topic, index)
    if (partition?.leads) return partition
    const isThere = topic !== undefined && index >= 0 && index < topic.partitionCount
    return isThere ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** Opens every topic that the metadata has: at start, with recovery. */
  async load(): Promise<void> {
    const topics: Topic[] = []
    const { entries } = await this.#o.store.list(TOPIC_PREFIX)
    for (const { key, value } of entries) {
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
      const { outcome } = await store.compareAndSet(TOPIC_PREFIX + name, 0, { ...record })
      if (outcome === 'refused')
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
    this.replicas.forget(topic.partitions)
    this.#revision++
    guarded(this.#o.log, 'a listener of deletions failed', { topic: topic.name }, () =>
      this.onDeleted(topic),
    )
    const left = await this.replicas.remove(topic.partitions)
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
      const from = topic.partitionCount
      checkMore(topic.name, from, count)
      this.#checkRoom()
      await this.#update(topic, record => {
        checkMore(topic.name, record.partitions, count)
        return { ...record, partitions: count }
      })
      const grown: Topic = { ...topic, partitions: [...topic.partitions] }
      this.#addPartitions(grown, count)
      const added = grown.partitions.slice(from)
      await this.#open(added, false)
      topic.partitions.push(...added)
      topic.partitionCount = count
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
      let configs = topic.configs
      await this.#update(topic, record => {
        configs = change(record.configs)
        return { ...record, configs }
      })
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

  #change<T>(run: () => Promise<T>, client = ''): Promise<T> {
    return this.#changes.run(client, run)
  }

  #newTopic(name: string, record: TopicRecord): Topic {
    const config = resolveTopicConfig(record.configs, this.#o.configView())
    const { id, configs, brokerEpoch } = record
    const partitionCount = record.partitions
    return { name, id, configs, config, partitionCount, partitions: [], brokerEpoch }
  }

  #addPartitions(topic: Topic, count: number): void {
    for (let index = topic.partitions.length; index < count; index++) {
      const leaderEpoch = this.#o.brokerEpoch - topic.brokerEpoch
      topic.partitions.push(this.replicas.make(topic, index, leaderEpoch))
    }
  }

  #open(partitions: readonly Partition[], recovering: boolean): Promise<void> {
    return this.replicas.open(partitions, recovering, topics => this.#tombstones.idsOf(topics))
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
    await this.replicas.configure(topic.partitions, changed)
  }

  /** @param next is asked again where another broker was faster; null: the topic goes */
  #update(
    topic: Topic,
    next: ((record: TopicRecord) => TopicRecord) | null,
    beside: readonly Change[] = [],
  ): Promise<void> {
    const key = TOPIC_PREFIX + topic.name
    return update(this.#o.store, key, now => {
      const record = now?.value as unknown as TopicRecord | undefined
      if (record?.id !== topic.id) {
        const message = `Topic '${topic.name}' has been deleted or changed meanwhile.`
        throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
      }
      const value = next === null ? null : { ...next(record) }
      return [{ key, value }, ...beside]
    })
  }
}

function checkMore(topic: string, from: number, count: number): void {
  if (count > from) return
  const message = `Topic '${topic}' has ${from} partitions already, ${count} would not be more.`
  throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
}

/** A random id in Kafka's text form; never one of the reserved ones, nor one that starts with a dash (Uuid.java). */
function newTopicId(): string {
  for (;;) {
    const id = randomUuid()
    if (!id.startsWith('-')) return id
  }
}

/** For callers inside the process, which cannot be sent elsewhere. @throws BrokerError NOT_LEADER_OR_FOLLOWER */
export function ledHere(registry: Registry, topic: Topic, index: number): Partition {
  const found = registry.led(topic, index)
  if (typeof found !== 'number') return found
  const message = `Partition ${topic.name}-${index} is led by another broker: use a client.`
  throw new BrokerError(found, message)
}
