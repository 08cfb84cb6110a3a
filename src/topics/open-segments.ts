/** A file that can be closed while nobody uses it, and opens again when somebody does. */
export interface Closable {
  readonly isIdle: boolean
  /** Only while it is idle. */
  closeIdle(): void
}

/** The files that readers have open, so that there are no more than the process can have. Those in use are not closed. */
export class OpenSegments {
  readonly #max: number
  /** The one that was used longest ago first. */
  readonly #files = new Set<Closable>()

  constructor(max: number) {
    this.#max = max
  }

  used(file: Closable): void {
    this.#files.delete(file)
    this.#files.add(file)
    this.trim()
  }

  /** Closes what is too much; also when a file has become idle, for there may have been none before. */
  trim(): void {
    for (const oldest of this.#files) {
      if (this.#files.size <= this.#max) return
      if (!oldest.isIdle) continue
      this.#files.delete(oldest)
      oldest.closeIdle()
    }
  }

  forget(file: Closable): void {
    this.#files.delete(file)
  }
}
