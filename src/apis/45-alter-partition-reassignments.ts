/**
 * AlterPartitionReassignments (45), versions 0-1: begins to move partitions to other replicas, or takes that back (KIP-455). It is
 * answered when the records say so; a move is over when all that are to have it have.
 */
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { alterPartitionReassignmentsApi } from '../protocol/messages/45-alter-partition-reassignments.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'
import { NO_ERROR, outcomeOf } from './topic-checks.ts'

export const alterPartitionReassignments = defineApi(
  alterPartitionReassignmentsApi,
  async ({ allowReplicationFactorChange, topics }, { broker, pace }) => {
    const responses = await eachPaced(topics, pace, async ({ name, partitions }) => ({
      name,
      partitions: await eachPaced(partitions, pace, async ({ partitionIndex, replicas }) => {
        const move = () => {
          if (!allowReplicationFactorChange && replicas !== null) {
            checkSameFactor(broker, name, partitionIndex, replicas.length)
          }
          return reassign(broker, name, partitionIndex, replicas)
        }
        return { partitionIndex, ...(await outcomeOf(move, broker)) }
      }),
    }))
    return { body: { ...NO_ERROR, allowReplicationFactorChange, responses } }
  },
)

type Broker = RequestContext['broker']

function topicOf({ registry }: Broker, name: string, index: number) {
  const topic = registry.topic(name)
  if (topic !== undefined && registry.has(name, index)) return topic
  throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 'There is no such partition.')
}

function reassign(broker: Broker, name: string, index: number, replicas: number[] | null) {
  return broker.cluster.reassign(topicOf(broker, name, index), index, replicas)
}

/** For clients that do not want to change it by mistake (KIP-860). */
function checkSameFactor(broker: Broker, name: string, index: number, count: number): void {
  const { replicas, adding } = broker.cluster.place(topicOf(broker, name, index), index)
  const has = replicas.length - adding.length
  if (has === count) return
  const message = `The replication factor is ${has}, and not to be changed to ${count}.`
  throw new BrokerError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
}
