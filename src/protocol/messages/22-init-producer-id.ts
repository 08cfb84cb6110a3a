/**
 * InitProducerId (22): gets a producer id, or bumps the epoch of one (KIP-98).
 * v3 resume (KIP-360), v4 PRODUCER_FENCED (KIP-588), v5 KIP-890, v6 two-phase commit (KIP-939),
 * unstable in Kafka 4.4.
 */
import { bool, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const initProducerIdRequest = request(
  'InitProducerIdRequest',
  { apiKey: 22, versions: '0-6', flexible: '2+', latestVersionUnstable: true },
  {
    transactionalId: string('0+', { nullable: '0+' }),
    transactionTimeoutMs: int32('0+'),
    producerId: int64('3+', { default: -1 }),
    producerEpoch: int16('3+', { default: -1 }),
    enable2Pc: bool('6+'),
    keepPreparedTxn: bool('6+'),
  },
)

export const initProducerIdResponse = response(
  'InitProducerIdResponse',
  { apiKey: 22, versions: '0-6', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { ignorable: true }),
    errorCode: int16('0+'),
    producerId: int64('0+', { default: -1 }),
    producerEpoch: int16('0+'),
    ongoingTxnProducerId: int64('6+', { default: -1 }),
    ongoingTxnProducerEpoch: int16('6+', { default: -1 }),
  },
)

export const initProducerIdApi = {
  request: initProducerIdRequest,
  response: initProducerIdResponse,
}

export type InitProducerIdRequest = Decoded<typeof initProducerIdRequest>
export type InitProducerIdResponse = Decoded<typeof initProducerIdResponse>
