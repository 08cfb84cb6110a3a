/** A connection with no more than this under way is read whatever the others take: what is small is never held up. */
export const SMALL_BYTES = 64 * 1024
/** What an array element of a decoded request takes in memory, about. */
const ELEMENT_BYTES = 128

/** What a decoded request takes in memory while it is under way. */
export function requestCost(frameBytes: number, elements: number): number {
  return frameBytes + elements * ELEMENT_BYTES
}

/** A connection that waits until there is memory for more of its requests. */
export interface MemoryWaiter {
  /** What it holds now. */
  readonly heldBytes: number
  /** Whether a request of it has begun to arrive: until that is whole, nothing of it can be given back. */
  readonly isInsideFrame: boolean
  /** Gives back what it keeps for later only. */
  giveSpare(): void
  onMemory(): void
}

/**
 * What the requests of all connections take in memory, from their first bytes to their answers (queued.max.request.bytes).
 * When there is no more, connections that hold more than SMALL_BYTES are not read. One of them at a time may go on
 * nevertheless until its request is whole: else connections could wait for each other, each with half a request.
 */
export class RequestMemory {
  readonly #bytesMax: number
  readonly #waiting = new Set<MemoryWaiter>()
  #usedBytes = 0
  #goesOn: MemoryWaiter | null = null

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get isFull(): boolean {
    return this.#usedBytes >= this.#bytesMax
  }

  /** Whether there is so much that some may lie idle: what connections keep for later must not keep others waiting. */
  get isPlentiful(): boolean {
    return this.#usedBytes < this.#bytesMax / 2
  }

  /** Takes or gives back; a negative number gives back. */
  add(bytes: number): void {
    this.#usedBytes += bytes
    if (bytes < 0 && this.#waiting.size > 0) this.#wake()
  }

  /** Whether the connection may be read; if not, `onMemory` tells it when to ask again. */
  mayRead(connection: MemoryWaiter): boolean {
    if (this.isFull) connection.giveSpare()
    if (!this.isFull || connection.heldBytes <= SMALL_BYTES) {
      this.leave(connection)
      return true
    }
    if (this.#goesOn === null && connection.isInsideFrame) this.#goesOn = connection
    if (this.#goesOn === connection) return true
    this.#waiting.add(connection)
    return false
  }

  /** The connection waits for nothing: its request is whole, or it is closed. */
  leave(connection: MemoryWaiter): void {
    if (this.#waiting.size > 0) this.#waiting.delete(connection)
    if (this.#goesOn !== connection) return
    this.#goesOn = null
    this.#wake()
  }

  #wake(): void {
    for (const connection of this.#waiting) {
      if (this.isFull) {
        if (this.#goesOn !== null) return
        if (!connection.isInsideFrame) continue
        this.#goesOn = connection
      }
      this.#waiting.delete(connection)
      connection.onMemory()
    }
  }
}
