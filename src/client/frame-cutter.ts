const PREFIX_BYTES = 4

/**
 * Cuts a byte stream into frames: int32 length, then that many bytes. A frame that lies in one chunk
 * is a view on it; one that spans several is put together in a buffer of its own. Either way nobody
 * else writes to that memory.
 */
export class FrameCutter {
  readonly #frameBytesMax: number
  readonly #onFrame: (frame: Buffer) => void
  readonly #prefix = Buffer.alloc(PREFIX_BYTES)
  #prefixBytes = 0
  /** The frame being put together. */
  #frame: Buffer | undefined
  #frameBytes = 0

  constructor(frameBytesMax: number, onFrame: (frame: Buffer) => void) {
    this.#frameBytesMax = frameBytesMax
    this.#onFrame = onFrame
  }

  /** Whether bytes of a frame are in hand that is not whole yet. */
  get isInsideFrame(): boolean {
    return this.#frame !== undefined || this.#prefixBytes > 0
  }

  /** Hands every frame that is now whole to `onFrame`. Throws RangeError for an impossible length. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      at =
        this.#frame === undefined ? this.#start(chunk, at) : this.#continue(this.#frame, chunk, at)
    }
  }

  /** Reads the length prefix and as much of the frame as there is. Returns the new position. */
  #start(chunk: Buffer, from: number): number {
    let at = from
    while (this.#prefixBytes < PREFIX_BYTES && at < chunk.length) {
      this.#prefix[this.#prefixBytes++] = chunk[at++]
    }
    if (this.#prefixBytes < PREFIX_BYTES) return at
    const length = this.#prefix.readInt32BE()
    if (length < 0 || length > this.#frameBytesMax) {
      throw new RangeError(`frame of ${length} bytes, at most ${this.#frameBytesMax} allowed`)
    }
    this.#prefixBytes = 0
    if (length <= chunk.length - at) {
      this.#onFrame(chunk.subarray(at, at + length))
      return at + length
    }
    this.#frame = Buffer.allocUnsafeSlow(length)
    this.#frameBytes = 0
    return at
  }

  #continue(frame: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(frame, this.#frameBytes, at)
    this.#frameBytes += copied
    if (this.#frameBytes === frame.length) {
      this.#frame = undefined
      this.#onFrame(frame)
    }
    return at + copied
  }
}
