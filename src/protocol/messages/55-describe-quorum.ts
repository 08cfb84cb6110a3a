/**
 * DescribeQuorum (55): who keeps the cluster's metadata, and how far each of them is (KIP-642).
 * v1 times of fetches (KIP-836), v2 directory ids, endpoints and error messages (KIP-853).
 */
import { array, int16, int32, int64, string, uint16, uuid } from '../fields.ts'
import { request, response } from '../schema.ts'

export const describeQuorumRequest = request(
  'DescribeQuorumRequest',
  { apiKey: 55, versions: '0-2', flexible: '0+' },
  {
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
)

const replicaState = {
  replicaId: int32('0+'),
  replicaDirectoryId: uuid('2+'),
  logEndOffset: int64('0+'),
  lastFetchTimestamp: int64('1+', { ignorable: true, default: -1 }),
  lastCaughtUpTimestamp: int64('1+', { ignorable: true, default: -1 }),
} as const

export const describeQuorumResponse = response(
  'DescribeQuorumResponse',
  { apiKey: 55, versions: '0-2', flexible: '0+' },
  {
    errorCode: int16('0+'),
    errorMessage: string('2+', { nullable: '2+', ignorable: true }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('2+', { nullable: '2+', ignorable: true }),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        highWatermark: int64('0+'),
        currentVoters: array('0+', replicaState),
        observers: array('0+', replicaState),
      }),
    }),
    nodes: array('2+', {
      nodeId: int32('2+'),
      listeners: array('2+', {
        name: string('2+'),
        host: string('2+'),
        port: uint16('2+'),
      }),
    }),
  },
)

export const describeQuorumApi = {
  request: describeQuorumRequest,
  response: describeQuorumResponse,
}
