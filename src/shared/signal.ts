/**
 * Sleeping and waking on one word of shared memory, apart from the data path. The sleeper stores 1, looks once more for
 * work, and sleeps while the word is 1; the waker exchanges it for 0 and notifies only if it was 1, so that waking a
 * thread that is awake costs one atomic exchange. The order (store, look, sleep) against (publish, exchange, notify)
 * cannot lose a wake-up; the time-outs below are a second line of defence.
 */
export const WAKE_TIMEOUT_MS = 1_000

/** Wakes the sleeper, if there is one. */
export function wake(control: Int32Array, word: number): void {
  if (Atomics.load(control, word) === 1 && Atomics.exchange(control, word, 0) === 1) {
    Atomics.notify(control, word)
  }
}

/**
 * Blocks this thread until woken or the time is over; returns at once if `hasWork()`. Not for the main thread.
 * @returns false if the time was over.
 */
export function sleep(
  control: Int32Array,
  word: number,
  hasWork: () => boolean,
  timeoutMs = WAKE_TIMEOUT_MS,
): boolean {
  Atomics.store(control, word, 1)
  const woken = hasWork() || Atomics.wait(control, word, 1, timeoutMs) !== 'timed-out'
  Atomics.store(control, word, 0)
  return woken
}

/**
 * Calls `onWake` on this thread's event loop whenever the word is woken, until stopped. The poll covers a missed wake-up,
 * and keeps the process alive only between `ref` and `unref`: waiting for the word itself does not.
 */
export function listen(
  control: Int32Array,
  word: number,
  onWake: () => void,
): { stop(): void; check(): void; ref(): void; unref(): void } {
  let stopped = false
  const arm = (): void => {
    while (!stopped) {
      Atomics.store(control, word, 1)
      // What was published before the store is seen here; what comes after it wakes us.
      onWake()
      const waiting = Atomics.waitAsync(control, word, 1)
      if (waiting.async) {
        waiting.value.then(arm)
        return
      }
    }
  }
  const poll = setInterval(() => !stopped && onWake(), WAKE_TIMEOUT_MS)
  poll.unref()
  arm()
  return {
    stop() {
      stopped = true
      clearInterval(poll)
      wake(control, word)
    },
    check: onWake,
    ref: () => void poll.ref(),
    unref: () => void poll.unref(),
  }
}
