import type { ErrorLog } from '../errors.ts'
import { every } from '../guarded.ts'
import { DISK_RESERVE_BYTES, freeBytes } from '../storage/free-space.ts'

const CHECK_MS = 500
/** A fast disk fills in less than that: after so many appended bytes it is looked at again in any case. */
const CHECK_BYTES = DISK_RESERVE_BYTES / 8

/** Watches the free space of the data folder. Reads go on whatever it finds, and appends resume when there is room again. */
export class DiskWatch {
  readonly #path: string
  readonly #onChange: (refusal: string | null) => void
  readonly #appendedBytes: () => number
  readonly #timer: NodeJS.Timeout
  /** What had been appended when the disk was last looked at. */
  #checkedBytes = 0
  #refusal: string | null = null

  /** `appendedBytes`: all bytes handed to the workers so far. */
  constructor(
    path: string,
    appendedBytes: () => number,
    log: ErrorLog,
    onChange: (refusal: string | null) => void,
  ) {
    this.#path = path
    this.#appendedBytes = appendedBytes
    this.#onChange = onChange
    this.#timer = every(CHECK_MS, log, 'the disk was not looked at', () => this.check())
  }

  /** Why nothing may be appended, or null. */
  get refusal(): string | null {
    if (this.#appendedBytes() - this.#checkedBytes >= CHECK_BYTES) this.check()
    return this.#refusal
  }

  check(): void {
    this.#checkedBytes = this.#appendedBytes()
    const free = freeBytes(this.#path)
    const refusal =
      free >= DISK_RESERVE_BYTES
        ? null
        : `the disk of ${this.#path} has ${free} bytes left; appends stop below ${DISK_RESERVE_BYTES}`
    if ((refusal === null) !== (this.#refusal === null)) this.#onChange(refusal)
    this.#refusal = refusal
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
