/**
 * OffsetForLeaderEpoch (23): the end offset of a leader epoch, to detect truncation (KIP-101).
 * v1 KIP-279, v2 fencing (KIP-320), v3 replica id.
 */
import { array, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const offsetForLeaderEpochRequest = request(
  'OffsetForLeaderEpochRequest',
  { apiKey: 23, versions: '2-4', flexible: '4+' },
  {
    replicaId: int32('3+', { default: -2, ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
        leaderEpoch: int32('0+'),
      }),
    }),
  },
)

export const offsetForLeaderEpochResponse = response(
  'OffsetForLeaderEpochResponse',
  { apiKey: 23, versions: '2-4', flexible: '4+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1, ignorable: true }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
)

export const offsetForLeaderEpochApi = {
  request: offsetForLeaderEpochRequest,
  response: offsetForLeaderEpochResponse,
}

export type OffsetForLeaderEpochRequest = Decoded<typeof offsetForLeaderEpochRequest>
export type OffsetForLeaderEpochResponse = Decoded<typeof offsetForLeaderEpochResponse>
