/**
 * ListPartitionReassignments (46): the moves of replicas that are under way (KIP-455).
 */
import { array, int16, int32, string } from '../fields.ts'
import { request, response } from '../schema.ts'

export const listPartitionReassignmentsRequest = request(
  'ListPartitionReassignmentsRequest',
  { apiKey: 46, versions: '0', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60_000 }),
    topics: array(
      '0+',
      {
        name: string('0+'),
        partitionIndexes: array('0+', int32),
      },
      { nullable: '0+', default: null },
    ),
  },
)

export const listPartitionReassignmentsResponse = response(
  'ListPartitionReassignmentsResponse',
  { apiKey: 46, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', int32),
        addingReplicas: array('0+', int32),
        removingReplicas: array('0+', int32),
      }),
    }),
  },
)

export const listPartitionReassignmentsApi = {
  request: listPartitionReassignmentsRequest,
  response: listPartitionReassignmentsResponse,
}
