/**
 * InitProducerId (22), versions 0-5 (v6 is unstable in Kafka and not served). Without a transactional id every request
 * gets a fresh producer id, whatever id it brings. There is no transaction coordinator yet: with a transactional id the
 * answer is COORDINATOR_NOT_AVAILABLE, as FindCoordinator's.
 */
import { toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { initProducerIdApi } from '../protocol/messages/22-init-producer-id.ts'
import { defineApi, type RequestContext } from './handler.ts'

const NONE = -1

export const initProducerId = defineApi(
  initProducerIdApi,
  async (request, { broker }) => {
    const { transactionalId, producerId, producerEpoch } = request
    const isHalf = (producerId === NONE) !== (producerEpoch === NONE)
    if (transactionalId === '' || isHalf) return refusal(ErrorCode.INVALID_REQUEST)
    if (transactionalId !== null) return refusal(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    try {
      const id = await broker.producerIds.next()
      return { body: { errorCode: ErrorCode.NONE, producerId: id, producerEpoch: 0 } }
    } catch (error) {
      return refusal(retriableCode(error, broker))
    }
  },
  { sideBySide: true },
)

const refusal = (errorCode: ErrorCode) => ({
  body: { errorCode, producerId: NONE, producerEpoch: NONE },
})

/** UNKNOWN_SERVER_ERROR would end the producer; nothing has happened yet, so it may as well try again. */
function retriableCode(error: unknown, { log }: RequestContext['broker']): ErrorCode {
  const { errorCode } = toKafkaError(error, log)
  const isUnknown = errorCode === ErrorCode.UNKNOWN_SERVER_ERROR
  return isUnknown ? ErrorCode.COORDINATOR_NOT_AVAILABLE : errorCode
}
