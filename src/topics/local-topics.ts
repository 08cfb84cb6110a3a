import type { ConfigValues } from '../configs/definition.ts'
import { type BrokerConfigView, brokerValue } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import type { Change, MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Partition } from './partition.ts'
import type { ReplicasOptions } from './replicas.ts'
import { sweepStrays } from './sweep.ts'
import { Tombstones } from './tombstones.ts'
import { TOPIC_PREFIX, type TopicRecord } from './topic-record.ts'
import type { Placement, TopicSource } from './topic-source.ts'
import {
  alreadyThere,
  checkMore,
  deletedMeanwhile,
  type Topic,
  type TopicTable,
} from './topic-table.ts'
import { newTopicId } from './uuid.ts'

export interface LocalTopicsOptions {
  readonly nodeId: number
  readonly configView: () => BrokerConfigView
  readonly store: MetadataStore
  readonly table: TopicTable
  readonly workers: ReplicasOptions['workers']
  readonly dataDir: string
  /** Starts of this broker on this data folder, this one included. */
  readonly brokerEpoch: number
  readonly log: ReplicasOptions['log']
}

/** The topics of a broker alone: its own store decides what exists, and it has and leads all partitions. */
export class LocalTopics implements TopicSource {
  readonly #o: LocalTopicsOptions
  readonly #table: TopicTable
  readonly #tombstones: Tombstones

  constructor(options: LocalTopicsOptions) {
    this.#o = options
    this.#table = options.table
    this.#tombstones = new Tombstones(options.store)
  }

  async load(): Promise<void> {
    const topics: Topic[] = []
    const { entries } = await this.#o.store.list(TOPIC_PREFIX)
    for (const { key, value } of entries) {
      const record = value as unknown as TopicRecord
      const topic = this.#table.make(key.slice(TOPIC_PREFIX.length), record)
      this.#addPartitions(topic, record.partitions)
      topics.push(topic)
    }
    await this.#tombstones.load()
    const partitions = topics.flatMap(t => t.partitions)
    await this.#open(partitions, true)
    await sweepStrays(this.#o, partitions, this.#tombstones)
    await Promise.all(
      this.#o.workers.map(w => w.command('ready', { workers: this.#o.workers.length })),
    )
    for (const topic of topics) {
      await this.#table.prepare(topic)
      this.#table.add(topic)
    }
  }

  assign(partitions: number, { replicationFactor, assignments }: Placement) {
    const { nodeId, configView } = this.#o
    if (assignments !== null) for (const replicas of assignments) checkReplicas(replicas, nodeId)
    const usual = brokerValue('default.replication.factor', configView())
    const factor = replicationFactor === -1 ? usual : replicationFactor
    if (assignments === null && factor > 1) {
      const message = `The replication factor ${factor} is above the number of brokers, 1.`
      throw new BrokerError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
    }
    return Array.from({ length: partitions }, () => [nodeId])
  }

  async create(name: string, partitions: number, configs: ConfigValues): Promise<Topic> {
    const { brokerEpoch, store } = this.#o
    const record: TopicRecord = { id: newTopicId(), partitions, configs, brokerEpoch }
    const { outcome } = await store.compareAndSet(TOPIC_PREFIX + name, 0, { ...record })
    if (outcome === 'refused') throw alreadyThere(name)
    const topic = this.#table.make(name, record)
    this.#addPartitions(topic, partitions)
    await this.#open(topic.partitions, false)
    await this.#table.prepare(topic)
    this.#table.add(topic)
    return topic
  }

  async remove(topic: Topic): Promise<void> {
    const buried = this.#tombstones.changesFor(topic)
    await this.#update(topic, null, buried)
    this.#tombstones.applied(buried)
    this.#table.forget(topic)
    if (await this.#table.removeFiles(topic, topic.partitions)) this.#tombstones.finish(topic.id)
  }

  async grow(topic: Topic, count: number): Promise<void> {
    const from = topic.partitionCount
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
    this.#table.revision++
  }

  async configure(topic: Topic, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    let configs = topic.configs
    await this.#update(topic, record => {
      configs = change(record.configs)
      return { ...record, configs }
    })
    topic.configs = configs
    await this.#table.applyConfig(topic)
  }

  #addPartitions(topic: Topic, count: number): void {
    for (let index = topic.partitions.length; index < count; index++) {
      const leaderEpoch = this.#o.brokerEpoch - topic.brokerEpoch
      topic.partitions.push(this.#table.replicas.make(topic, index, leaderEpoch))
    }
  }

  #open(partitions: readonly Partition[], recovering: boolean): Promise<void> {
    const deletedOf = (topics: ReadonlySet<string>) => this.#tombstones.idsOf(topics)
    return this.#table.replicas.open(partitions, recovering, deletedOf)
  }

  #update(
    topic: Topic,
    next: ((record: TopicRecord) => TopicRecord) | null,
    beside: readonly Change[] = [],
  ): Promise<void> {
    const key = TOPIC_PREFIX + topic.name
    return update(this.#o.store, key, now => {
      const record = now?.value as unknown as TopicRecord | undefined
      if (record?.id !== topic.id) throw deletedMeanwhile(topic.name)
      const value = next === null ? null : { ...next(record) }
      return [{ key, value }, ...beside]
    })
  }
}

/** A list of replicas that a client gives for one partition: this broker, once. @throws BrokerError INVALID_REPLICA_ASSIGNMENT */
function checkReplicas(brokerIds: readonly number[], nodeId: number): void {
  const refuse = (message: string): never => {
    throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  if (brokerIds.length === 0) refuse('A partition is assigned to no broker.')
  const unknown = brokerIds.find(id => id !== nodeId)
  if (unknown !== undefined) {
    refuse(`A partition is assigned to broker ${unknown}; the cluster has only ${nodeId}.`)
  }
  if (brokerIds.length > 1) refuse(`A partition is assigned to broker ${nodeId} more than once.`)
}
