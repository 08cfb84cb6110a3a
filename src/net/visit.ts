import type { Logger } from '../logger.ts'

/** Why connections end that did nothing for it. */
export const STOP = 'the broker stops'

/** Connections that this process has taken so far. */
let taken = 0

/** What a log at level debug says of one connection: two lines, when its client comes and when it is gone. */
export class Visit {
  /** Requests so far. */
  requests = 0
  readonly #log: Logger
  readonly #who: { readonly connection: number; readonly listener: string; readonly peer: string }
  readonly #since = performance.now()
  #reason: string | null = null

  constructor(log: Logger, listener: string, peer: string) {
    this.#log = log
    this.#who = { connection: ++taken, listener, peer }
    log.debug(this.#who, 'a client has connected')
  }

  /** It is about to end. The first reason counts: what comes after it comes of it. */
  endsFor(reason: string): void {
    this.#reason ??= reason
  }

  end(): void {
    const { requests } = this
    const reason = this.#reason ?? 'closed'
    const ms = Math.round(performance.now() - this.#since)
    const message = `a client is gone: ${reason}, after ${ms} ms`
    this.#log.debug({ ...this.#who, requests, reason, ms }, message)
  }
}
