/** Why a stream of bytes is not the Kafka protocol, for the log. */
export type FrameProblem = string

/** A partial frame's buffer starts at this size and grows as bytes arrive: never from the length a client claims. */
const BUFFER_BYTES_MIN = 16 * 1024
/** How many times larger it is then; more when there is much already, for each step copies all of it. */
const GROWTH = 2
const LARGE_GROWTH = 4
/** A connection keeps its buffer for the next frame up to this size. */
const BUFFER_KEPT_BYTES_MAX = 1024 * 1024
const LENGTH_BYTES = 4
const NO_BYTES: Buffer = Buffer.alloc(0)

export interface FrameCutterOptions {
  readonly frameBytesMax: number
  /** Asked before a whole frame is handed on, with the same range, of which the buffer may hold the beginning only: false stops cutting until `resume`, and it is asked again. */
  readonly isWanted?: (buffer: Buffer, start: number, end: number) => boolean
  /** Told what the beginning of a frame that is not whole yet takes in memory, whenever that changes. */
  readonly onPartial?: (bytes: number) => void
  /** Gets a whole frame, without its length, as a range of a buffer. Returns false to stop cutting until `resume`. */
  readonly onFrame: (buffer: Buffer, start: number, end: number) => boolean
  /** The stream is not the protocol: nothing more is cut. */
  readonly onProblem: (problem: FrameProblem) => void
  /**
   * Whether a frame is handed on where it was received or put together, which is used again: it is valid only until `onFrame`
   * returns true, or until `resume`. Otherwise each frame is in memory of its own, that nobody writes to any more.
   */
  readonly reusesBuffer: boolean
  /** Gives a frame its memory at once, for so many bytes as it says: of a peer that is believed. null: it grows step by step, as all do by default. */
  readonly memoryFor?: ((bytes: number) => Buffer | null) | undefined
  /** Asked before the buffer is kept for the next frame: false gives its memory back. */
  readonly mayKeepBuffer?: () => boolean
}

/**
 * Cuts a stream into frames: int32 length, then as many bytes. A frame that lies whole in one chunk is handed on out of
 * it; others are put together in a buffer.
 */
export class FrameCutter {
  readonly #o: FrameCutterOptions
  /** The beginning of a frame that is not whole yet, its length included. */
  #partial = NO_BYTES
  #filled = 0
  /** What is left of a chunk while cutting is stopped. */
  #stopped: Buffer | null = null
  #isBroken = false

  constructor(options: FrameCutterOptions) {
    this.#o = options
  }

  /** Whether bytes of a frame are in hand that is not whole yet. */
  get isInsideFrame(): boolean {
    return this.#filled > 0
  }

  /** Whether cutting is stopped: there may be whole frames in hand. */
  get isStopped(): boolean {
    return this.#stopped !== null
  }

  /** Gives back the memory that is kept for the next frame. */
  dropBuffer(): void {
    if (this.#filled > 0 || this.#partial.length === 0) return
    this.#partial = NO_BYTES
    this.#o.onPartial?.(0)
  }

  push(chunk: Buffer): void {
    if (this.#stopped !== null) this.#stopped = Buffer.concat([this.#stopped, chunk])
    else this.#cut(chunk)
  }

  resume(): void {
    const rest = this.#stopped
    if (rest === null) return
    this.#stopped = null
    this.#cut(rest)
  }

  #cut(chunk: Buffer): void {
    let at = 0
    let goOn = !this.#isBroken
    while (goOn && (at < chunk.length || this.#isPartialWhole())) {
      if (this.#filled > 0) {
        at = this.#fill(chunk, at)
        if (this.#isBroken) return
        const bytes = this.#partialBytes()
        if (bytes === -1 || this.#filled < bytes) return
        goOn = this.#handOnPartial(bytes)
        continue
      }
      if (chunk.length - at < LENGTH_BYTES) {
        this.#start(chunk, at)
        return
      }
      const length = this.#lengthAt(chunk, at)
      if (length === -1) return
      const end = at + LENGTH_BYTES + length
      if (end > chunk.length) {
        this.#start(chunk, at)
        return
      }
      goOn = this.#isWanted(chunk, at + LENGTH_BYTES, end)
      if (!goOn) break
      goOn = this.#handOn(chunk, at + LENGTH_BYTES, end)
      at = end
    }
    // Kept even if nothing is left: it says that cutting is stopped.
    if (!goOn) this.#stopped = chunk.subarray(at)
  }

  #isWanted(buffer: Buffer, start: number, end: number): boolean {
    return this.#o.isWanted?.(buffer, start, end) ?? true
  }

  /** The frame is whole in a chunk, of which nobody knows how long it is valid. */
  #handOn(chunk: Buffer, start: number, end: number): boolean {
    if (this.#o.reusesBuffer) return this.#o.onFrame(chunk, start, end)
    return this.#o.onFrame(Buffer.from(chunk.subarray(start, end)), 0, end - start)
  }

  /** The frame in the buffer is whole. @returns whether the next one may be cut */
  #handOnPartial(bytes: number): boolean {
    if (!this.#isWanted(this.#partial, LENGTH_BYTES, bytes)) return false
    const frame = this.#partial
    this.#filled = 0
    const isSmall = frame.length <= BUFFER_KEPT_BYTES_MAX
    const keeps = this.#o.reusesBuffer && isSmall && (this.#o.mayKeepBuffer?.() ?? true)
    if (!keeps) this.#partial = NO_BYTES
    this.#o.onPartial?.(this.#partial.length)
    return this.#o.onFrame(frame, LENGTH_BYTES, bytes)
  }

  /** Whether a frame waits in the buffer that was not wanted. */
  #isPartialWhole(): boolean {
    return this.#filled >= LENGTH_BYTES && this.#filled === this.#partialBytes()
  }

  /** The length of the frame at `at`, or -1 if it cannot be one. */
  #lengthAt(chunk: Buffer, at: number): number {
    const length = chunk.readInt32BE(at)
    if (length >= 0 && length <= this.#o.frameBytesMax) return length
    this.#isBroken = true
    this.#o.onProblem(describe(chunk.subarray(at, at + 8), length, this.#o.frameBytesMax))
    return -1
  }

  #start(chunk: Buffer, at: number): void {
    this.#filled = 0
    if (chunk.length - at >= LENGTH_BYTES) {
      const memory = this.#o.memoryFor?.(LENGTH_BYTES + chunk.readInt32BE(at)) ?? null
      if (memory !== null) this.#holdIn(memory)
    }
    this.#append(chunk, at, chunk.length)
  }

  /** Takes from the chunk what the partial frame lacks; returns where the rest starts. */
  #fill(chunk: Buffer, at: number): number {
    let from = at
    if (this.#filled < LENGTH_BYTES) {
      const end = Math.min(chunk.length, from + LENGTH_BYTES - this.#filled)
      this.#append(chunk, from, end)
      from = end
    }
    const bytes = this.#partialBytes()
    if (bytes === -1) return from
    const end = Math.min(chunk.length, from + bytes - this.#filled)
    this.#append(chunk, from, end)
    return end
  }

  /** Bytes of the partial frame with its length, or -1 while that is not known. */
  #partialBytes(): number {
    if (this.#filled < LENGTH_BYTES) return -1
    const length = this.#lengthAt(this.#partial, 0)
    return length === -1 ? -1 : LENGTH_BYTES + length
  }

  #append(chunk: Buffer, from: number, to: number): void {
    const had = this.#filled
    const needed = had + to - from
    // Before anybody is told of a larger buffer: it is not one that lies idle.
    this.#filled = needed
    if (needed > this.#partial.length) this.#grow(had, needed)
    chunk.copy(this.#partial, had, from, to)
  }

  /** Makes room, in steps, so that a frame that is never whole has cost little. */
  #grow(had: number, needed: number): void {
    const { length } = this.#partial
    const step = length < BUFFER_KEPT_BYTES_MAX ? GROWTH : LARGE_GROWTH
    let size = Math.max(BUFFER_BYTES_MIN, length * step, needed)
    // What is too large to be kept is for this frame only.
    if (had >= LENGTH_BYTES && size > BUFFER_KEPT_BYTES_MAX) {
      size = Math.max(needed, Math.min(size, this.#partialBytes()))
    }
    const grown = Buffer.allocUnsafeSlow(size)
    this.#partial.copy(grown, 0, 0, had)
    this.#holdIn(grown)
  }

  #holdIn(memory: Buffer): void {
    this.#partial = memory
    this.#o.onPartial?.(memory.length)
  }
}

function describe(bytes: Buffer, length: number, max: number): FrameProblem {
  if (bytes[0] === 0x16 && bytes[1] === 0x03) {
    return 'a TLS hello on a plaintext listener: the client must use security.protocol=PLAINTEXT'
  }
  if (/^(GET|PUT|POST|HEAD|OPTI|DELE|PATC|CONN|PRI )/.test(bytes.toString('latin1'))) {
    return 'an HTTP request on a Kafka listener'
  }
  return length < 0
    ? `a frame of ${length} bytes`
    : `a frame of ${length} bytes, at most ${max} are allowed`
}
