/** Work at once that still counts as small, in ms. */
const SMALL_MS = 0.25
/** The share of the event loop's time that a connection may use and still count as small. */
const SMALL_SHARE = 0.01
/** Requests between two looks at the clock, which costs what a part of a small one does: none takes much over half a ms at once. */
const REQUESTS_A_LOOK = 8
/** What one request is charged at most, in ms: what takes longer is as a rule the process that was held up, and not the request. */
const CHARGED_MS_MAX = SMALL_MS

/**
 * What a connection has used of the event loop lately. One that uses little is served at once, however long the line of
 * those that use much.
 */
export class CpuShare {
  readonly #clock: () => number
  #debtMs = 0
  #since: number
  #started = 0
  /** Since it was started. */
  #requests = 0

  /** @param clock ms of a clock that only goes forward */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.#since = clock()
  }

  /** Its requests are handled from now on. `now`: what the clock says. */
  start(now: number): void {
    this.#debtMs = Math.max(0, this.#debtMs - (now - this.#since) * SMALL_SHARE)
    this.#since = now
    this.#started = now
    this.#requests = 0
  }

  /** @returns whether what it has used is still little */
  stop(): boolean {
    const most = Math.max(1, this.#requests) * CHARGED_MS_MAX
    this.#debtMs += Math.min(this.#clock() - this.#started, most)
    return this.#debtMs < SMALL_MS
  }

  /** Asked before each request: what the clock says, or -1 if that need not be known. */
  look(): number {
    const before = this.#requests++
    if (before === 0) return this.#started
    return before % REQUESTS_A_LOOK === 0 ? this.#clock() : -1
  }

  /** While its requests are handled: whether what it uses is still little. */
  isSmall(now: number): boolean {
    return this.#debtMs + now - this.#started < SMALL_MS
  }
}
