/** Files that are open, or may be, so that there are no more than the process can have. */
export class OpenFiles<T> {
  readonly #max: number
  /** The one that was used longest ago first. */
  readonly #files = new Set<T>()

  constructor(max: number) {
    this.#max = max
  }

  /** It has been used: it is open. */
  touch(file: T): void {
    this.#files.delete(file)
    this.#files.add(file)
  }

  forget(file: T): void {
    this.#files.delete(file)
  }

  /** Takes out those that are to be closed now, but for what is in use. */
  *excess(isIdle: (file: T) => boolean = () => true): Generator<T> {
    for (const file of this.#files) {
      if (this.#files.size <= this.#max) return
      if (!isIdle(file)) continue
      this.#files.delete(file)
      yield file
    }
  }
}
