import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../protocol/consumer-protocol.ts'
import { MalformedFrame, Reader } from '../../protocol/reader.ts'
import type { Decoded } from '../../protocol/schema.ts'
import { Writer } from '../../protocol/writer.ts'
import type { TopicInfo, TopicsView } from '../group.ts'
import type { Target } from './assignment.ts'

/** The bytes that consumers of the classic protocol put into JoinGroup and find in SyncGroup. */

export type Subscription = Decoded<typeof consumerProtocolSubscription>
export type Assignment = Decoded<typeof consumerProtocolAssignment>

const VERSION_MAX = consumerProtocolAssignment.versions.max

/** @returns null if it cannot be read */
export function parseSubscription(bytes: Buffer): Subscription | null {
  return parse(bytes, (reader, version) => consumerProtocolSubscription.decode(reader, version))
}

/** @returns null if it cannot be read; no bytes are an assignment of nothing */
export function parseAssignment(bytes: Buffer): Assignment | null {
  if (bytes.length === 0) return { assignedPartitions: [], userData: null }
  return parse(bytes, (reader, version) => consumerProtocolAssignment.decode(reader, version))
}

function parse<T>(bytes: Buffer, decode: (reader: Reader, version: number) => T): T | null {
  try {
    const reader = new Reader(bytes)
    const version = reader.int16('version')
    return version < 0 ? null : decode(reader, Math.min(version, VERSION_MAX))
  } catch (error) {
    if (error instanceof MalformedFrame) return null
    throw error
  }
}

/** @param subscription the bytes with which the member joined: it reads their version */
export function encodeAssignment(
  partitions: Iterable<readonly [string, readonly number[]]>,
  subscription: Buffer,
  topics: TopicsView,
): Buffer {
  const stated = subscription.length < 2 ? 0 : subscription.readInt16BE(0)
  const version = Math.min(Math.max(stated, 0), VERSION_MAX)
  const assignedPartitions = [...partitions]
    .map(([topicId, list]) => ({ topic: topics.byId(topicId)?.name, partitions: list }))
    .filter(
      (one): one is { topic: string; partitions: readonly number[] } => one.topic !== undefined,
    )
  const writer = new Writer()
  writer.int16(version)
  consumerProtocolAssignment.encode(writer, version, { assignedPartitions, userData: null })
  return Buffer.concat(writer.chunks())
}

/** By ids; what is of topics that are gone is left out. */
export function byTopicId(
  listed: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  topics: TopicsView,
): Target {
  const found = new Map<string, readonly number[]>()
  for (const { topic, partitions } of listed) {
    const known: TopicInfo | undefined = topics.byName(topic)
    if (known !== undefined) found.set(known.id, partitions)
  }
  return found
}
