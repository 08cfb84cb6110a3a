/** Work at once that still counts as small, in ms. */
const SMALL_MS = 0.25
/** The share of the event loop's time that a connection may use and still count as small. */
const SMALL_SHARE = 0.01

/**
 * What a connection has used of the event loop lately. One that uses little is served at once, however long the line of
 * those that use much.
 */
export class CpuShare {
  #debtMs = 0
  #since = performance.now()
  #started = 0

  /** Its requests are handled from now on. `now`: ms of the monotonic clock. */
  start(now: number): void {
    this.#debtMs = Math.max(0, this.#debtMs - (now - this.#since) * SMALL_SHARE)
    this.#since = now
    this.#started = now
  }

  stop(): void {
    this.#debtMs += performance.now() - this.#started
  }

  /** While its requests are handled: whether that is still little. */
  get isSmall(): boolean {
    return this.#debtMs + performance.now() - this.#started < SMALL_MS
  }
}
