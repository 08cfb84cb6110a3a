/**
 * AlterPartitionReassignments (45), versions 0-1: on one broker every partition is where it can be. A move to that broker is
 * done as soon as it is asked for, any other is refused, and there is none that could be called off.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { alterPartitionReassignmentsApi } from '../protocol/messages/45-alter-partition-reassignments.ts'
import { defineApi } from './handler.ts'
import { eachPaced } from './pace.ts'
import { NO_ERROR } from './topic-checks.ts'

/** Replicas that an error message names. */
const SHOWN_MAX = 20

export const alterPartitionReassignments = defineApi(
  alterPartitionReassignmentsApi,
  async ({ allowReplicationFactorChange, topics }, { broker, pace }) => {
    const responses = await eachPaced(topics, pace, async ({ name, partitions }) => ({
      name,
      partitions: await eachPaced(partitions, pace, ({ partitionIndex, replicas }) => {
        const isKnown = broker.registry.has(name, partitionIndex)
        return { partitionIndex, ...outcome(isKnown, replicas, broker.nodeId) }
      }),
    }))
    return { body: { ...NO_ERROR, allowReplicationFactorChange, responses } }
  },
)

function outcome(isKnown: boolean, replicas: readonly number[] | null, nodeId: number) {
  if (!isKnown) {
    const errorMessage = 'There is no such partition.'
    return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage }
  }
  if (replicas === null) {
    const errorMessage = 'The partition is not being moved.'
    return { errorCode: ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, errorMessage }
  }
  if (replicas.length === 1 && replicas[0] === nodeId) return NO_ERROR
  const asked = replicas.slice(0, SHOWN_MAX).join()
  const errorMessage = `The only broker is ${nodeId}: replicas can be [${nodeId}], not [${asked}].`
  return { errorCode: ErrorCode.INVALID_REPLICA_ASSIGNMENT, errorMessage }
}
