/**
 * DescribeProducers (61): producer state of partitions, to find hanging transactions (KIP-664).
 */
import { array, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const describeProducersRequest = request(
  'DescribeProducersRequest',
  { apiKey: 61, versions: '0', flexible: '0+' },
  {
    topics: array('0+', {
      name: string('0+'),
      partitionIndexes: array('0+', int32),
    }),
  },
)

export const describeProducersResponse = response(
  'DescribeProducersResponse',
  { apiKey: 61, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+', default: null }),
        activeProducers: array('0+', {
          producerId: int64('0+'),
          producerEpoch: int32('0+'),
          lastSequence: int32('0+', { default: -1 }),
          lastTimestamp: int64('0+', { default: -1 }),
          coordinatorEpoch: int32('0+'),
          currentTxnStartOffset: int64('0+', { default: -1 }),
        }),
      }),
    }),
  },
)

export const describeProducersApi = {
  request: describeProducersRequest,
  response: describeProducersResponse,
}

export type DescribeProducersRequest = Decoded<typeof describeProducersRequest>
export type DescribeProducersResponse = Decoded<typeof describeProducersResponse>
