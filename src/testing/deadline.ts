import { setTimeout as sleep } from 'node:timers/promises'

/** How long a wait takes at most if nothing else is said, in ms. */
const TIMEOUT_MS = 5_000
/** Where the broker has no event for what is waited for, it is looked at this often. */
const POLL_MS = 10

export interface WaitOptions {
  /** ms until the wait is given up; 5,000 by default, Infinity: never. */
  readonly timeout?: number
  /** Gives the wait up when aborted, with the signal's reason. */
  readonly signal?: AbortSignal
}

/** What was waited for did not come in time; the message says what was there instead. */
export class WaitTimeout extends Error {
  override readonly name = 'WaitTimeout'
}

/**
 * The end of one wait: its time, the caller's signal, or that of the broker.
 * @internal
 */
export class Deadline {
  readonly timeout: number
  /** Aborted at the end, whichever comes first. */
  readonly signal: AbortSignal
  readonly #given: AbortSignal | undefined
  readonly #time = new AbortController()
  readonly #timer: NodeJS.Timeout | undefined

  constructor({ timeout = TIMEOUT_MS, signal }: WaitOptions, closed: AbortSignal) {
    signal?.throwIfAborted()
    this.timeout = timeout
    this.#given = signal
    if (timeout !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => this.#time.abort(), timeout)
    }
    const all = [closed, this.#time.signal]
    this.signal = AbortSignal.any(signal === undefined ? all : [...all, signal])
  }

  /** The wait is over: no timer is left behind. */
  clear(): void {
    clearTimeout(this.#timer)
  }

  /** Throws why the wait has ended without success, if it has. `seen` says what there was instead. */
  check(seen: () => string): void {
    this.#given?.throwIfAborted()
    if (this.#time.signal.aborted) throw new WaitTimeout(seen())
    if (this.signal.aborted) throw new Error('The broker was closed or restarted during the wait.')
  }

  /** Looks until `look` finds something. */
  async poll<T>(look: () => T | undefined, seen: () => string): Promise<T> {
    for (;;) {
      if (!this.#time.signal.aborted) this.check(seen)
      const found = look()
      if (found !== undefined) return found
      this.check(seen)
      // Its only failure is the abort, of which `check` tells the reason.
      await sleep(POLL_MS, undefined, { signal: this.signal }).catch(() => {})
    }
  }
}
