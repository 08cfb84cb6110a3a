import { INT64_MAX, INT64_MIN } from './int64.ts'
import { MalformedBatch } from './records.ts'

/** Below it a zig-zag number and its half are exact, whatever comes out. */
const ZIGZAG_EXACT = 2 ** 53
const ZIGZAG_END = 2 ** 64

/**
 * Walks the records in a batch's content without taking them apart further than compaction needs: where each one is,
 * its deltas, its key, and whether it has a value. One object for all records: what it says is true until the next `next`.
 * What readers would refuse is refused here too: above all offset deltas that do not rise up to the batch's last one, with which one
 * record could take the place of others that were written after it.
 */
export class RawRecords {
  readonly content: Buffer
  readonly #count: number
  readonly #lastOffsetDelta: number
  #index = 0
  #at = 0
  /** The whole record with its length in front: `content.subarray(start, end)`. */
  start = 0
  end = 0
  /** Where the timestamp delta begins and ends: what is written anew when the batch's base timestamp changes. */
  timestampAt = 0
  timestampEnd = 0
  /** Exact, or an end of the range, which stands for more than is exact: then the bytes say which. */
  timestampDelta = 0
  offsetDelta = -1
  key: Buffer | null = null
  hasValue = false

  constructor(content: Buffer, count: number, lastOffsetDelta: number) {
    this.content = content
    this.#count = count
    this.#lastOffsetDelta = lastOffsetDelta
  }

  /** Walks to the end once, so that nothing is done with a batch whose end cannot be read. @throws MalformedBatch */
  verified(): this {
    while (this.next());
    this.#index = 0
    this.end = 0
    this.offsetDelta = -1
    return this
  }

  /**
   * Goes to the next record.
   * @returns false behind the last one
   * @throws MalformedBatch
   */
  next(): boolean {
    if (this.#index === this.#count) {
      if (this.end !== this.content.length) this.#refuse('bytes behind the last record')
      return false
    }
    this.#index++
    this.start = this.end
    this.#at = this.start
    const length = this.#varint()
    this.end = this.#at + length
    if (length < 0 || this.end > this.content.length) this.#refuse(`a record of ${length} bytes`)
    this.#at++ // attributes
    this.timestampAt = this.#at
    this.timestampDelta = this.#varint()
    this.timestampEnd = this.#at
    const before = this.offsetDelta
    this.offsetDelta = this.#varint()
    if (this.offsetDelta <= before || this.offsetDelta > this.#lastOffsetDelta) {
      this.#refuse(`an offset delta of ${this.offsetDelta}`)
    }
    const keyBytes = this.#varint()
    this.key = keyBytes < 0 ? null : this.content.subarray(this.#at, this.#at + keyBytes)
    this.#at += Math.max(0, keyBytes)
    if (this.#at > this.end) this.#refuse('a key is cut off')
    const valueBytes = this.#varint()
    this.hasValue = valueBytes >= 0
    this.#at += Math.max(0, valueBytes)
    if (this.#at > this.end) this.#refuse('a value is cut off')
    this.#headers()
    if (this.#at !== this.end) this.#refuse(`a record should end at byte ${this.end}`)
    return true
  }

  #headers(): void {
    const count = this.#varint()
    if (count < 0 || count > this.end - this.#at) this.#refuse(`${count} headers`)
    for (let i = 0; i < count; i++) {
      const keyBytes = this.#varint()
      if (keyBytes < 0) this.#refuse('a header without a key')
      this.#at += keyBytes
      const valueBytes = this.#varint()
      this.#at += Math.max(0, valueBytes)
      if (this.#at > this.end) this.#refuse('a header is cut off')
    }
  }

  /** Zig-zag; exact, or an end of the range. */
  #varint(): number {
    const isNegative = (this.content[this.#at]! & 1) === 1
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.content[this.#at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value < ZIGZAG_EXACT) return isNegative ? -(value + 1) / 2 : value / 2
        if (value >= ZIGZAG_END) break
        return isNegative ? INT64_MIN : INT64_MAX
      }
      scale *= 128
    }
    return this.#refuse('a number is cut off')
  }

  #refuse(what: string): never {
    throw new MalformedBatch(`${what} at byte ${this.#at} of the records`)
  }
}
