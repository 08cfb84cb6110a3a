/**
 * Produce (0): appends record batches to partitions.
 * v7 zstd (KIP-110), v8 error per record (KIP-467), v10 leader hints (KIP-951), v12 transactions
 * without AddPartitionsToTxn (KIP-890), v13 topic ids instead of names (KIP-516).
 */
import { array, int16, int32, int64, records, string, struct, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const produceRequest = request(
  'ProduceRequest',
  { apiKey: 0, versions: '3-13', flexible: '9+' },
  {
    transactionalId: string('3+', { nullable: '3+', default: null }),
    acks: int16('0+'),
    timeoutMs: int32('0+'),
    topicData: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitionData: array('0+', {
        index: int32('0+'),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const produceResponse = response(
  'ProduceResponse',
  { apiKey: 0, versions: '3-13', flexible: '9+' },
  {
    responses: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitionResponses: array('0+', {
        index: int32('0+'),
        errorCode: int16('0+'),
        baseOffset: int64('0+'),
        logAppendTimeMs: int64('2+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        recordErrors: array(
          '8+',
          {
            batchIndex: int32('8+'),
            batchIndexErrorMessage: string('8+', { nullable: '8+', default: null }),
          },
          { ignorable: true },
        ),
        errorMessage: string('8+', { nullable: '8+', default: null, ignorable: true }),
        currentLeader: struct(
          '10+',
          {
            leaderId: int32('10+', { default: -1 }),
            leaderEpoch: int32('10+', { default: -1 }),
          },
          { tag: 0, tagged: '10+' },
        ),
      }),
    }),
    throttleTimeMs: int32('1+', { ignorable: true }),
    nodeEndpoints: array(
      '10+',
      {
        nodeId: int32('10+'),
        host: string('10+'),
        port: int32('10+'),
        rack: string('10+', { nullable: '10+', default: null }),
      },
      { tag: 0, tagged: '10+' },
    ),
  },
)

export const produceApi = { request: produceRequest, response: produceResponse }

export type ProduceRequest = Decoded<typeof produceRequest>
export type ProduceResponse = Decoded<typeof produceResponse>
