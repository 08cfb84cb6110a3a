import * as assert from 'uvu/assert'
import { consumerProtocolSubscription } from '../../src/protocol/consumer-protocol.ts'
import type { EncodableFields } from '../../src/protocol/fields.ts'
import {
  offsetCommitApi,
  type offsetCommitRequest,
} from '../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { joinGroupApi, type joinGroupRequest } from '../../src/protocol/messages/11-join-group.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { consumerGroupHeartbeatApi } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import { Writer } from '../../src/protocol/writer.ts'
import type { Wire } from './wire.ts'

type JoinFields = EncodableFields<(typeof joinGroupRequest)['fields']>
type CommitFields = EncodableFields<(typeof offsetCommitRequest)['fields']>

/** What a consumer says when it joins a classic group. */
export function subscription(...topics: string[]): Buffer {
  const writer = new Writer()
  writer.int16(1)
  consumerProtocolSubscription.encode(writer, 1, { topics })
  return Buffer.concat(writer.chunks())
}

export function join(wire: Wire, groupId: string, over: JoinFields = {}, version = 5) {
  return wire.send(joinGroupApi, version, {
    groupId,
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription('topic') }],
    ...over,
  })
}

/** A stable group of one member, which leads it. */
export async function joined(wire: Wire, groupId: string, ...topics: string[]) {
  const protocols = [{ name: 'range', metadata: subscription(...topics) }]
  const { memberId } = await join(wire, groupId, { protocols })
  const { generationId } = await join(wire, groupId, { memberId, protocols })
  const { errorCode } = await wire.send(syncGroupApi, 3, {
    ...{ groupId, memberId, generationId },
    assignments: [{ memberId, assignment: Buffer.from('assigned') }],
  })
  assert.is(errorCode, 0)
  return { memberId, generationId }
}

/** Commits one offset of partition 0. @returns the partition's error code */
export async function commit(
  wire: Wire,
  groupId: string,
  topic: string,
  offset: number,
  over: CommitFields = {},
  version = 8,
): Promise<number> {
  const { id: topicId } = wire.node.registry.topic(topic) ?? { id: undefined }
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: 'text' }]
  const named = version >= 10 ? { topicId: topicId! } : { name: topic }
  const { topics } = await wire.send(offsetCommitApi, version, {
    groupId,
    topics: [{ ...named, partitions }],
    ...over,
  })
  return topics[0]!.partitions[0]!.errorCode
}

/** What a group has committed, by `topic-partition`. */
export async function committed(wire: Wire, groupId: string): Promise<Record<string, number>> {
  const { topics, errorCode } = await wire.send(offsetFetchApi, 7, { groupId, topics: null })
  assert.is(errorCode, 0)
  return Object.fromEntries(
    topics.flatMap(({ name, partitions }) =>
      partitions.map(p => [`${name}-${p.partitionIndex}`, p.committedOffset]),
    ),
  )
}

/** A heartbeat of the consumer protocol; epoch 0 joins. */
export function beat(
  wire: Wire,
  groupId: string,
  memberId: string,
  memberEpoch: number,
  over: EncodableFields<(typeof consumerGroupHeartbeatApi)['request']['fields']> = {},
) {
  const joining =
    memberEpoch === 0
      ? { rebalanceTimeoutMs: 30_000, subscribedTopicNames: ['topic'], topicPartitions: [] }
      : {}
  return wire.send(consumerGroupHeartbeatApi, 1, {
    ...{ groupId, memberId, memberEpoch },
    ...joining,
    ...over,
  })
}
