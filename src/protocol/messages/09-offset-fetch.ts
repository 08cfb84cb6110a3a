/**
 * OffsetFetch (9): the offsets that a group has committed.
 * v2 all topics, v5 leader epoch, v7 require stable (KIP-447), v8 several groups (KIP-709), v9 member epochs (KIP-848), v10 topic ids.
 */
import { array, bool, int16, int32, int64, string, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const offsetFetchRequest = request(
  'OffsetFetchRequest',
  { apiKey: 9, versions: '1-10', flexible: '6+' },
  {
    groupId: string('0-7'),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitionIndexes: array('0-7', int32),
      },
      { nullable: '2-7' },
    ),
    groups: array('8+', {
      groupId: string('8+'),
      memberId: string('9+', { nullable: '9+', default: null, ignorable: true }),
      memberEpoch: int32('9+', { default: -1, ignorable: true }),
      topics: array(
        '8+',
        {
          name: string('8-9', { ignorable: true }),
          topicId: uuid('10+', { ignorable: true }),
          partitionIndexes: array('8+', int32),
        },
        { nullable: '8+' },
      ),
    }),
    requireStable: bool('7+'),
  },
)

export const offsetFetchResponse = response(
  'OffsetFetchResponse',
  { apiKey: 9, versions: '1-10', flexible: '6+' },
  {
    throttleTimeMs: int32('3+', { ignorable: true }),
    topics: array('0-7', {
      name: string('0-7'),
      partitions: array('0-7', {
        partitionIndex: int32('0-7'),
        committedOffset: int64('0-7'),
        committedLeaderEpoch: int32('5-7', { default: -1, ignorable: true }),
        metadata: string('0-7', { nullable: '0-7' }),
        errorCode: int16('0-7'),
      }),
    }),
    errorCode: int16('2-7', { ignorable: true }),
    groups: array('8+', {
      groupId: string('8+'),
      topics: array('8+', {
        name: string('8-9', { ignorable: true }),
        topicId: uuid('10+', { ignorable: true }),
        partitions: array('8+', {
          partitionIndex: int32('8+'),
          committedOffset: int64('8+'),
          committedLeaderEpoch: int32('8+', { default: -1, ignorable: true }),
          metadata: string('8+', { nullable: '8+' }),
          errorCode: int16('8+'),
        }),
      }),
      errorCode: int16('8+'),
    }),
  },
)

export const offsetFetchApi = { request: offsetFetchRequest, response: offsetFetchResponse }

export type OffsetFetchRequest = Decoded<typeof offsetFetchRequest>
export type OffsetFetchResponse = Decoded<typeof offsetFetchResponse>
