import type { RequestContext } from '../apis/handler.ts'
import type { Pace, Reading } from '../apis/pace.ts'
import type { BrokerContext } from '../broker-context.ts'
import type { RequestHeader } from '../protocol/header.ts'

/** What a connection does for the handlers of its requests. */
export interface CallConnection extends Reading {
  readonly gone: AbortSignal
  /** The request waits: its memory is counted no more. */
  park(call: Call): void
}

/** One request under way, as its handler sees it. */
export class Call implements RequestContext {
  readonly broker: BrokerContext
  readonly version: number
  readonly clientId: string
  readonly listener: string
  readonly peer: string
  readonly pace: Pace
  readonly #connection: CallConnection

  constructor(
    broker: BrokerContext,
    header: RequestHeader,
    listener: string,
    peer: string,
    pace: Pace,
    connection: CallConnection,
  ) {
    this.broker = broker
    this.version = header.apiVersion
    this.clientId = header.clientId
    this.listener = listener
    this.peer = peer
    this.#connection = connection
    this.pace = pace
  }

  get gone(): AbortSignal {
    return this.#connection.gone
  }

  hold(until: Promise<void>): void {
    this.#connection.holdUntil(until)
  }

  park(): void {
    this.pace.leave()
    this.#connection.park(this)
  }
}
