/** Somebody who waits for what comes next, until `end`. */
export class Listening {
  readonly onAdvance: () => void
  readonly #all: Listening[]
  /** Where it stands among all, -1 if it has ended. */
  #at: number

  constructor(all: Listening[], onAdvance: () => void) {
    this.onAdvance = onAdvance
    this.#all = all
    this.#at = all.push(this) - 1
  }

  end(): void {
    if (this.#at === -1) return
    const last = this.#all.pop()!
    if (last !== this) {
      this.#all[this.#at] = last
      last.#at = this.#at
    }
    this.#at = -1
  }
}

/**
 * Those who wait for a partition: some thousands a second come and go. An array in no order, not a Set: each table that a Set
 * has outgrown knows its successor, so once a dead one has become old all that ever waited is kept until the next full collection.
 */
export class Listeners {
  readonly #all: Listening[] = []
  readonly #onBad: (error: unknown) => void

  /** @param onBad told what one has thrown, which is called no more */
  constructor(onBad: (error: unknown) => void) {
    this.#onBad = onBad
  }

  add(onAdvance: () => void): Listening {
    return new Listening(this.#all, onAdvance)
  }

  /** Calls whoever waits now, some maybe twice. */
  wake(): void {
    // From the end: who ends is replaced by one that has been called.
    for (let i = this.#all.length - 1; i >= 0; i--) {
      const listening = this.#all[i]
      try {
        listening?.onAdvance()
      } catch (error) {
        listening?.end()
        this.#onBad(error)
      }
    }
  }
}
