import { setImmediate } from 'node:timers/promises'

/** How long an answer may hold the event loop before everything else gets its turn. */
const BUSY_MS_MAX = 5

/** Splits long synchronous work: call `rest` between the pieces. */
export class Pace {
  #since = performance.now()

  /** Lets other work run if this one has run long enough. */
  async rest(): Promise<void> {
    if (performance.now() - this.#since < BUSY_MS_MAX) return
    await setImmediate()
    this.#since = performance.now()
  }
}
