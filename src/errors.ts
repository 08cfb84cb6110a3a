import { ErrorCode } from './protocol/error-codes.ts'

/**
 * An operating error that a client is told about: a Kafka error code and one sentence for a person.
 */
export class BrokerError extends Error {
  override readonly name: string = 'BrokerError'
  readonly errorCode: ErrorCode

  constructor(errorCode: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.errorCode = errorCode
  }
}

/** What an answer carries about a failure. */
export interface KafkaError {
  readonly errorCode: ErrorCode
  readonly errorMessage: string
}

/** The part of a pino logger used here. */
export interface ErrorLog {
  error(fields: object, message: string): void
}

/**
 * The one place where a failure becomes a Kafka error. What is not a BrokerError is a bug of ours:
 * it goes to the log with its stack, and the client learns nothing of it but UNKNOWN_SERVER_ERROR.
 */
export function toKafkaError(error: unknown, log: ErrorLog): KafkaError {
  if (error instanceof BrokerError) {
    return { errorCode: error.errorCode, errorMessage: error.message }
  }
  log.error({ err: error }, 'bug: a request failed in an unexpected way')
  return {
    errorCode: ErrorCode.UNKNOWN_SERVER_ERROR,
    errorMessage: 'The broker failed unexpectedly; its log has the details.',
  }
}

/** A broker option that cannot be used: which, where it came from, and what is allowed. */
export class InvalidOption extends Error {
  override readonly name = 'InvalidOption'
  readonly key: string
  readonly value: string
  /** "default", "file <path>", "environment <NAME>", "flag" or "code". */
  readonly origin: string
  readonly allowed: string

  constructor(key: string, value: string, origin: string, allowed: string) {
    super(`Invalid option ${key}=${value} (from ${origin}): it must be ${allowed}.`)
    this.key = key
    this.value = value
    this.origin = origin
    this.allowed = allowed
  }
}

/** A listener cannot be opened: one sentence that says which and why. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}
