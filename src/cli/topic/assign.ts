import {
  encodeVersioned,
  parseAssignment,
  parseSubscription,
} from '../../protocol/consumer-bytes.ts'
import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../protocol/consumer-protocol.ts'

/** Of subscriptions and assignments: the first version says all that is said here. */
const VERSION_WRITTEN = 0

/** Partitions by topic. */
export type Assigned = ReadonlyMap<string, readonly number[]>

export interface Subscriber {
  readonly id: string
  readonly topics: readonly string[]
}

/**
 * Kafka's range assignor, which all its clients have by default: of each topic, every subscriber, in the order of their
 * ids, gets a run of partitions; the first ones one more if they do not divide.
 * @param counts how many partitions a topic has
 */
export function assignRanges(
  subscribers: readonly Subscriber[],
  counts: ReadonlyMap<string, number>,
): ReadonlyMap<string, Assigned> {
  const sorted = [...subscribers].sort((a, b) => (a.id < b.id ? -1 : 1))
  const assigned = new Map(sorted.map(({ id }) => [id, new Map<string, readonly number[]>()]))
  for (const [topic, count] of counts) {
    const sharers = sorted.filter(({ topics }) => topics.includes(topic))
    let next = 0
    for (const [i, { id }] of sharers.entries()) {
      const size = Math.ceil((count - next) / (sharers.length - i))
      const run = Array.from({ length: size }, (_, at) => next + at)
      if (size > 0) assigned.get(id)!.set(topic, run)
      next += size
    }
  }
  return assigned
}

export const encodeSubscription = (topics: readonly string[]): Buffer =>
  encodeVersioned(consumerProtocolSubscription, VERSION_WRITTEN, { topics })

export function encodeAssignment(assigned: Assigned): Buffer {
  const assignedPartitions = [...assigned].map(([topic, partitions]) => ({ topic, partitions }))
  return encodeVersioned(consumerProtocolAssignment, VERSION_WRITTEN, { assignedPartitions })
}

/** The topics that a member asks for; none if its bytes cannot be read, for it gets nothing then. */
export const decodeSubscription = (bytes: Buffer): readonly string[] =>
  parseSubscription(bytes)?.topics ?? []

/** @returns null if it cannot be read */
export function decodeAssignment(bytes: Buffer): Assigned | null {
  const parsed = parseAssignment(bytes)
  if (parsed === null) return null
  return new Map(parsed.assignedPartitions.map(({ topic, partitions }) => [topic, partitions]))
}
