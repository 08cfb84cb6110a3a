import type { ApiHandler, Outcome } from '../apis/handler.ts'
import type { RequestHeader } from '../protocol/header.ts'
import type { Call } from './call.ts'

/** The place of one request in the order of answers. */
export interface Slot {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  readonly call: Call
  /** What it takes in memory. */
  cost: number
  /** For an answer that says that it has failed; null if nobody keeps it. */
  request: unknown
  /** Set once the handler is done; `undefined` while it runs. */
  outcome: Outcome<never> | undefined
}

/** Whether nothing behind it is read before it is answered, so that requests take effect in their order. */
export const isAlone = ({ sideBySide, waits }: ApiHandler): boolean => !sideBySide && !waits

/** Nobody will be sent the answer. */
export function release(outcome: Outcome<never> | undefined): void {
  if (typeof outcome === 'object') outcome.onSent?.()
}
