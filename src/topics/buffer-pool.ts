/**
 * Buffers for reading the log, used again: a fresh 1 MiB buffer costs its page faults every time. Sizes are powers of
 * two; what exceeds the bounds is left to the garbage collector.
 */
const SIZE_MIN = 4 * 1024
const SIZE_MAX = 4 * 1024 * 1024

export class BufferPool {
  readonly #free = new Map<number, Buffer[]>()
  readonly #keptBytesMax: number
  #keptBytes = 0
  #lentBytes = 0

  /** `keptBytesMax`: how much may lie idle in the pool. */
  constructor(keptBytesMax = 32 * 1024 * 1024) {
    this.#keptBytesMax = keptBytesMax
  }

  /** Bytes that are out: read and not yet sent. */
  get lentBytes(): number {
    return this.#lentBytes
  }

  /** A buffer of at least `bytes`; give it back with `release`. */
  acquire(bytes: number): Buffer {
    const size = sizeFor(bytes)
    this.#lentBytes += size
    const buffer = this.#free.get(size)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size)
    this.#keptBytes -= size
    return buffer
  }

  release(buffer: Buffer): void {
    const size = buffer.length
    this.#lentBytes -= size
    if (size > SIZE_MAX || this.#keptBytes + size > this.#keptBytesMax) return
    this.#keptBytes += size
    const list = this.#free.get(size)
    if (list === undefined) this.#free.set(size, [buffer])
    else list.push(buffer)
  }
}

function sizeFor(bytes: number): number {
  if (bytes > SIZE_MAX) return bytes
  let size = SIZE_MIN
  while (size < bytes) size *= 2
  return size
}
