import type { BrokerContext } from '../broker-context.ts'
import type { Fields } from '../protocol/fields.ts'
import type { Api, Decoded, Encodable, Message } from '../protocol/schema.ts'
import type { Pace } from './pace.ts'

/** What a handler may know of the request besides its body. */
export interface RequestContext {
  readonly broker: BrokerContext
  readonly version: number
  readonly clientId: string
  /** Name of the listener it came in on: addresses in answers are that listener's. */
  readonly listener: string
  /** Address of the client, for logs. */
  readonly peer: string
  /**
   * Stops reading the connection until the promise resolves, for back-pressure. Views on the request's records stay
   * valid that long.
   */
  hold(until: Promise<void>): void
  /** Aborted when the client sends nothing more, or the connection is gone: what waits for something is answered now. */
  readonly gone: AbortSignal
  /** For loops over what the request names, or over what there is. */
  readonly pace: Pace
  /** From here on the answer waits for others: what is kept for it meanwhile is bounded where it is kept. */
  park(): void
}

/** Instead of an answer: none is sent (acks=0). */
export const NO_ANSWER = Symbol('no answer')
/** Instead of an answer: the connection is closed, for the client to look around anew. */
export const CLOSE = Symbol('close the connection')

/** An answer, and what to do when it has been handed to the system (or the connection is gone). */
export interface Answer<R> {
  readonly body: R
  readonly onSent?: () => void
}

export type Outcome<R> = Answer<R> | typeof NO_ANSWER | typeof CLOSE

/** One API: its messages, the versions it advertises, and what it does. */
export interface ApiHandler {
  readonly request: Message
  readonly response: Message
  readonly min: number
  readonly max: number
  /**
   * Handled beside the requests before and behind it on its connection; others are read once everything before them is
   * answered, and nothing behind them is read before they are (but behind a fetch, which changes nothing and may wait
   * long). Only for answers that are not much larger than the request, or a connection could ask for any amount of
   * memory, and for what takes effect before the first await.
   */
  readonly sideBySide: boolean
  /** Its answer may wait for others (`park`). */
  readonly waits: boolean
  handle(request: never, context: RequestContext): Outcome<never> | Promise<Outcome<never>>
}

/** What is served, by API key. */
export type ApiTable = Readonly<Record<number, ApiHandler | undefined>>

/**
 * Ties an API's messages to its handler. The versions served are the schema's, less the unstable one.
 * The handler runs synchronously up to its first await: until then views on the request's records are valid.
 */
export function defineApi<Q extends Fields, R extends Fields>(
  api: Api<Q, R>,
  handle: (
    request: Decoded<Message<Q>>,
    context: RequestContext,
  ) => Outcome<Encodable<Message<R>>> | Promise<Outcome<Encodable<Message<R>>>>,
  options: { sideBySide?: boolean; waits?: boolean } = {},
): ApiHandler {
  const { request, response } = api
  const unstable = request.latestVersionUnstable ? 1 : 0
  return {
    request: request as unknown as Message,
    response: response as unknown as Message,
    min: request.versions.min,
    max: request.versions.max - unstable,
    sideBySide: options.sideBySide ?? false,
    waits: options.waits ?? false,
    handle: handle as ApiHandler['handle'],
  }
}
