import type { ConfigValues } from '../configs/definition.ts'
import type { BrokerConfigView } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import type { BatchOpener } from '../protocol/batch-content.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { FairQueue } from './fair-queue.ts'
import type { Partition } from './partition.ts'
import { Replicas, type ReplicasOptions } from './replicas.ts'
import { Rounds } from './rounds.ts'
import type { Placement, TopicSource } from './topic-source.ts'
import { checkMore, hasPartition, replicaOf, type Topic, TopicTable } from './topic-table.ts'

export type { Topic } from './topic-table.ts'

/** Partitions that one topic may have. */
export const PARTITIONS_MAX = 100_000

export interface RegistryOptions extends ReplicasOptions {
  readonly configView: () => BrokerConfigView
  /** Why nothing new may be made now (the disk is nearly full), or null. */
  readonly refusesGrowth: () => string | null
  readonly source: (table: TopicTable) => TopicSource
}

const AS_USUAL: Placement = { replicationFactor: -1, assignments: null }

/**
 * All topics: looked up by name and id, created, changed and deleted. The source decides what exists. Changes run one after
 * the other, of clients in turn.
 */
export class Registry {
  /** The partitions that are on this broker. */
  readonly replicas: Replicas
  /** What timers do with all partitions. */
  readonly rounds: Rounds
  readonly #o: RegistryOptions
  readonly #table: TopicTable
  readonly #source: TopicSource
  readonly #changes = new FairQueue()

  constructor(options: RegistryOptions) {
    this.#o = options
    const { configView, log } = options
    this.replicas = new Replicas(options)
    this.#table = new TopicTable({ replicas: this.replicas, configView, log })
    this.#source = options.source(this.#table)
    this.rounds = new Rounds({ topics: () => this.topics, replicas: this.replicas, log })
  }

  topic(name: string): Topic | undefined {
    return this.#table.get(name)
  }

  topicById(id: string): Topic | undefined {
    return this.#table.byId(id)
  }

  /** Rises with every topic that is made, deleted or given more partitions. */
  get revision(): number {
    return this.#table.revision
  }

  get topics(): Iterable<Topic> {
    return this.#table.all
  }

  /** Opens batches without waiting; null as long as no topic is compacted to which clients write. */
  get opener(): BatchOpener | null {
    return this.#table.opener
  }

  /** Calls back when a topic is gone, before its deletion resolves. */
  whenDeleted(listener: (topic: Topic) => void): void {
    this.#table.deletionListeners.push(listener)
  }

  /** The partition, if its log is on this broker, whoever leads it. */
  partition(name: string, index: number): Partition | undefined {
    const topic = this.#table.get(name)
    return topic && replicaOf(topic, index)
  }

  /** Whether there is such a partition, here or elsewhere. */
  has(name: string, index: number): boolean {
    const topic = this.#table.get(name)
    return topic !== undefined && hasPartition(topic, index)
  }

  /**
   * The partition where it is led, as nearly all wants that is asked of one; be it offline. Else the code that says why it is
   * not asked of this broker.
   */
  led(topic: Topic | undefined, index: number): Partition | ErrorCode {
    if (topic === undefined || !hasPartition(topic, index)) {
      return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    const partition = replicaOf(topic, index)
    return partition?.leads ? partition : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** The partition where it is led or followed: what is committed can be read at both (KIP-392). Else the code, as of `led`. */
  readable(topic: Topic | undefined, index: number): Partition | ErrorCode {
    const found = this.led(topic, index)
    if (found !== ErrorCode.NOT_LEADER_OR_FOLLOWER) return found
    const partition = replicaOf(topic!, index)
    return partition?.replication?.follows ? partition : found
  }

  /** Opens every topic that there is: at start, with recovery. */
  load(): Promise<void> {
    return this.#source.load()
  }

  /**
   * Creates a topic. `configs` are checked by the caller. `client` is who asks: clients
   * that ask for much wait for others in between. A topic of that name goes first if `replaces` says so of it in its turn.
   */
  create(
    name: string,
    partitions: number,
    configs: ConfigValues,
    client = '',
    replaces: (topic: Topic) => boolean = () => false,
    to = AS_USUAL,
  ): Promise<Topic> {
    return this.#change(async () => {
      const known = this.#table.get(name)
      if (known !== undefined && replaces(known)) await this.#remove(known)
      this.checkNewName(name)
      this.#checkRoom()
      const topic = await this.#source.create(name, partitions, configs, to)
      this.#o.log.info({ topic: name, partitions, id: topic.id }, 'topic created')
      return topic
    }, client)
  }

  /** Where the partitions of a new topic would go. @throws BrokerError if it cannot be made like that */
  assign(partitions: number, to: Placement): readonly (readonly number[])[] {
    return this.#source.assign(partitions, to)
  }

  /** Throws the error that creating a topic of this name would end with. */
  checkNewName(name: string): void {
    this.#table.checkNewName(name)
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
    await this.#source.remove(topic)
    this.#o.log.info({ topic: topic.name, id: topic.id }, 'topic deleted')
  }

  /** Raises the number of partitions to `count`. @throws BrokerError INVALID_PARTITIONS if it has that many */
  addPartitions(
    topic: Topic,
    count: number,
    assignments: Placement['assignments'] = null,
  ): Promise<void> {
    return this.#change(async () => {
      checkMore(topic.name, topic.partitionCount, count)
      this.#checkRoom()
      await this.#source.grow(topic, count, assignments)
      this.#o.log.info({ topic: topic.name, partitions: count }, 'partitions added')
    })
  }

  /**
   * Changes what is set on the topic itself. `change` is given the values of its turn, so that no other change is lost,
   * and checks the new ones; if it throws, nothing changes.
   */
  setConfigs(topic: Topic, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    return this.#change(async () => {
      await this.#source.configure(topic, change)
      this.#o.log.info({ topic: topic.name, configs: topic.configs }, 'topic configs changed')
    })
  }

  /** The broker's configs have changed: topics that do not override them follow. */
  reconfigure(): Promise<void> {
    return this.#change(async () => {
      for (const topic of this.#table.all) await this.#table.applyConfig(topic)
    })
  }

  #change<T>(run: () => Promise<T>, client = ''): Promise<T> {
    return this.#changes.run(client, run)
  }
}
