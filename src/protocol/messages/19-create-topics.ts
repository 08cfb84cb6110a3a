/**
 * CreateTopics (19): added by KIP-4.
 * v4 broker defaults for -1 (KIP-464), v5 configs in the answer (KIP-525), v6 quota (KIP-599), v7
 * topic id in the answer (KIP-516).
 */
import { array, bool, int8, int16, int32, string, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const createTopicsRequest = request(
  'CreateTopicsRequest',
  { apiKey: 19, versions: '2-7', flexible: '5+' },
  {
    topics: array('0+', {
      name: string('0+'),
      numPartitions: int32('0+'),
      replicationFactor: int16('0+'),
      assignments: array('0+', {
        partitionIndex: int32('0+'),
        brokerIds: array('0+', int32),
      }),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool('1+'),
  },
)

export const createTopicsResponse = response(
  'CreateTopicsResponse',
  { apiKey: 19, versions: '2-7', flexible: '5+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      topicId: uuid('7+', { ignorable: true }),
      errorCode: int16('0+'),
      errorMessage: string('1+', { nullable: '0+', ignorable: true }),
      topicConfigErrorCode: int16('5+', { ignorable: true, tag: 0, tagged: '5+' }),
      numPartitions: int32('5+', { default: -1, ignorable: true }),
      replicationFactor: int16('5+', { default: -1, ignorable: true }),
      configs: array(
        '5+',
        {
          name: string('5+'),
          value: string('5+', { nullable: '5+' }),
          readOnly: bool('5+'),
          configSource: int8('5+', { default: -1, ignorable: true }),
          isSensitive: bool('5+'),
        },
        { nullable: '5+', ignorable: true },
      ),
    }),
  },
)

export const createTopicsApi = { request: createTopicsRequest, response: createTopicsResponse }

export type CreateTopicsRequest = Decoded<typeof createTopicsRequest>
export type CreateTopicsResponse = Decoded<typeof createTopicsResponse>
