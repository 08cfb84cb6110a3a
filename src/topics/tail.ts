import { assert } from '../assert.ts'
import * as batch from '../protocol/record-batch.ts'
import { copyShared } from '../shared/copy.ts'
import { ENTRY_HEADER_BYTES } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ReadResult } from './log-reader.ts'

/** Batches of a partition that can be read where they stand. */
const BATCHES_MAX = 64
/** Appends that nobody reads before the tail is given up. */
const UNREAD_MAX = 256
/** Tails of one worker's partitions, 1.5 KB each. */
const TAILS_MAX = 4_096

/** What was written into a ring, and what has become of it. */
type Written = Pick<Ring, 'bytes' | 'size' | 'stillHolds'>

/** The tails of the partitions of one worker, whose requests stand in one ring. */
export class Tails {
  readonly #ring: Written
  #taken = 0

  constructor(ring: Written) {
    this.#ring = ring
  }

  /** @returns null if there are too many */
  take(): Tail | null {
    if (this.#taken === TAILS_MAX) return null
    this.#taken++
    return new Tail(this.#ring)
  }

  giveBack(): void {
    this.#taken--
  }
}

/**
 * The batches that were last appended to a partition, for readers that keep up: they are in memory already. The worker has
 * put offsets into them where they stand in its request ring and given them back flushed; there they stay until the main
 * thread writes over them, which only it does. So nothing is copied to keep them, and the ring's size is the bound.
 */
export class Tail {
  readonly #ring: Written
  readonly #first = new Float64Array(BATCHES_MAX)
  readonly #counts = new Float64Array(BATCHES_MAX)
  readonly #bytes = new Int32Array(BATCHES_MAX)
  /** Batches noted so far; the one with number n is at n % BATCHES_MAX. */
  #noted = 0
  /** Number of the oldest one without a gap behind it. */
  #oldest = 0
  #nextOffset = -1
  #unread = 0

  constructor(ring: Written) {
    this.#ring = ring
  }

  /** @returns false if nobody has read for long: then it is not worth keeping */
  note(baseOffset: number, lastOffset: number, count: number, bytes: number): boolean {
    if (baseOffset !== this.#nextOffset) this.#oldest = this.#noted
    const at = this.#noted++ % BATCHES_MAX
    this.#first[at] = baseOffset
    this.#counts[at] = count
    this.#bytes[at] = bytes
    this.#nextOffset = lastOffset + 1
    this.#oldest = Math.max(this.#oldest, this.#noted - BATCHES_MAX)
    return ++this.#unread <= UNREAD_MAX
  }

  /** As LogReader.read. @returns undefined if the offset is not in what is here */
  read(
    pool: BufferPool,
    offset: number,
    endOffset: number,
    maxBytes: number,
    atLeastOne: boolean,
  ): ReadResult | null | undefined {
    const from = this.#find(offset)
    if (from === -1) return undefined
    const { end, bytes } = this.#take(from, endOffset, maxBytes, atLeastOne)
    if (end === from) return null
    this.#unread = 0
    const buffer = pool.acquire(bytes)
    let filled = 0
    for (let n = from; n < end; n++) filled += this.#copy(n % BATCHES_MAX, buffer, filled)
    return { records: buffer.subarray(0, bytes), buffer, isFromFile: false }
  }

  /** Number of the batch that holds the offset, -1 if that is not here any more, or not yet. */
  #find(offset: number): number {
    if (offset >= this.#nextOffset) return -1
    let n = this.#noted - 1
    while (n >= this.#oldest && this.#first[n % BATCHES_MAX]! > offset) n--
    if (n < this.#oldest || !this.#ring.stillHolds(this.#counts[n % BATCHES_MAX]!)) return -1
    return n
  }

  /** Whole batches below the end, from this one on. */
  #take(from: number, endOffset: number, maxBytes: number, atLeastOne: boolean) {
    let end = from
    let bytes = 0
    while (end < this.#noted && this.#first[end % BATCHES_MAX]! < endOffset) {
      const more = bytes + this.#bytes[end % BATCHES_MAX]!
      if (more > maxBytes && !(atLeastOne && end === from)) break
      bytes = more
      end++
    }
    return { end, bytes }
  }

  #copy(at: number, target: Buffer, to: number): number {
    const { bytes, size } = this.#ring
    const start = (this.#counts[at]! % size) + ENTRY_HEADER_BYTES
    const end = start + this.#bytes[at]!
    assert(batch.baseOffset(bytes, start) === this.#first[at], 'the ring still holds the batch')
    copyShared(bytes, start, end, target, to)
    return end - start
  }
}
