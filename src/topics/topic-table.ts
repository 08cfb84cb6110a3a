import type { ConfigValues } from '../configs/definition.ts'
import { isCompacted, type TopicConfig } from '../configs/topic.ts'
import { type BrokerConfigView, resolveTopicConfig } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { guarded } from '../guarded.ts'
import { BatchOpener } from '../protocol/batch-content.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { CONTENT_BYTES_MAX } from './log-config.ts'
import type { Partition } from './partition.ts'
import type { Replicas, ReplicasOptions } from './replicas.ts'
import { collisionKey, isInternalTopic, topicNameProblem } from './topic-names.ts'

export interface Topic {
  readonly name: string
  readonly id: string
  /** What was set on the topic itself. */
  configs: ConfigValues
  /** What is in force. */
  config: TopicConfig
  /** Its logs may lack offsets: it is compacted, or was once. */
  hasGaps: boolean
  partitionCount: number
  /** Those whose logs are on this broker, in order of index; on a broker without a cluster that is all of them. */
  readonly partitions: Partition[]
  /** Broker epoch at creation; 0 in a cluster. */
  readonly brokerEpoch: number
}

/** Whether it has such a partition, here or elsewhere. */
export const hasPartition = ({ partitionCount }: Topic, index: number): boolean =>
  index >= 0 && index < partitionCount

/** 0 up to the number of partitions. */
export const indexesOf = ({ partitionCount }: Topic): readonly number[] =>
  Array.from({ length: partitionCount }, (_, index) => index)

/** The partition, if its log is on this broker. */
export function replicaOf({ partitions }: Topic, index: number): Partition | undefined {
  const first = partitions[index]
  if (first?.index === index) return first
  return partitions.find(partition => partition.index === index)
}

export interface TopicTableOptions {
  readonly replicas: Replicas
  readonly configView: () => BrokerConfigView
  readonly log: ReplicasOptions['log']
}

/** What exists, as this broker shows it: whoever finds out about a topic puts it here. */
export class TopicTable {
  readonly replicas: Replicas
  /** Rises with every topic that is made, deleted or given more partitions. */
  revision = 0
  /** Opens batches without waiting; there as soon as a topic is compacted to which clients write. */
  opener: BatchOpener | null = null
  /** Called when a topic is gone, before its deletion resolves. */
  readonly deletionListeners: ((topic: Topic) => void)[] = []
  readonly #o: TopicTableOptions
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<string, Topic>()
  readonly #collisions = new Map<string, string>()

  constructor(options: TopicTableOptions) {
    this.#o = options
    this.replicas = options.replicas
  }

  get(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  byId(id: string): Topic | undefined {
    return this.#byId.get(id)
  }

  get all(): Iterable<Topic> {
    return this.#byName.values()
  }

  /** A topic without partitions, which is not in the table yet. */
  make(
    name: string,
    {
      id,
      configs,
      partitions,
      brokerEpoch,
      gaps = false,
    }: {
      id: string
      configs: ConfigValues
      partitions: number
      brokerEpoch: number
      gaps?: boolean
    },
  ): Topic {
    const config = resolveTopicConfig(configs, this.#o.configView())
    const hasGaps = gaps || isCompacted(config)
    const known = { name, id, configs, config, hasGaps, brokerEpoch }
    return { ...known, partitionCount: partitions, partitions: [] }
  }

  add(topic: Topic): void {
    this.revision++
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
    this.#collisions.set(collisionKey(topic.name), topic.name)
  }

  /** Nothing of it is served any more; its files are there. */
  forget(topic: Topic): void {
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#collisions.delete(collisionKey(topic.name))
    this.replicas.forget(topic.partitions)
    this.revision++
    for (const listener of this.deletionListeners) {
      const fields = { topic: topic.name }
      guarded(this.#o.log, 'a listener of deletions failed', fields, () => listener(topic))
    }
  }

  /** @returns whether all of them are gone; what is not the next start removes */
  async removeFiles(topic: Topic, partitions: readonly Partition[]): Promise<boolean> {
    const left = await this.replicas.remove(partitions)
    for (const reason of left) {
      this.#o.log.error({ topic: topic.name, reason }, 'not removed: the next start does it')
    }
    return left.length === 0 && !partitions.some(({ worker }) => worker.isLost)
  }

  /** Throws the error that creating a topic of this name would end with. */
  checkNewName(name: string): void {
    const problem = topicNameProblem(name)
    if (problem !== null) throw new BrokerError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
    if (this.#byName.has(name)) throw alreadyThere(name)
    const other = this.#collisions.get(collisionKey(name))
    if (other !== undefined) {
      throw new BrokerError(
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        `Topic '${name}' collides with existing topic '${other}': "." and "_" count as the same.`,
      )
    }
  }

  /** Before clients can write to it: their batches on a compacted topic are looked into, which must not wait then. */
  async prepare({ name, config }: Pick<Topic, 'name' | 'config'>): Promise<void> {
    if (!isCompacted(config) || isInternalTopic(name)) return
    this.opener ??= await BatchOpener.load(CONTENT_BYTES_MAX)
  }

  /** What is set on the topic, or on the broker, has changed. */
  async applyConfig(topic: Topic): Promise<void> {
    const changed = resolveTopicConfig(topic.configs, this.#o.configView())
    await this.prepare({ name: topic.name, config: changed })
    topic.config = changed
    topic.hasGaps ||= isCompacted(changed)
    await this.replicas.configure(topic)
  }
}

export const alreadyThere = (name: string) =>
  new BrokerError(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)

export const deletedMeanwhile = (topic: string): BrokerError =>
  new BrokerError(
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    `Topic '${topic}' has been deleted or changed meanwhile.`,
  )

/** @throws BrokerError INVALID_PARTITIONS */
export function checkMore(topic: string, from: number, count: number): void {
  if (count > from) return
  const message = `Topic '${topic}' has ${from} partitions already, ${count} would not be more.`
  throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
}
