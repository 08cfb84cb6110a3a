import { SMALL_BYTES } from './request-memory.ts'

/** A connection whose client has been slow to take its answers for so long may be closed to make room, in ms. */
const STALLED_MS = 2_000

/** A connection with answers that its client has not taken yet. */
export interface Receiver {
  /** When it last took some, in ms of the monotonic clock. */
  readonly lastActive: number
  /** Closes it: what it has not taken is lost. */
  giveUp(): void
}

/**
 * Answers of all connections that lie in memory because clients do not take them. Past the bound, connections that have
 * some are not served any further until they have taken them, and those that take nothing are closed.
 */
export class UnsentAnswers {
  readonly #bytesMax: number
  /** Those with more than SMALL_BYTES unsent. */
  readonly #receivers = new Map<Receiver, number>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether a connection with so many bytes unsent must wait until its client has taken them. */
  isTooMuch(bytes: number): boolean {
    return bytes > SMALL_BYTES && this.#bytes > this.#bytesMax
  }

  /** How much lies unsent for the connection now. */
  set(receiver: Receiver, bytes: number): void {
    const before = this.#receivers.get(receiver) ?? 0
    const counted = bytes > SMALL_BYTES ? bytes : 0
    if (counted === before) return
    this.#bytes += counted - before
    if (counted === 0) this.#receivers.delete(receiver)
    else this.#receivers.set(receiver, counted)
    if (counted > before && this.#bytes > this.#bytesMax) this.sweep()
  }

  /** While there is too much: closes those that have taken nothing for a while. */
  sweep(now: number = performance.now()): void {
    if (this.#bytes <= this.#bytesMax) return
    for (const receiver of [...this.#receivers.keys()]) {
      if (this.#bytes <= this.#bytesMax) return
      if (now - receiver.lastActive > STALLED_MS) receiver.giveUp()
    }
  }
}
