/**
 * CreatePartitions (37): raises the partition count of topics (KIP-195).
 * v3 quota (KIP-599).
 */
import { array, bool, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const createPartitionsRequest = request(
  'CreatePartitionsRequest',
  { apiKey: 37, versions: '0-3', flexible: '2+' },
  {
    topics: array('0+', {
      name: string('0+'),
      count: int32('0+'),
      assignments: array(
        '0+',
        {
          brokerIds: array('0+', int32),
        },
        { nullable: '0+' },
      ),
    }),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
)

export const createPartitionsResponse = response(
  'CreatePartitionsResponse',
  { apiKey: 37, versions: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      name: string('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
)

export const createPartitionsApi = {
  request: createPartitionsRequest,
  response: createPartitionsResponse,
}

export type CreatePartitionsRequest = Decoded<typeof createPartitionsRequest>
export type CreatePartitionsResponse = Decoded<typeof createPartitionsResponse>
