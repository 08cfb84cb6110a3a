import type { OwnedLog } from './group-commit.ts'

/** The logs whose active segment may be open, so that no more are than the process can have. */
export class OpenLogs {
  readonly #max: number
  /** The one that was written longest ago first. */
  readonly #logs = new Set<OwnedLog>()

  constructor(max: number) {
    this.#max = max
  }

  /** It has been written, or made. */
  touch(owned: OwnedLog): void {
    this.#logs.delete(owned)
    this.#logs.add(owned)
  }

  forget(owned: OwnedLog): void {
    this.#logs.delete(owned)
  }

  /** Takes out those that are to be closed. */
  *excess(): Generator<OwnedLog> {
    for (const owned of this.#logs) {
      if (this.#logs.size <= this.#max) return
      this.#logs.delete(owned)
      yield owned
    }
  }
}
