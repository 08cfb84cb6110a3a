/**
 * OffsetForLeaderEpoch (23), versions 2-4: where the records of a leader epoch end, for clients that check that what they
 * have read was not cut off. This broker leads every partition; the replica id makes no difference.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type OffsetForLeaderEpochRequest,
  offsetForLeaderEpochApi,
} from '../protocol/messages/23-offset-for-leader-epoch.ts'
import type { Partition } from '../topics/partition.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'
import { onlinePartition } from './topic-checks.ts'

type Asked = OffsetForLeaderEpochRequest['topics'][number]['partitions'][number]

const NOT_CHECKED = -1
const UNKNOWN = { leaderEpoch: -1, endOffset: -1 }

export const offsetForLeaderEpoch = defineApi(
  offsetForLeaderEpochApi,
  async (request, { broker, pace }) => {
    const topics = await eachPaced(request.topics, pace, async ({ topic, partitions }) => ({
      topic,
      partitions: await eachPaced(partitions, pace, asked => endOffset(topic, asked, broker)),
    }))
    return { body: { topics } }
  },
)

function endOffset(topic: string, asked: Asked, broker: RequestContext['broker']) {
  const { partition, currentLeaderEpoch, leaderEpoch } = asked
  try {
    const found = onlinePartition(broker, topic, partition)
    checkLeaderEpoch(found, currentLeaderEpoch)
    const { epoch, endOffset } = found.endOffsetFor(leaderEpoch)
    return { errorCode: ErrorCode.NONE, partition, leaderEpoch: epoch, endOffset }
  } catch (error) {
    return { errorCode: toKafkaError(error, broker.log).errorCode, partition, ...UNKNOWN }
  }
}

/** The client's idea of who leads must be ours (KIP-320). */
function checkLeaderEpoch({ name, leaderEpoch }: Partition, current: number): void {
  if (current === NOT_CHECKED || current === leaderEpoch) return
  const isOlder = current < leaderEpoch
  const code = isOlder ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.UNKNOWN_LEADER_EPOCH
  throw new BrokerError(code, `The leader epoch of ${name} is ${leaderEpoch}, not ${current}.`)
}
