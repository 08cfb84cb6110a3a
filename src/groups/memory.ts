/** What a group takes in memory besides its members and offsets. */
export const GROUP_BYTES = 2_560
/** What a committed offset takes besides its metadata. */
export const OFFSET_BYTES = 256
/** What one member takes in memory besides what it says. */
export const MEMBER_BYTES = 2_048
/** One of the protocols that a member offers, besides its name and metadata. */
export const PROTOCOL_BYTES = 160
/** A name in a list, besides its characters, and a partition that a member has. */
export const NAME_BYTES = 64
export const PARTITION_BYTES = 32

/** ms between two lines in the log that say that there is no room. */
const SAY_EVERY_MS = 60_000

/**
 * Counts what the members of all groups say and have, and who waits to become one; or what all groups have committed. It
 * is kept as long as clients like, so it has a bound. What the log brings back is counted, never refused.
 */
export class GroupMemory {
  readonly #bytesMax: number
  readonly #onFull: (usedBytes: number) => void
  #usedBytes = 0
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(bytesMax: number, onFull: (usedBytes: number) => void) {
    this.#bytesMax = bytesMax
    this.#onFull = onFull
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Whether a group may come to take so many bytes more. Less than before is always right. */
  hasRoomFor(bytes: number): boolean {
    if (bytes <= 0 || this.#usedBytes + bytes <= this.#bytesMax) return true
    const now = performance.now()
    if (now - this.#saidAt >= SAY_EVERY_MS) {
      this.#saidAt = now
      this.#onFull(this.#usedBytes)
    }
    return false
  }

  /** A group, or its offsets, takes this much now. */
  set(counted: { heldBytes: number }, bytes: number): void {
    this.#usedBytes += bytes - counted.heldBytes
    counted.heldBytes = bytes
  }
}
