/** Work at once that still counts as small, in ms. */
const SMALL_MS = 0.25
/** The share of the event loop's time that a connection may use and still count as small. */
const SMALL_SHARE = 0.01
/** Requests between two looks at the clock, which costs what a part of a small one does: none takes much over half a ms at once. */
const REQUESTS_A_LOOK = 8

/**
 * What a connection has used of the event loop lately. One that uses little is served at once, however long the line of
 * those that use much.
 */
export class CpuShare {
  #debtMs = 0
  #since = performance.now()
  #started = 0
  /** Requests since the clock was looked at. */
  #requests = 0

  /** Its requests are handled from now on. `now`: ms of the monotonic clock. */
  start(now: number): void {
    this.#debtMs = Math.max(0, this.#debtMs - (now - this.#since) * SMALL_SHARE)
    this.#since = now
    this.#started = now
    this.#requests = 0
  }

  /** @returns whether what it has used is still little */
  stop(): boolean {
    this.#debtMs += performance.now() - this.#started
    return this.#debtMs < SMALL_MS
  }

  /** Asked before each request: what time it is, in ms of the monotonic clock, or -1 if that need not be known. */
  look(): number {
    const before = this.#requests++
    if (before === 0) return this.#started
    return before % REQUESTS_A_LOOK === 0 ? performance.now() : -1
  }

  /** While its requests are handled: whether what it uses is still little. */
  isSmall(now: number): boolean {
    return this.#debtMs + now - this.#started < SMALL_MS
  }
}
