import { ZERO_UUID } from '../protocol/fields.ts'
import { OFFSET_BYTES } from './memory.ts'
import type { GroupRecord, RecordOf } from './records.ts'

/** What a group has committed for one partition: the record's value in the log. */
export type CommittedOffset = NonNullable<RecordOf<'offsetCommit'>['value']>

/** Of offsets without a time of their own. */
export const NO_EXPIRY = -1

/** The offsets that one group has committed, by topic and partition. They change by records only, live and when replayed. */
export class GroupOffsets {
  readonly #group: string
  readonly #topics = new Map<string, Map<number, CommittedOffset>>()
  /** What is counted of them in GroupMemory. */
  heldBytes = 0
  #bytes = 0

  constructor(group: string) {
    this.#group = group
  }

  get isEmpty(): boolean {
    return this.#topics.size === 0
  }

  /** What they take in memory. */
  get bytes(): number {
    return this.#bytes
  }

  /** Partitions with an offset. */
  get size(): number {
    let size = 0
    for (const partitions of this.#topics.values()) size += partitions.size
    return size
  }

  get topics(): Iterable<readonly [string, ReadonlyMap<number, CommittedOffset>]> {
    return this.#topics
  }

  /** @param topicId of the topic as it is now, or ZERO_UUID: what was committed to another one of that name is not its */
  get(topic: string, partition: number, topicId = ZERO_UUID): CommittedOffset | undefined {
    const offset = this.#topics.get(topic)?.get(partition)
    if (offset === undefined || isSameTopic(offset.topicId, topicId)) return offset
    return undefined
  }

  apply({ key: { topic, partition }, value }: RecordOf<'offsetCommit'>): void {
    const partitions = this.#topics.get(topic)
    this.#bytes += this.growth(topic, partition, value)
    if (value !== null) {
      if (partitions === undefined) this.#topics.set(topic, new Map([[partition, value]]))
      else partitions.set(partition, value)
    } else if (partitions?.delete(partition) && partitions.size === 0) {
      this.#topics.delete(topic)
    }
  }

  /** Bytes that they take more with this one. */
  growth(topic: string, partition: number, value: CommittedOffset | null): number {
    const known = this.#topics.get(topic)?.get(partition)
    return bytesOf(value) - bytesOf(known ?? null)
  }

  record(
    topic: string,
    partition: number,
    value: CommittedOffset | null,
  ): RecordOf<'offsetCommit'> {
    return { kind: 'offsetCommit', key: { group: this.#group, topic, partition }, value }
  }

  snapshot(): GroupRecord[] {
    return this.#each(() => true).map(({ topic, partition, offset }) =>
      this.record(topic, partition, offset),
    )
  }

  /** The records that remove those offsets for which `isGone`. */
  tombstones(isGone: (topic: string, offset: CommittedOffset) => boolean = () => true) {
    return this.#each(isGone).map(({ topic, partition }) => this.record(topic, partition, null))
  }

  #each(wanted: (topic: string, offset: CommittedOffset) => boolean) {
    const found: { topic: string; partition: number; offset: CommittedOffset }[] = []
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, offset] of partitions) {
        if (wanted(topic, offset)) found.push({ topic, partition, offset })
      }
    }
    return found
  }
}

const bytesOf = (offset: CommittedOffset | null): number =>
  offset === null ? 0 : OFFSET_BYTES + offset.metadata.length

/** Older records and older requests do not say which topic of a name they mean. */
export function isSameTopic(stored: string, asked: string): boolean {
  return stored === ZERO_UUID || asked === ZERO_UUID || stored === asked
}

/**
 * Whether a commit is past its time (OffsetExpirationConditionImpl.java).
 * @param from ms since 1970 from when the retention counts, or 'commit' for the commit itself
 */
export function isExpired(
  offset: CommittedOffset,
  from: number | 'commit',
  now: number,
  retentionMs: number,
): boolean {
  if (offset.expireTimestamp !== NO_EXPIRY) return now >= offset.expireTimestamp
  // Unlike in Kafka, what was committed after the group became empty is kept for the whole time too.
  const since = Math.max(from === 'commit' ? 0 : from, offset.commitTimestamp)
  return now - since >= retentionMs
}
