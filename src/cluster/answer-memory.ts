/** An answer as large as they get (replica.fetch.response.max.bytes) has room in it. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
/** Smaller ones cost nobody anything. */
const KEPT_BYTES_MIN = 256 * 1024

/**
 * Memory for the answers that come over one connection, one after the other. What a replica has copied is used again for the next:
 * V8 counts fresh memory against the heap, and while a replica catches up a quarter of all CPU went into collecting it.
 */
export class AnswerMemory {
  #spare: Buffer | null = null
  #lent: Buffer | null = null

  /** @returns memory for one answer; null: it is not one that is expected */
  take(bytes: number): Buffer | null {
    this.#lent = null
    if (bytes > ANSWER_BYTES_MAX) return null
    if (bytes < KEPT_BYTES_MIN) return Buffer.allocUnsafeSlow(bytes)
    const isEnough = this.#spare !== null && this.#spare.length >= bytes
    this.#lent = isEnough ? this.#spare : Buffer.allocUnsafeSlow(bytes)
    this.#spare = null
    return this.#lent
  }

  /** Nobody reads the last answer any more. If it was small, the memory of a larger one before it is not kept. */
  giveBack(): void {
    this.#spare = this.#lent
    this.#lent = null
  }
}
