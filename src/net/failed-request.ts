import { type Body, errorAnswer } from '../apis/error-answers.ts'
import { type ApiHandler, CLOSE, type Outcome } from '../apis/handler.ts'
import { type ErrorLog, toKafkaError } from '../errors.ts'
import type { RequestHeader } from '../protocol/header.ts'

/** Array elements of a request whose failure is answered: the answer lists as many, and is made in one piece. */
export const ANSWERED_ELEMENTS_MAX = 10_000

export interface FailedRequest {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  /** Null if nobody keeps it. */
  readonly request: unknown
}

/**
 * What becomes of a request when its handler throws, or its answer cannot be encoded: the answer has the error wherever it
 * has room for one. Where it has none, the connection is closed, and the client looks around anew.
 */
export function failedOutcome(
  { handler, header, request }: FailedRequest,
  error: unknown,
  log: ErrorLog,
  peer: string,
): Outcome<never> {
  const kafkaError = toKafkaError(error, {
    error: (fields, message) => log.error({ ...fields, peer, api: header.apiKey }, message),
  })
  const { apiVersion } = header
  const body =
    request === null ? null : errorAnswer(handler, apiVersion, request as Body, kafkaError)
  return body === null ? CLOSE : { body: body as never }
}
