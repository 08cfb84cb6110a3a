import type { PartitionState } from '../replication/partition-state.ts'
import { TOPIC_PREFIX } from '../topics/topic-record.ts'
import type { ClusterImage, ImageTopic, PartitionRef } from './image.ts'
import type { Registration } from './registration.ts'

export interface PartitionChange extends PartitionRef {
  readonly old: PartitionState | null
  readonly now: PartitionState | null
}

export interface BrokerChange {
  readonly id: number
  readonly old: Registration | null
  readonly now: Registration | null
  readonly wasUnfenced: boolean
  readonly isUnfenced: boolean
}

export interface TopicChange {
  readonly name: string
  readonly old: ImageTopic | null
  readonly now: ImageTopic | null
}

/** What a step of the image has changed, each list in the order of its keys. */
export interface ImageDiff {
  /** Of topics that exist: with a topic come all its records that are there already, and with it they go. */
  readonly partitions: readonly PartitionChange[]
  readonly brokers: readonly BrokerChange[]
  readonly topics: readonly TopicChange[]
  /** All other keys that were written or deleted. */
  readonly keys: readonly string[]
}

const BROKER_OF = /^(?:brokers|unfenced)\/(\d+)$/
const byKey = (a: { key: string }, b: { key: string }): number => compare(a.key, b.key)
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

interface BrokerBefore {
  readonly registration: Registration | null
  readonly wasUnfenced: boolean
}

/** Notes what was there before each change; the image says what is there now. */
export class DiffBuilder {
  readonly #image: ClusterImage
  readonly #partitions = new Map<string, { ref: PartitionRef; old: PartitionState | null }>()
  readonly #brokers = new Map<number, BrokerBefore>()
  readonly #topics = new Map<string, ImageTopic | null>()
  readonly #keys = new Set<string>()

  constructor(image: ClusterImage) {
    this.#image = image
  }

  newPartition(ref: PartitionRef): void {
    if (!this.#partitions.has(ref.key)) this.#partitions.set(ref.key, { ref, old: null })
  }

  /** Before a record that is there changes. */
  partition(ref: PartitionRef): void {
    if (this.#partitions.has(ref.key)) return
    this.#partitions.set(ref.key, { ref, old: this.#image.partitionAt(ref.key) })
  }

  /** Before any other key changes. */
  touch(key: string): void {
    const broker = BROKER_OF.exec(key)
    if (broker !== null) {
      const id = Number(broker[1])
      if (this.#brokers.has(id)) return
      const registration = this.#image.broker(id)
      this.#brokers.set(id, { registration, wasUnfenced: this.#image.unfenced(id) !== 0 })
    } else if (key.startsWith(TOPIC_PREFIX)) {
      if (!this.#topics.has(key)) this.#topics.set(key, this.#image.topicByKey(key))
    } else this.#keys.add(key)
  }

  build(): ImageDiff {
    const topics = [...this.#topics]
      .sort(([a], [b]) => compare(a, b))
      .map(([key, old]) => this.#topicChange(old, this.#image.topicByKey(key)))
      .filter(change => change !== null)
    return {
      partitions: this.#partitionChanges(topics),
      brokers: [...this.#brokers]
        .sort(([a], [b]) => a - b)
        .map(([id, was]) => this.#broker(id, was)),
      topics,
      keys: [...this.#keys].sort(compare),
    }
  }

  #topicChange(old: ImageTopic | null, now: ImageTopic | null): TopicChange | null {
    return old === now ? null : { name: (now ?? old)!.name, old, now }
  }

  #broker(id: number, { registration, wasUnfenced }: BrokerBefore): BrokerChange {
    const image = this.#image
    const isUnfenced = image.unfenced(id) !== 0
    return { id, old: registration, now: image.broker(id), wasUnfenced, isUnfenced }
  }

  #partitionChanges(topics: readonly TopicChange[]): PartitionChange[] {
    if (this.#partitions.size === 0 && topics.length === 0) return []
    const came = new Set<string>()
    const went = new Set<string>()
    for (const { old, now } of topics) {
      if (old?.id === now?.id) continue
      for (const [topic, ids] of [
        [old, went],
        [now, came],
      ] as const) {
        if (topic === null) continue
        ids.add(topic.id)
        for (const ref of this.#image.partitionsOf(topic.id)) this.partition(ref)
      }
    }
    const changes: PartitionChange[] = []
    for (const { ref, old: before } of this.#partitions.values()) {
      const { key, topicId, index } = ref
      const isTopic = this.#image.topicById(topicId) !== null
      const wasTopic = went.has(topicId) || (isTopic && !came.has(topicId))
      const old = wasTopic ? before : null
      const now = isTopic ? this.#image.partitionAt(key) : null
      if (old !== now) changes.push({ key, topicId, index, old, now })
    }
    return changes.length < 2 ? changes : changes.sort(byKey)
  }
}
