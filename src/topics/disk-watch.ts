import { statfs } from 'node:fs/promises'

/** Appends are refused while less than this is free: a write that hits a full disk would take its partition offline. */
export const DISK_RESERVE_BYTES = 64 * 1024 * 1024
const CHECK_MS = 500

/** Watches the free space of the data folder. Reads go on whatever it finds, and appends resume when there is room again. */
export class DiskWatch {
  readonly #path: string
  readonly #onChange: (refusal: string | null) => void
  readonly #timer: NodeJS.Timeout
  #refusal: string | null = null

  constructor(path: string, onChange: (refusal: string | null) => void) {
    this.#path = path
    this.#onChange = onChange
    this.#timer = setInterval(() => void this.check(), CHECK_MS)
    this.#timer.unref()
  }

  /** Why nothing may be appended, or null. */
  get refusal(): string | null {
    return this.#refusal
  }

  async check(): Promise<void> {
    const free = await freeBytes(this.#path)
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

/** Free bytes for this user; no bound where the system does not say. */
async function freeBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
