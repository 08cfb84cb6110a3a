/**
 * DescribeQuorum (55), versions 0-2. A stand-in: there is no quorum of controllers, metadata is etcd's or the one broker's own.
 * The controller is told as its leader and only voter, with the revision of the metadata as its offset; the other brokers as
 * observers whose offsets nobody knows.
 */

import type { QuorumView } from '../cluster/view.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { describeQuorumApi } from '../protocol/messages/55-describe-quorum.ts'
import { defineApi } from './handler.ts'
import { eachPaced } from './pace.ts'

const METADATA_TOPIC = '__cluster_metadata'
/** Versions with ids of directories, and with nodes. */
const DIRECTORIES_SINCE = 2

export const describeQuorum = defineApi(
  describeQuorumApi,
  async ({ topics }, { broker, pace, version, listener }) => {
    const [topic] = topics
    const isMetadata =
      topics.length === 1 &&
      topic!.topicName === METADATA_TOPIC &&
      topic!.partitions.length === 1 &&
      topic!.partitions[0]!.partitionIndex === 0
    if (!isMetadata) {
      const unknown = { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null }
      const answered = await eachPaced(topics, pace, async ({ topicName, partitions }) => ({
        topicName,
        partitions: await eachPaced(partitions, pace, one => ({ ...one, ...unknown })),
      }))
      return { body: { errorMessage: null, topics: answered } }
    }
    const quorum = await broker.cluster.quorum()
    if (!quorum.brokers.some(({ id }) => id === quorum.leader)) {
      const errorMessage = 'No broker is the controller now.'
      return { body: { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, errorMessage } }
    }
    const partitions = [partitionOf(quorum, version)]
    const nodes = broker.cluster
      .brokers(listener)
      .filter(({ nodeId }) => nodeId === quorum.leader)
      .map(({ nodeId, host, port }) => ({ nodeId, listeners: [{ name: listener, host, port }] }))
    const body = { errorMessage: null, topics: [{ topicName: METADATA_TOPIC, partitions }] }
    return { body: version >= DIRECTORIES_SINCE ? { ...body, nodes } : body }
  },
)

function partitionOf({ leader, epoch, revision, brokers }: QuorumView, version: number) {
  const stateOf = ({ id, dir }: QuorumView['brokers'][number]) => ({
    replicaId: id,
    ...(version >= DIRECTORIES_SINCE && { replicaDirectoryId: dir }),
    logEndOffset: id === leader ? revision : -1,
    lastCaughtUpTimestamp: id === leader ? Date.now() : -1,
  })
  return {
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    leaderId: leader,
    leaderEpoch: epoch,
    highWatermark: revision,
    currentVoters: brokers.filter(({ id }) => id === leader).map(stateOf),
    observers: brokers.filter(({ id }) => id !== leader).map(stateOf),
  }
}
