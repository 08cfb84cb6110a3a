/**
 * Runs actions one after the other: of those who wait, one action each in turn, so that whoever asks for thousands delays
 * nobody else by more than one. Actions of the same client keep their order.
 */
export class FairQueue {
  /** Whose turn it is comes first. */
  readonly #waiting = new Map<string, (() => Promise<void>)[]>()
  #isRunning = false

  run<T>(client: string, action: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const own = this.#waiting.get(client)
      // In a function of its own: also what it throws at once is its own affair.
      const run = (): Promise<void> => (async () => action())().then(resolve, reject)
      if (own === undefined) this.#waiting.set(client, [run])
      else own.push(run)
      if (!this.#isRunning) this.#runAll()
    })
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true
    for (;;) {
      const [next] = this.#waiting
      if (next === undefined) break
      const [client, own] = next
      this.#waiting.delete(client)
      const action = own.shift()!
      if (own.length > 0) this.#waiting.set(client, own)
      await action()
    }
    this.#isRunning = false
  }
}
