/** Lets actions on the same partitions run one after the other, and others side by side. */
export class Exclusive {
  readonly #tails = new Map<number, Promise<unknown>>()

  /** Runs the action when all actions before it on any of these handles are over. */
  run<T>(handles: readonly number[], action: () => Promise<T>): Promise<T> {
    const before = handles.map(handle => this.#tails.get(handle))
    const result = Promise.all(before).then(action)
    const tail = result.then(ignore, ignore)
    for (const handle of handles) this.#tails.set(handle, tail)
    tail.then(() => {
      for (const handle of handles) {
        if (this.#tails.get(handle) === tail) this.#tails.delete(handle)
      }
    })
    return result
  }
}

/** Its caller has been told. */
const ignore = (): void => {}
