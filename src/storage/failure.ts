import { AssertionFailed } from '../assert.ts'

/** Why something has failed. */
export interface Failure {
  readonly reason: string
  /** Of what nobody expected: a bug. Null for what disks and damaged files do. */
  readonly stack: string | null
}

const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError, AssertionFailed]

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { reason: String(error), stack: null }
  const isBug = BUGS.some(kind => error instanceof kind)
  return { reason: error.message, stack: isBug ? (error.stack ?? error.message) : null }
}

/** As it was where it happened. */
export function errorOf({ reason, stack }: Failure): Error {
  const error = new Error(reason)
  if (stack !== null) error.stack = stack
  return error
}
