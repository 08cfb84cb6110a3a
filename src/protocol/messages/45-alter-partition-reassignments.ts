/**
 * AlterPartitionReassignments (45): moves replicas to other brokers, or calls such a move off (KIP-455).
 */
import { array, bool, int16, int32, string } from '../fields.ts'
import { request, response } from '../schema.ts'

export const alterPartitionReassignmentsRequest = request(
  'AlterPartitionReassignmentsRequest',
  { apiKey: 45, versions: '0-1', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60_000 }),
    allowReplicationFactorChange: bool('1+', { default: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', int32, { nullable: '0+', default: null }),
      }),
    }),
  },
)

export const alterPartitionReassignmentsResponse = response(
  'AlterPartitionReassignmentsResponse',
  { apiKey: 45, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    allowReplicationFactorChange: bool('1+', { default: true, ignorable: true }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    responses: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const alterPartitionReassignmentsApi = {
  request: alterPartitionReassignmentsRequest,
  response: alterPartitionReassignmentsResponse,
}
