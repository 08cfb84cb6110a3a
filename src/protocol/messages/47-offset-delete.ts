/**
 * OffsetDelete (47): deletes committed offsets of topics that a group is not subscribed to (KIP-496).
 */
import { array, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const offsetDeleteRequest = request(
  'OffsetDeleteRequest',
  { apiKey: 47, versions: '0', flexible: 'none' },
  {
    groupId: string('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
)

export const offsetDeleteResponse = response(
  'OffsetDeleteResponse',
  { apiKey: 47, versions: '0', flexible: 'none' },
  {
    errorCode: int16('0+'),
    throttleTimeMs: int32('0+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

export const offsetDeleteApi = { request: offsetDeleteRequest, response: offsetDeleteResponse }

export type OffsetDeleteRequest = Decoded<typeof offsetDeleteRequest>
export type OffsetDeleteResponse = Decoded<typeof offsetDeleteResponse>
