import type { ConfigValues } from '../configs/definition.ts'
import { isCompacted } from '../configs/topic.ts'
import { type BrokerConfigView, resolveTopicConfig } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { groupBy } from '../group-by.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { partitionKey } from '../replication/partition-state.ts'
import type { Partition } from '../topics/partition.ts'
import type { ReplicasOptions } from '../topics/replicas.ts'
import { sweepStrays } from '../topics/sweep.ts'
import { Tombstones } from '../topics/tombstones.ts'
import { collisionKey } from '../topics/topic-names.ts'
import { TOPIC_PREFIX } from '../topics/topic-record.ts'
import type { Placement, TopicSource } from '../topics/topic-source.ts'
import {
  alreadyThere,
  checkMore,
  deletedMeanwhile,
  type Topic,
  type TopicTable,
} from '../topics/topic-table.ts'
import { newTopicId } from '../topics/uuid.ts'
import type { ImageFeed } from './feed.ts'
import type { ClusterImage } from './image.ts'
import type { ImageDiff, TopicChange } from './image-diff.ts'
import { unknownOutcome } from './proposals.ts'
import type { ReplicaHost } from './replica-host.ts'
import { TopicRecords } from './topic-records.ts'
import { Wakeups } from './wakeups.ts'

/** A topic as the cluster's metadata has it, under `topics/<name, . as _>`. */
export interface ClusterTopicRecord {
  readonly name: string
  readonly id: string
  readonly partitions: number
  readonly configs: ConfigValues
  /** It was compacted at some time: its logs may lack offsets. Stays. */
  readonly gaps?: boolean
}

/** Until what this broker has changed is seen by it, in ms. */
const SEEN_MS_MAX = 10_000

export const topicKey = (name: string): string => TOPIC_PREFIX + collisionKey(name)

export interface ClusterTopicsOptions {
  readonly me: number
  /** Of the cluster. */
  readonly store: MetadataStore
  /** This node's own: which deleted topics may have left folders here. */
  readonly nodeStore: MetadataStore
  readonly image: ClusterImage
  readonly feed: ImageFeed
  readonly host: () => ReplicaHost
  readonly table: TopicTable
  readonly workers: ReplicasOptions['workers']
  readonly dataDir: string
  readonly configView: () => BrokerConfigView
  readonly log: ReplicasOptions['log']
}

/** The topics of a cluster: its metadata decides what exists and who has what; here is what of it is on this broker. */
export class ClusterTopics implements TopicSource {
  readonly #o: ClusterTopicsOptions
  readonly #table: TopicTable
  readonly #tombstones: Tombstones
  readonly #records: TopicRecords
  /** What the image brings is done one after the other. */
  #work: Promise<void> = Promise.resolve()
  #isLoaded = false
  /** What has changed since the image was looked at to load it; null before that. */
  #meanwhile: ImageDiff[] | null = null
  readonly #seen = new Wakeups()

  constructor(options: ClusterTopicsOptions) {
    this.#o = options
    this.#table = options.table
    this.#tombstones = new Tombstones(options.nodeStore)
    this.#records = new TopicRecords(options)
  }

  async load(): Promise<void> {
    const { image, workers } = this.#o
    await this.#tombstones.load()
    this.#meanwhile = []
    const topics = [...image.topics].map(({ name, entry }) => this.#make(name, entry.value))
    for (const topic of topics) {
      for (const { index } of image.partitionsOf(topic.id)) this.#place(topic, index)
    }
    const partitions = topics.flatMap(topic => topic.partitions)
    await this.#open(partitions, true)
    await sweepStrays(this.#o, partitions, this.#tombstones)
    await Promise.all(workers.map(w => w.command('ready', { workers: workers.length })))
    for (const topic of topics) await this.#show(topic)
    this.#isLoaded = true
    for (const diff of this.#meanwhile.splice(0)) this.changed(diff)
  }

  #make(name: string, value: unknown): Topic {
    const { id, configs, partitions, gaps } = value as ClusterTopicRecord
    return this.#table.make(name, { id, configs, partitions, brokerEpoch: 0, gaps })
  }

  /** Makes the partition if it is to be here. @returns null if it is not, or is here already */
  #place(topic: Topic, index: number): Partition | null {
    const state = this.#o.image.partition(topic.id, index)
    const isMine = state?.replicas.includes(this.#o.me) === true
    if (!isMine || topic.partitions.some(one => one.index === index)) return null
    const partition = this.#table.replicas.make(topic, index, -1)
    topic.partitions.push(partition)
    topic.partitions.sort((a, b) => a.index - b.index)
    return partition
  }

  #open(partitions: readonly Partition[], recovering: boolean): Promise<void> {
    const deletedOf = (topics: ReadonlySet<string>) => this.#tombstones.idsOf(topics)
    return this.#table.replicas.open(partitions, recovering, deletedOf)
  }

  async #show(topic: Topic): Promise<void> {
    await this.#table.prepare(topic)
    for (const partition of topic.partitions) this.#host(topic, partition)
    this.#table.add(topic)
    for (const partition of topic.partitions) this.#recordChanged(partition)
  }

  #host(topic: Topic, partition: Partition): void {
    const key = partitionKey(topic.id, partition.index)
    this.#o.host().add(partition, key)
  }

  #recordChanged({ topicId, index }: Partition): void {
    this.#o.host().recordChanged(partitionKey(topicId, index))
  }

  /** The image has changed. What this broker has already is told at once; what is new here, or gone, is done in its turn. */
  changed(diff: ImageDiff): void {
    if (!this.#isLoaded) {
      this.#meanwhile?.push(diff)
      return
    }
    const host = this.#o.host()
    for (const { key } of diff.partitions) host.recordChanged(key)
    if (diff.topics.length === 0 && diff.partitions.length === 0) return
    this.#work = this.#work
      .then(() => this.#follow(diff))
      .catch(err => {
        this.#o.log.error({ err }, 'bug: a change of the metadata could not be followed')
      })
    void this.#work.then(() => this.#seen.wake())
  }

  async #follow(diff: ImageDiff): Promise<void> {
    for (const change of diff.topics) await this.#followTopic(change)
    for (const [topicId, changes] of groupBy(diff.partitions, ({ topicId }) => topicId)) {
      const topic = this.#table.byId(topicId)
      if (topic === undefined) continue
      const indexes = changes.map(({ index }) => index)
      await this.#take(topic, indexes)
      await this.#giveUp(topic, indexes)
    }
  }

  async #followTopic({ old, now }: TopicChange): Promise<void> {
    const known = old === null ? undefined : this.#table.byId(old.id)
    if (known !== undefined && old!.id !== now?.id) await this.#forget(known)
    if (now === null) return
    const topic = this.#table.byId(now.id)
    if (topic === undefined) {
      const made = this.#make(now.name, now.entry.value)
      const here = this.#o.image
        .partitionsOf(made.id)
        .map(({ index }) => this.#place(made, index))
        .filter(partition => partition !== null)
      await this.#open(here, false)
      await this.#show(made)
      return
    }
    const record = now.entry.value as unknown as ClusterTopicRecord
    if (topic.partitionCount !== record.partitions) this.#table.revision++
    topic.partitionCount = record.partitions
    if (JSON.stringify(topic.configs) === JSON.stringify(record.configs)) return
    topic.configs = record.configs
    topic.hasGaps ||= record.gaps === true
    await this.#table.applyConfig(topic)
  }

  /** Partitions that are to be here from now on. */
  async #take(topic: Topic, indexes: readonly number[]): Promise<void> {
    const added = indexes
      .map(index => this.#place(topic, index))
      .filter(partition => partition !== null)
    if (added.length === 0) return
    await this.#open(added, false)
    for (const partition of added) {
      this.#host(topic, partition)
      this.#recordChanged(partition)
    }
  }

  /** Partitions that are elsewhere from now on. */
  async #giveUp(topic: Topic, indexes: readonly number[]): Promise<void> {
    const { image, me } = this.#o
    const gone = topic.partitions.filter(({ index }) => {
      if (!indexes.includes(index)) return false
      const state = image.partition(topic.id, index)
      return state !== null && !state.replicas.includes(me)
    })
    for (const partition of gone) {
      this.#o.host().remove(partitionKey(topic.id, partition.index))
      topic.partitions.splice(topic.partitions.indexOf(partition), 1)
    }
    if (gone.length === 0) return
    this.#table.replicas.forget(gone)
    await this.#table.removeFiles(topic, gone)
  }

  async #forget(topic: Topic): Promise<void> {
    const buried = this.#tombstones.changesFor(topic)
    if (topic.partitions.length > 0) {
      await this.#o.nodeStore.transact([], buried)
      this.#tombstones.applied(buried)
    }
    for (const { index } of topic.partitions) this.#o.host().remove(partitionKey(topic.id, index))
    this.#table.forget(topic)
    if (topic.partitions.length === 0) return
    if (await this.#table.removeFiles(topic, topic.partitions)) this.#tombstones.finish(topic.id)
  }

  /** Until this broker shows it. */
  async #untilSeen(isSeen: () => boolean): Promise<void> {
    const deadline = performance.now() + SEEN_MS_MAX
    while (!isSeen()) {
      const left = deadline - performance.now()
      if (left <= 0) {
        const message = 'It is changed, but this broker has not heard of that yet.'
        throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
      }
      await this.#seen.next(left)
    }
  }

  async create(name: string, partitions: number, configs: ConfigValues, to: Placement) {
    const id = newTopicId()
    const placed = this.assign(partitions, to)
    try {
      await this.#records.write(id, { from: 0, guard: null }, placed, configs)
    } catch (error) {
      void this.#records.remove(id)
      throw error
    }
    const gaps = isCompacted(resolveTopicConfig(configs, this.#o.configView()))
    const count = placed.length
    const record = { name, id, partitions: count, configs, ...(gaps && { gaps }) }
    const outcome = await this.#o.feed.transact(
      [{ key: topicKey(name), created: 0 }],
      [{ key: topicKey(name), value: record }],
    )
    if (outcome.outcome === 'refused') {
      void this.#records.remove(id)
      // Who hears that there is one looks for it here.
      await this.#untilSeen(() => this.#table.get(name) !== undefined)
      throw alreadyThere(name)
    }
    if (outcome.outcome === 'unknown') throw unknownOutcome()
    await this.#untilSeen(() => this.#table.byId(id) !== undefined)
    return this.#table.byId(id)!
  }

  assign(partitions: number, to: Placement) {
    return this.#records.assign(partitions, to)
  }

  async remove(topic: Topic): Promise<void> {
    const entry = this.#o.image.topic(topic.name)?.entry
    if (entry === undefined) throw deletedMeanwhile(topic.name)
    const outcome = await this.#o.feed.transact(
      [{ key: entry.key, created: entry.created }],
      [{ key: entry.key, value: null }],
    )
    if (outcome.outcome === 'unknown') throw unknownOutcome()
    if (outcome.outcome === 'refused') throw deletedMeanwhile(topic.name)
    await this.#untilSeen(() => this.#table.byId(topic.id) === undefined)
    await this.#records.remove(topic.id)
  }

  async grow(topic: Topic, count: number, assignments: Placement['assignments']): Promise<void> {
    const { image } = this.#o
    const known = image.topic(topic.name)
    if (known?.id !== topic.id) throw deletedMeanwhile(topic.name)
    const { partitions: from, entry } = known
    checkMore(topic.name, from, count)
    const replicationFactor = image.partition(topic.id, 0)?.replicas.length ?? -1
    const placed = this.assign(count - from, { replicationFactor, assignments })
    const guard = { key: entry.key, revision: entry.revision }
    await this.#records.write(topic.id, { from, guard }, placed, topic.configs)
    await this.#update(topic, record => {
      checkMore(topic.name, record.partitions, count)
      return { ...record, partitions: count }
    })
    await this.#untilSeen(() => topic.partitionCount >= count)
  }

  async configure(topic: Topic, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    let configs = topic.configs
    await this.#update(topic, record => {
      configs = change(record.configs)
      const isNow = isCompacted(resolveTopicConfig(configs, this.#o.configView()))
      return { ...record, configs, ...((isNow || record.gaps) && { gaps: true }) }
    })
    const wanted = JSON.stringify(configs)
    await this.#untilSeen(() => JSON.stringify(topic.configs) === wanted)
    await this.#records.settle(topic)
  }

  /** What is in force has changed for topics that do not override it. */
  async settleAll(topics: Iterable<Topic>): Promise<void> {
    for (const topic of topics) await this.#records.settle(topic)
  }

  #update(topic: Topic, next: (record: ClusterTopicRecord) => ClusterTopicRecord): Promise<void> {
    const key = topicKey(topic.name)
    return update(this.#o.store, key, now => {
      const record = now?.value as unknown as ClusterTopicRecord | undefined
      if (record?.id !== topic.id) throw deletedMeanwhile(topic.name)
      return [{ key, value: { ...next(record) } }]
    })
  }
}
