/**
 * ListOffsets (2): the offset for a timestamp or for a special position.
 * v1 one offset each (KIP-79), v2 isolation level, v4 leader epochs (KIP-320), v7 max timestamp
 * (KIP-734), v8 to v11 tiered storage positions (KIP-405, KIP-1005, KIP-1075, KIP-1023).
 */
import { array, int8, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const listOffsetsRequest = request(
  'ListOffsetsRequest',
  { apiKey: 2, versions: '1-11', flexible: '6+' },
  {
    replicaId: int32('0+'),
    isolationLevel: int8('2+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        currentLeaderEpoch: int32('4+', { default: -1, ignorable: true }),
        timestamp: int64('0+'),
      }),
    }),
    timeoutMs: int32('10+', { ignorable: true }),
  },
)

export const listOffsetsResponse = response(
  'ListOffsetsResponse',
  { apiKey: 2, versions: '1-11', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        timestamp: int64('1+', { default: -1 }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }),
      }),
    }),
  },
)

export const listOffsetsApi = { request: listOffsetsRequest, response: listOffsetsResponse }

export type ListOffsetsRequest = Decoded<typeof listOffsetsRequest>
export type ListOffsetsResponse = Decoded<typeof listOffsetsResponse>
