import { assert } from '../assert.ts'
import { INT64_MAX, isInt64 } from './int64.ts'
import { STRING_BYTES_MAX } from './reader.ts'

/** Small writes are carved out of slabs of this size. */
export const SLAB_BYTES = 64 * 1024

/** Records at least this long are kept by reference instead of being copied. */
export const REFERENCE_BYTES_MIN = 1024

const SHORT_STRING_MAX = 64

/** The value cannot be said in this message version: a mistake of the caller, not of the peer. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/** The frame is longer than what was to be encoded at once. */
export class FrameTooLong extends Error {
  override readonly name = 'FrameTooLong'
}

/**
 * Builds frames as a list of chunks for socket.write. Slab memory is handed out once and never
 * written again, so chunks stay valid after `clear()`. Buffers given to `records` must not change
 * until the socket has taken them.
 */
export class Writer {
  #slab: Buffer
  /** First byte of the slab that is not yet in `#chunks`. */
  #start = 0
  #position = 0
  #chunks: Buffer[] = []
  #chunkBytes = 0
  #frameSlab: Buffer | undefined
  #framePosition = 0
  #scratch: Writer | undefined
  readonly #slabBytes: number
  /** Bytes that the open frame may still take of new slabs. */
  #slabBytesLeft = Number.POSITIVE_INFINITY

  constructor(slabBytes = SLAB_BYTES) {
    this.#slabBytes = slabBytes
    this.#slab = Buffer.allocUnsafeSlow(slabBytes)
  }

  /** Bytes written since the last `clear()`. */
  get byteLength(): number {
    return this.#chunkBytes + this.#position - this.#start
  }

  /** All that was written since the last `clear()`, in order. */
  chunks(): Buffer[] {
    this.#closeChunk()
    return this.#chunks
  }

  clear(): void {
    this.#chunks = []
    this.#chunkBytes = 0
    this.#start = this.#position
  }

  /**
   * Leaves room for the int32 length prefix. Frames do not nest. Returns the mark to end with.
   * @param bytesMax about so many bytes may be copied into the frame before FrameTooLong is thrown
   */
  startFrame(bytesMax = Number.POSITIVE_INFINITY): number {
    assert(this.#frameSlab === undefined, 'a frame is already open')
    this.#slabBytesLeft = bytesMax
    const mark = this.byteLength
    const at = this.#take(4)
    this.#frameSlab = this.#slab
    this.#framePosition = at
    return mark
  }

  /** Fills in the length prefix, referenced records included. Returns the length, prefix excluded. */
  endFrame(mark: number): number {
    const slab = this.#frameSlab
    assert(slab !== undefined, 'no frame is open')
    const length = this.byteLength - mark - 4
    slab.writeInt32BE(length, this.#framePosition)
    this.#frameSlab = undefined
    this.#slabBytesLeft = Number.POSITIVE_INFINITY
    return length
  }

  /** Takes back the open frame, for when encoding it failed; what was written before it stays. */
  abortFrame(mark: number): void {
    this.#frameSlab = undefined
    this.#slabBytesLeft = Number.POSITIVE_INFINITY
    this.#scratch?.clear()
    this.#closeChunk()
    while (this.#chunkBytes > mark) {
      const last = this.#chunks.pop() as Buffer
      this.#chunkBytes -= last.length
      const kept = mark - this.#chunkBytes
      if (kept > 0) {
        this.#chunks.push(last.subarray(0, kept))
        this.#chunkBytes += kept
      }
    }
  }

  bool(value: boolean): void {
    const at = this.#take(1)
    this.#slab[at] = value ? 1 : 0
  }

  int8(value: number, field?: string): void {
    if ((value << 24) >> 24 !== value) refuse(field, value, 'int8')
    const at = this.#take(1)
    this.#slab[at] = value
  }

  int16(value: number, field?: string): void {
    if ((value << 16) >> 16 !== value) refuse(field, value, 'int16')
    this.#put16(value)
  }

  uint16(value: number, field?: string): void {
    if ((value & 0xffff) !== value) refuse(field, value, 'uint16')
    this.#put16(value)
  }

  int32(value: number, field?: string): void {
    if ((value | 0) !== value) refuse(field, value, 'int32')
    this.#put32(this.#take(4), value)
  }

  uint32(value: number, field?: string): void {
    if (value >>> 0 !== value) refuse(field, value, 'uint32')
    this.#put32(this.#take(4), value)
  }

  /** What is exact, and the two ends (int64.ts); INT64_MAX becomes Long.MAX_VALUE. */
  int64(value: number, field?: string): void {
    if (!isInt64(value)) refuse(field, value, 'int64')
    const at = this.#take(8)
    if (value === INT64_MAX) {
      this.#put32(at, 0x7fffffff)
      this.#put32(at + 4, -1)
      return
    }
    const high = Math.floor(value / 0x1_0000_0000)
    this.#put32(at, high)
    this.#put32(at + 4, value - high * 0x1_0000_0000)
  }

  float64(value: number): void {
    const at = this.#take(8)
    this.#slab.writeDoubleBE(value, at)
  }

  /** Unsigned LEB128, value below 2^32. */
  uvarint(value: number): void {
    let rest = value >>> 0
    if (rest !== value) refuse('varint', value, 'uint32')
    this.#reserve(5)
    let at = this.#position
    while (rest >= 0x80) {
      this.#slab[at++] = rest | 0x80
      rest >>>= 7
    }
    this.#slab[at++] = rest
    this.#position = at
  }

  /** From the 22-character form to 16 bytes. */
  uuid(value: string, field?: string): void {
    if (value.length !== 22) refuse(field, value, 'uuid')
    let at = this.#take(16)
    const slab = this.#slab
    let bits = 0
    let held = 0
    let bad = 0
    for (let i = 0; i < 22; i++) {
      const six = sextets[value.charCodeAt(i) & 0x7f] | (value.charCodeAt(i) >>> 7 ? -1 : 0)
      bad |= six
      bits = (bits << 6) | (six & 0x3f)
      held += 6
      if (held >= 8) {
        held -= 8
        slab[at++] = bits >>> held
      }
    }
    if (bad < 0 || (bits & 0xf) !== 0) refuse(field, value, 'uuid')
  }

  /** Old-style string: int16 length. */
  string(value: string, field?: string): void {
    const short = value.length <= SHORT_STRING_MAX
    this.#reserve(2 + value.length)
    if (short && this.#ascii(value, this.#position + 2)) {
      this.#put16(value.length)
      this.#position += value.length
      return
    }
    const length = Buffer.byteLength(value)
    if (length > STRING_BYTES_MAX) refuse(field, `${length} bytes`, 'string')
    this.#put16(length)
    this.#utf8(value, length)
  }

  /** String of a flexible version: uvarint length + 1. */
  compactString(value: string, field?: string): void {
    this.#reserve(1 + value.length)
    if (value.length <= SHORT_STRING_MAX && this.#ascii(value, this.#position + 1)) {
      this.#slab[this.#position] = value.length + 1
      this.#position += 1 + value.length
      return
    }
    const length = Buffer.byteLength(value)
    if (length > STRING_BYTES_MAX) refuse(field, `${length} bytes`, 'string')
    this.uvarint(length + 1)
    this.#utf8(value, length)
  }

  bytes(value: Uint8Array): void {
    this.int32(value.length)
    this.copy(value)
  }

  compactBytes(value: Uint8Array): void {
    this.uvarint(value.length + 1)
    this.copy(value)
  }

  records(value: Buffer | readonly Buffer[]): void {
    this.int32(totalLength(value))
    this.#append(value)
  }

  compactRecords(value: Buffer | readonly Buffer[]): void {
    this.uvarint(totalLength(value) + 1)
    this.#append(value)
  }

  /** Raw bytes, copied. */
  copy(value: Uint8Array): void {
    const at = this.#take(value.length)
    this.#slab.set(value, at)
  }

  /** A writer for one tagged field, whose size must be known before its bytes. */
  startTagged(): Writer {
    this.#scratch ??= new Writer(SCRATCH_BYTES)
    return this.#scratch
  }

  endTagged(tag: number): void {
    const scratch = this.startTagged()
    this.uvarint(tag)
    this.uvarint(scratch.byteLength)
    this.#append(scratch.chunks())
    scratch.clear()
  }

  #append(value: Buffer | readonly Buffer[]): void {
    if (Array.isArray(value)) {
      for (const part of value) this.#appendOne(part)
    } else {
      this.#appendOne(value as Buffer)
    }
  }

  #appendOne(value: Buffer): void {
    if (value.length < REFERENCE_BYTES_MIN) {
      this.copy(value)
      return
    }
    this.#closeChunk()
    this.#chunks.push(value)
    this.#chunkBytes += value.length
  }

  #closeChunk(): void {
    if (this.#position === this.#start) return
    this.#chunks.push(this.#slab.subarray(this.#start, this.#position))
    this.#chunkBytes += this.#position - this.#start
    this.#start = this.#position
  }

  /** Makes `size` contiguous bytes available at `#position`. */
  #reserve(size: number): void {
    if (size > this.#slab.length - this.#position) this.#newSlab(size)
  }

  #take(size: number): number {
    if (size > this.#slab.length - this.#position) this.#newSlab(size)
    const at = this.#position
    this.#position = at + size
    return at
  }

  #newSlab(size: number): void {
    const bytes = Math.max(size, this.#slabBytes)
    if (bytes > this.#slabBytesLeft) throw new FrameTooLong()
    this.#slabBytesLeft -= bytes
    this.#closeChunk()
    this.#slab = Buffer.allocUnsafeSlow(bytes)
    this.#start = 0
    this.#position = 0
  }

  #put16(value: number): void {
    const at = this.#take(2)
    this.#slab[at] = value >> 8
    this.#slab[at + 1] = value
  }

  #put32(at: number, value: number): void {
    const slab = this.#slab
    slab[at] = value >> 24
    slab[at + 1] = value >> 16
    slab[at + 2] = value >> 8
    slab[at + 3] = value
  }

  /** Writes at `at`, into reserved bytes, as long as it is ASCII; says whether all of it was. */
  #ascii(value: string, at: number): boolean {
    const slab = this.#slab
    let any = 0
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i)
      any |= unit
      slab[at + i] = unit
    }
    return any < 0x80
  }

  #utf8(value: string, length: number): void {
    const at = this.#take(length)
    this.#slab.write(value, at, length, 'utf8')
  }
}

const SCRATCH_BYTES = 1024

/** base64url digit by character code; -1 for what is none. */
const sextets = new Int8Array(128).fill(-1)
for (let i = 0; i < 64; i++) {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  sextets[digits.charCodeAt(i)] = i
}

function totalLength(value: Buffer | readonly Buffer[]): number {
  if (!Array.isArray(value)) return (value as Buffer).length
  let length = 0
  for (const part of value) length += part.length
  return length
}

function refuse(field: string | undefined, value: unknown, type: string): never {
  throw new SchemaError(`${field ?? 'value'}: ${String(value)} is not a valid ${type}`)
}
