import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { LeaseEnded } from '../store.ts'
import type { MetadataUrl } from '../url.ts'
import type { EtcdError } from './wire.ts'

/**
 * gRPC codes after which nothing was changed and nothing will be: the request was refused before it was proposed, or when it
 * was applied. Any other (unavailable, deadline exceeded, cancelled, unknown, internal) may come of a proposal under way.
 */
const INVALID_ARGUMENT = 3
const NOT_FOUND = 5
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8
const FAILED_PRECONDITION = 9
const OUT_OF_RANGE = 11
const UNIMPLEMENTED = 12
const UNAUTHENTICATED = 16
const CERTAIN: readonly number[] = [
  INVALID_ARGUMENT,
  NOT_FOUND,
  PERMISSION_DENIED,
  FAILED_PRECONDITION,
  OUT_OF_RANGE,
  UNIMPLEMENTED,
  UNAUTHENTICATED,
]

/** gRPC itself says the last one of answers, too, that are larger than it takes: of etcd only these are refusals. */
const CERTAIN_EXHAUSTED = /database space exceeded|too many requests/

export const isCertain = ({ code, message }: EtcdError): boolean =>
  CERTAIN.includes(code) || (code === RESOURCE_EXHAUSTED && CERTAIN_EXHAUSTED.test(message))

/** The token is not valid any more: the same goes through with a new one. */
export const wantsToken = ({ code, message }: EtcdError): boolean =>
  code === UNAUTHENTICATED || message.includes('auth: revision in header is old')

export const knowsNoUsers = ({ code, message }: EtcdError): boolean =>
  code === FAILED_PRECONDITION && message.includes('authentication is not enabled')

export const isCompacted = ({ code, message }: EtcdError): boolean =>
  code === OUT_OF_RANGE && message.includes('compacted')

const isLeaseGone = ({ code, message }: EtcdError): boolean =>
  code === NOT_FOUND && message.includes('lease not found')

/** Nothing was changed: there is no etcd to be had. */
export const unreachable = (url: MetadataUrl, reasons: readonly string[]): BrokerError => {
  const message = `etcd does not answer (${url.shown}): ${[...new Set(reasons)].join('; ')}.`
  return new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
}

const said = (
  errorCode: BrokerError['errorCode'],
  message: string,
  cause: EtcdError,
): BrokerError => new BrokerError(errorCode, message, { cause })

/** What etcd has refused, as a sentence that says what to do. */
export function refusalOf(error: EtcdError, url: MetadataUrl): BrokerError {
  const { code, message } = error
  const denied = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
  if (isLeaseGone(error)) return new LeaseEnded(error)
  if (message.includes('database space exceeded')) {
    const what =
      'etcd takes no more changes, its database has reached its quota (alarm NOSPACE): compact and defragment it, then run "etcdctl alarm disarm".'
    return said(ErrorCode.KAFKA_STORAGE_ERROR, what, error)
  }
  if (message.includes('user name is empty')) {
    return said(denied, `etcd wants a user: etcd://user:password@… (${url.shown}).`, error)
  }
  if (message.includes('authentication failed')) {
    return said(denied, `etcd does not know the user or password of ${url.shown}.`, error)
  }
  if (code === PERMISSION_DENIED) {
    const who = url.user === null ? 'this broker' : `user ${url.user.name}`
    const what = `etcd does not let ${who} read and write keys below ${url.prefix}/ (${url.shown}): grant it that prefix, or mend the prefix.`
    return said(denied, what, error)
  }
  if (code === RESOURCE_EXHAUSTED) {
    return said(ErrorCode.REQUEST_TIMED_OUT, `etcd has too much to do: ${message}.`, error)
  }
  if (code === INVALID_ARGUMENT) {
    return said(ErrorCode.INVALID_REQUEST, `etcd refuses the change: ${message}.`, error)
  }
  return said(ErrorCode.UNKNOWN_SERVER_ERROR, `etcd refuses: ${message} (code ${code}).`, error)
}
