import { isUtf8 } from 'node:buffer'
import { clampInt64, int64Of } from './int64.ts'

/** Most array elements and tagged fields of one frame: bounds memory and time. */
export const ELEMENTS_MAX = 200_000

/** Longest string in UTF-8 bytes; Kafka holds compact strings to it too. */
export const STRING_BYTES_MAX = 0x7fff

/** Kafka's "no id". A uuid is 16 bytes on the wire and its 22 base64url characters in memory. */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Of a varlong: so many hold 49 bits, which a number adds up exactly. */
const VARLONG_SHORT_BYTES = 7

/** The bytes break the protocol. Only the connection they came in on is to be closed. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame'
  readonly field: string
  /** Byte position in the buffer that was being read. */
  readonly position: number

  constructor(field: string, position: number, what: string) {
    super(`${field || 'frame'} at byte ${position}: ${what}`)
    this.field = field
    this.position = position
  }
}

/** The frame has more elements than the reader was to hand out at once. */
export class TooManyElements extends Error {
  override readonly name = 'TooManyElements'
}

/**
 * Reads big-endian protocol values off `buffer[start, end)`. Nothing is read past `end`, and no
 * length or count is believed before it is held against the bytes left. Every method throws
 * MalformedFrame; `field` is only for its message.
 */
export class Reader {
  readonly buffer: Buffer
  readonly end: number
  position: number
  readonly #elementsMax: number
  #elementsLeft: number

  /** @param elementsMax elements to hand out, at most ELEMENTS_MAX; below that, more of them are TooManyElements */
  constructor(buffer: Buffer, start = 0, end = buffer.length, elementsMax = ELEMENTS_MAX) {
    if (!(start >= 0 && start <= end && end <= buffer.length)) {
      throw new RangeError(`no range [${start}, ${end}) in a buffer of ${buffer.length} bytes`)
    }
    this.buffer = buffer
    this.position = start
    this.end = end
    this.#elementsMax = elementsMax
    this.#elementsLeft = elementsMax
  }

  /** Array elements and tagged fields handed out so far. */
  get elements(): number {
    return this.#elementsMax - this.#elementsLeft
  }

  get remaining(): number {
    return this.end - this.position
  }

  bool(field?: string): boolean {
    return this.int8(field) !== 0
  }

  int8(field?: string): number {
    return (this.buffer[this.#take(1, field)] << 24) >> 24
  }

  int16(field?: string): number {
    return (this.uint16(field) << 16) >> 16
  }

  uint16(field?: string): number {
    const at = this.#take(2, field)
    return (this.buffer[at] << 8) | this.buffer[at + 1]
  }

  int32(field?: string): number {
    return this.#word(this.#take(4, field))
  }

  uint32(field?: string): number {
    return this.#word(this.#take(4, field)) >>> 0
  }

  /** Exact, or an end of the range (int64.ts). */
  int64(field?: string): number {
    const at = this.#take(8, field)
    return int64Of(this.#word(at), this.#word(at + 4) >>> 0)
  }

  float64(field?: string): number {
    return this.buffer.readDoubleBE(this.#take(8, field))
  }

  /** Unsigned LEB128 of at most 5 bytes, value below 2^32. */
  uvarint(field?: string): number {
    const start = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer[this.#take(1, field)]
      if (shift === 28 && byte > 0x0f) break
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    return fail(field, start, 'varint over 32 bits')
  }

  /** Zig-zag varint of at most 5 bytes (record lengths and offset deltas). */
  varint(field?: string): number {
    const value = this.uvarint(field)
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zig-zag varint of at most 10 bytes (record timestamp deltas): exact, or an end of the range. */
  varlong(field?: string): number {
    const start = this.position
    let value = 0
    let scale = 1
    for (let i = 0; i < VARLONG_SHORT_BYTES; i++) {
      const byte = this.buffer[this.#take(1, field)]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 128
    }
    this.position = start
    return clampInt64(this.bigVarlong(field))
  }

  /** The same, always exact. */
  bigVarlong(field?: string): bigint {
    const start = this.position
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.buffer[this.#take(1, field)]
      if (shift === 63n && byte > 1) break
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n)
    }
    return fail(field, start, 'varint over 64 bits')
  }

  uuid(field?: string): string {
    const at = this.#take(16, field)
    const { buffer } = this
    let any = 0
    let hash = 0
    for (let i = at; i < at + 16; i++) {
      any |= buffer[i]
      hash = Math.imul(hash ^ buffer[i], FNV_PRIME)
    }
    return any === 0 ? ZERO_UUID : internUuid(buffer, at, (hash ^ (hash >>> 15)) & INTERN_MASK)
  }

  /** Length of an old-style string: int16, -1 = null. */
  length16(field?: string): number {
    return this.#checkLength(this.int16(field), field)
  }

  /** Length of old-style bytes, records or an array: int32, -1 = null. */
  length32(field?: string): number {
    return this.#checkLength(this.int32(field), field)
  }

  /** Length in a flexible version (KIP-482): uvarint of length + 1, hence -1 = null. */
  compactLength(field?: string): number {
    return this.#checkLength(this.uvarint(field) - 1, field)
  }

  /** Passes a length that is not null. */
  present(length: number, field?: string): number {
    return length >= 0 ? length : fail(field, this.position, 'null where a value is required')
  }

  /** Passes the element count of an array whose elements take at least `elementBytes` each. */
  count(length: number, elementBytes: number, field?: string): number {
    if (length * elementBytes > this.remaining) {
      fail(field, this.position, `${length} elements announced, ${this.remaining} bytes left`)
    }
    if (length > this.#elementsLeft) {
      if (this.#elementsMax < ELEMENTS_MAX) throw new TooManyElements()
      fail(field, this.position, `more than ${ELEMENTS_MAX} elements in one frame`)
    }
    if (length > 0) this.#elementsLeft -= length
    return length
  }

  /**
   * UTF-8 of `length` bytes. Short ASCII (topic names) comes interned and costs no allocation. What is no UTF-8 is read as far as it
   * can be written again, and is refused by whoever would keep it (`isUtf8Text`).
   */
  text(length: number, field?: string): string {
    if (length > STRING_BYTES_MAX) fail(field, this.position, `string of ${length} bytes`)
    const at = this.#take(length, field)
    const { buffer } = this
    if (length > INTERN_LENGTH_MAX) return decodeText(buffer, at, at + length)
    let any = 0
    let hash = length
    for (let i = at; i < at + length; i++) {
      any |= buffer[i]
      hash = Math.imul(hash ^ buffer[i], FNV_PRIME)
    }
    if (any >= 0x80) return decodeText(buffer, at, at + length)
    return internAscii(buffer, at, length, (hash ^ (hash >>> 15)) & INTERN_MASK)
  }

  /** A copy, free to outlive the frame. */
  bytes(length: number, field?: string): Buffer {
    const at = this.#take(length, field)
    return Buffer.from(this.buffer.subarray(at, at + length))
  }

  /** A view on the frame: valid only as long as the frame's memory is. */
  view(length: number, field?: string): Buffer {
    const at = this.#take(length, field)
    return this.buffer.subarray(at, at + length)
  }

  /** Number of fields in a tag section. Each takes two bytes or more. */
  tagCount(field?: string): number {
    return this.count(this.uvarint(field), 2, field)
  }

  /** Reads a tagged field's size; returns the position where the field must end. */
  tagEnd(field?: string): number {
    const size = this.uvarint(field)
    if (size > this.remaining) {
      fail(field, this.position, `tagged field of ${size} bytes, ${this.remaining} left`)
    }
    return this.position + size
  }

  /** Checks that a known tagged field took exactly its announced size. */
  endTag(end: number, field?: string): void {
    if (this.position !== end) fail(field, this.position, `tagged field should end at byte ${end}`)
  }

  /** Skips a tag section in which no tag is known. */
  skipTags(field?: string): void {
    for (let left = this.tagCount(field); left > 0; left--) {
      this.uvarint(field)
      this.position = this.tagEnd(field)
    }
  }

  #take(size: number, field?: string): number {
    const at = this.position
    if (size > this.end - at) fail(field, at, `${size} bytes needed, ${this.end - at} left`)
    this.position = at + size
    return at
  }

  #word(at: number): number {
    const { buffer } = this
    return (buffer[at] << 24) | (buffer[at + 1] << 16) | (buffer[at + 2] << 8) | buffer[at + 3]
  }

  #checkLength(length: number, field?: string): number {
    if (length < -1) fail(field, this.position, `negative length ${length}`)
    if (length > this.end - this.position) {
      fail(field, this.position, `length ${length}, ${this.remaining} bytes left`)
    }
    return length
  }
}

/** Bytes that are no UTF-8 are read as U+FFFD, which takes three bytes itself: so many, and the mark, can be written as a string. */
const REPLACED_BYTES_MAX = Math.floor(STRING_BYTES_MAX / 3) - 1
/** Ends a text that was no UTF-8: half of a surrogate pair, which no UTF-8 gives. */
const NO_UTF8 = '\ud800'

/** Whether a text was UTF-8 when it came: only then two texts are the same if what was sent is. */
export const isUtf8Text = (text: string): boolean => text.isWellFormed()

function decodeText(buffer: Buffer, start: number, end: number): string {
  if (isUtf8(buffer.subarray(start, end))) return buffer.toString('utf8', start, end)
  const until = Math.min(end, start + REPLACED_BYTES_MAX)
  return buffer.toString('utf8', start, until) + NO_UTF8
}

function fail(field: string | undefined, position: number, what: string): never {
  throw new MalformedFrame(field ?? '', position, what)
}

// The same few topic names, client ids and topic ids arrive in every request. A direct-mapped cache
// returns the same string object for them, so later Map lookups find its hash already computed.
const FNV_PRIME = 0x01000193
const INTERN_LENGTH_MAX = 64
const INTERN_SLOTS = 1024
const INTERN_MASK = INTERN_SLOTS - 1
const asciiSlots: string[] = new Array(INTERN_SLOTS).fill('')
const uuidSlots: string[] = new Array(INTERN_SLOTS).fill(ZERO_UUID)
const uuidBytes = Buffer.alloc(INTERN_SLOTS * 16)

function internAscii(buffer: Buffer, at: number, length: number, slot: number): string {
  const known = asciiSlots[slot]
  let same = known.length === length
  for (let i = 0; same && i < length; i++) same = known.charCodeAt(i) === buffer[at + i]
  if (same) return known
  const text = buffer.toString('latin1', at, at + length)
  asciiSlots[slot] = text
  return text
}

function internUuid(buffer: Buffer, at: number, slot: number): string {
  let same = true
  for (let i = 0; same && i < 16; i++) same = uuidBytes[slot * 16 + i] === buffer[at + i]
  if (same) return uuidSlots[slot]
  const text = buffer.toString('base64url', at, at + 16)
  buffer.copy(uuidBytes, slot * 16, at, at + 16)
  uuidSlots[slot] = text
  return text
}
