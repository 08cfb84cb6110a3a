/**
 * DeleteTopics (20): by name, from v6 also by id (KIP-4, KIP-516).
 * v5 error message and quota (KIP-599).
 */
import { array, int16, int32, string, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const deleteTopicsRequest = request(
  'DeleteTopicsRequest',
  { apiKey: 20, versions: '1-6', flexible: '4+' },
  {
    topics: array('6+', {
      name: string('6+', { nullable: '6+', default: null }),
      topicId: uuid('6+'),
    }),
    topicNames: array('0-5', string, { ignorable: true }),
    timeoutMs: int32('0+'),
  },
)

export const deleteTopicsResponse = response(
  'DeleteTopicsResponse',
  { apiKey: 20, versions: '1-6', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    responses: array('0+', {
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+', { ignorable: true }),
      errorCode: int16('0+'),
      errorMessage: string('5+', { nullable: '5+', default: null, ignorable: true }),
    }),
  },
)

export const deleteTopicsApi = { request: deleteTopicsRequest, response: deleteTopicsResponse }

export type DeleteTopicsRequest = Decoded<typeof deleteTopicsRequest>
export type DeleteTopicsResponse = Decoded<typeof deleteTopicsResponse>
