import { encodeVersioned } from '../../protocol/consumer-bytes.ts'
import { consumerProtocolAssignment } from '../../protocol/consumer-protocol.ts'
import type { TopicInfo, TopicsView } from '../group.ts'
import type { Target } from './assignment.ts'

const VERSION_MAX = consumerProtocolAssignment.versions.max

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
  const value = { assignedPartitions, userData: null }
  return encodeVersioned(consumerProtocolAssignment, version, value)
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
