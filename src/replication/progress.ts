import type { ReplicaFetch } from './leader-effects.ts'

/** What a leader knows of one other replica, in its own epoch (Replica.java). */
export class ReplicaProgress {
  readonly id: number
  /** Under which it fetched last; -1: it has not in this epoch. */
  brokerEpoch = -1
  /** Everything below is on its disk; -1: it has not said in this epoch. */
  flushed = -1
  /** Where its log begins. */
  logStart = 0
  /** When it last had all that there was. */
  #caughtUpAt: number
  #fetchedAt = Number.NEGATIVE_INFINITY
  #endAtFetch = 0
  /** The session whose last answer is `#answeredAt`. */
  #session = -1
  #answeredAt = Number.NEGATIVE_INFINITY
  /** It was following at this time or later: it fetched after an answer that left then. */
  followedAt = Number.NEGATIVE_INFINITY

  constructor(id: number, caughtUpAt: number) {
    this.id = id
    this.#caughtUpAt = caughtUpAt
  }

  /** As Replica.updateFetchState: caught up now, or when the fetch before was read, if this one begins where the log ended then. */
  fetched({ offset, brokerEpoch, logStart }: ReplicaFetch, leaderEnd: number, now: number): void {
    if (offset >= leaderEnd) this.#caughtUpAt = Math.max(this.#caughtUpAt, now)
    else if (offset >= this.#endAtFetch) {
      this.#caughtUpAt = Math.max(this.#caughtUpAt, this.#fetchedAt)
    }
    // Fetches of one life may overtake each other on two connections; another life may have less.
    this.flushed = brokerEpoch === this.brokerEpoch ? Math.max(this.flushed, offset) : offset
    this.brokerEpoch = brokerEpoch
    this.logStart = logStart
    this.#endAtFetch = leaderEnd
    this.#fetchedAt = now
  }

  /** The log is about to grow: it had all that there was until now, if it had that. */
  grows(leaderEnd: number, now: number): void {
    if (this.flushed === leaderEnd) this.#caughtUpAt = Math.max(this.#caughtUpAt, now)
  }

  /**
   * A fetch may have lain in a socket while this process stood still, so that it came says nothing of when it was sent; that
   * it follows an answer of ours does.
   */
  heard(session: number): void {
    if (session === this.#session) this.followedAt = this.#answeredAt
  }

  /** It is in the ISR from now on, and has the lag time to catch up: else one that lags comes and goes with every fetch. */
  joined(now: number): void {
    this.#caughtUpAt = Math.max(this.#caughtUpAt, now)
  }

  answered(session: number, now: number): void {
    this.#session = session
    this.#answeredAt = now
  }

  isCaughtUp(leaderEnd: number, now: number, lagTimeMs: number): boolean {
    return this.flushed === leaderEnd || now - this.#caughtUpAt <= lagTimeMs
  }
}
