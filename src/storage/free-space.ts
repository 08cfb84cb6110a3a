import { statfsSync } from 'node:fs'

/** Appends are refused while less than this is free: a write that hits a full disk would take its partition offline. */
export const DISK_RESERVE_BYTES = 64 * 1024 * 1024

/** While groups of appends follow one another, the disk is looked at this often, in ms: too short for any disk to fill the reserve. */
const LOOK_MS = 10

/** Free bytes for this user; no bound where the system does not say. Takes some microseconds. */
export function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** The same for who asks before each group of appends: as it was within the last LOOK_MS. */
export class FreeSpace {
  readonly #look: () => number
  readonly #clock: () => number
  #lookedAt = Number.NEGATIVE_INFINITY
  #bytes = 0

  /** @param look free bytes now, @param clock ms of a clock that only goes forward */
  constructor(look: () => number, clock: () => number) {
    this.#look = look
    this.#clock = clock
  }

  get bytes(): number {
    const now = this.#clock()
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      this.#bytes = this.#look()
    }
    return this.#bytes
  }
}
