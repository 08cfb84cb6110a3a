/**
 * DescribeCluster (60): cluster id, controller and brokers for admin clients (KIP-700).
 * v1 endpoint type (KIP-919), v2 fenced brokers (KIP-1073).
 */
import { array, bool, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const describeClusterRequest = request(
  'DescribeClusterRequest',
  { apiKey: 60, versions: '0-2', flexible: '0+' },
  {
    includeClusterAuthorizedOperations: bool('0+'),
    endpointType: int8('1+', { default: 1 }),
    includeFencedBrokers: bool('2+'),
  },
)

export const describeClusterResponse = response(
  'DescribeClusterResponse',
  { apiKey: 60, versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    endpointType: int8('1+', { default: 1 }),
    clusterId: string('0+'),
    controllerId: int32('0+', { default: -1 }),
    brokers: array('0+', {
      brokerId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('0+', { nullable: '0+', default: null }),
      isFenced: bool('2+'),
    }),
    clusterAuthorizedOperations: int32('0+', { default: -2147483648 }),
  },
)

export const describeClusterApi = {
  request: describeClusterRequest,
  response: describeClusterResponse,
}

export type DescribeClusterRequest = Decoded<typeof describeClusterRequest>
export type DescribeClusterResponse = Decoded<typeof describeClusterResponse>
