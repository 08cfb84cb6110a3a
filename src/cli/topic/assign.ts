import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../protocol/consumer-protocol.ts'
import { MalformedFrame, Reader } from '../../protocol/reader.ts'
import { Writer } from '../../protocol/writer.ts'

/** Of subscriptions and assignments: the first version says all that is said here, the last one is read as far as it is known. */
const VERSION_WRITTEN = 0
const VERSION_READ_MAX = 3

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

export function encodeSubscription(topics: readonly string[]): Buffer {
  return versioned(writer =>
    consumerProtocolSubscription.encode(writer, VERSION_WRITTEN, { topics }),
  )
}

export function encodeAssignment(assigned: Assigned): Buffer {
  const assignedPartitions = [...assigned].map(([topic, partitions]) => ({ topic, partitions }))
  return versioned(writer =>
    consumerProtocolAssignment.encode(writer, VERSION_WRITTEN, { assignedPartitions }),
  )
}

/** The topics that a member asks for; none if its bytes cannot be read, for it gets nothing then. */
export function decodeSubscription(bytes: Buffer): readonly string[] {
  try {
    const reader = new Reader(bytes)
    return consumerProtocolSubscription.decode(reader, readVersion(reader)).topics
  } catch (error) {
    if (!(error instanceof MalformedFrame)) throw error
    return []
  }
}

/** @throws MalformedFrame */
export function decodeAssignment(bytes: Buffer): Assigned {
  if (bytes.length === 0) return new Map()
  const reader = new Reader(bytes)
  const { assignedPartitions } = consumerProtocolAssignment.decode(reader, readVersion(reader))
  return new Map(assignedPartitions.map(({ topic, partitions }) => [topic, partitions]))
}

function readVersion(reader: Reader): number {
  return Math.min(Math.max(0, reader.int16('version')), VERSION_READ_MAX)
}

function versioned(encode: (writer: Writer) => void): Buffer {
  const writer = new Writer()
  writer.int16(VERSION_WRITTEN)
  encode(writer)
  return Buffer.concat(writer.chunks())
}
