/**
 * OffsetCommit (8): the offsets that a group has consumed up to, kept by its coordinator.
 * v5 no retention time, v6 leader epoch (KIP-320), v7 static members (KIP-345), v9 member epochs (KIP-848), v10 topic ids.
 */
import { array, int16, int32, int64, string, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const offsetCommitRequest = request(
  'OffsetCommitRequest',
  { apiKey: 8, versions: '2-10', flexible: '8+' },
  {
    groupId: string('0+'),
    generationIdOrMemberEpoch: int32('1+', { default: -1, ignorable: true }),
    memberId: string('1+', { ignorable: true }),
    groupInstanceId: string('7+', { nullable: '7+', default: null }),
    retentionTimeMs: int64('2-4', { default: -1, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('6+', { default: -1, ignorable: true }),
        committedMetadata: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const offsetCommitResponse = response(
  'OffsetCommitResponse',
  { apiKey: 8, versions: '2-10', flexible: '8+' },
  {
    throttleTimeMs: int32('3+', { ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

export const offsetCommitApi = { request: offsetCommitRequest, response: offsetCommitResponse }

export type OffsetCommitRequest = Decoded<typeof offsetCommitRequest>
export type OffsetCommitResponse = Decoded<typeof offsetCommitResponse>
