import { MalformedBatch } from './records.ts'

/**
 * Walks the records in a batch's content without taking them apart further than compaction needs: where each one is,
 * its deltas, its key, and whether it has a value. One object for all records: what it says is true until the next `next`.
 */
export class RawRecords {
  readonly content: Buffer
  readonly #count: number
  #index = 0
  #at = 0
  /** The whole record with its length in front: `content.subarray(start, end)`. */
  start = 0
  end = 0
  /** Where the timestamp delta begins and ends: what is written anew when the batch's base timestamp changes. */
  timestampAt = 0
  timestampEnd = 0
  timestampDelta = 0
  offsetDelta = 0
  key: Buffer | null = null
  hasValue = false

  constructor(content: Buffer, count: number) {
    this.content = content
    this.#count = count
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
    this.offsetDelta = this.#varint()
    const keyBytes = this.#varint()
    this.key = keyBytes < 0 ? null : this.content.subarray(this.#at, this.#at + keyBytes)
    this.#at += Math.max(0, keyBytes)
    if (this.#at > this.end) this.#refuse('a key is cut off')
    const valueBytes = this.#varint()
    this.hasValue = valueBytes >= 0
    if (this.#at + Math.max(0, valueBytes) > this.end) this.#refuse('a value is cut off')
    return true
  }

  /** Zig-zag; exact up to 2^53. */
  #varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.content[this.#at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 128
    }
    return this.#refuse('a number is cut off')
  }

  #refuse(what: string): never {
    throw new MalformedBatch(`${what} at byte ${this.#at} of the records`)
  }
}
