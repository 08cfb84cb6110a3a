import type { FileHandle } from 'node:fs/promises'
import {
  ABORTED_BYTES,
  type AbortedTransaction,
  abortedAt,
} from '../storage/aborted-transactions.ts'
import type { SegmentView } from './segment-view.ts'

/** Read at once. */
const CHUNK_BYTES = 240 * ABORTED_BYTES

/**
 * Reads the `.txnindex` of a segment, whose entries are in the order of their markers: adds those of transactions that reach from `offset` on
 * and begin below `endOffset`.
 * @returns whether none of those behind them can
 * @throws Error if it does not have what it had
 */
export function readAborted(
  segment: SegmentView,
  offset: number,
  endOffset: number,
  found: AbortedTransaction[],
): Promise<boolean> {
  return segment.withAborted(async file => {
    const index = new AbortedIndex(file, segment.abortedBytes)
    for (let at = await index.firstReaching(offset); at < segment.abortedBytes; ) {
      const entries = await index.read(at, CHUNK_BYTES)
      for (let i = 0; i < entries.length; i += ABORTED_BYTES) {
        const aborted = abortedAt(entries, i)
        if (aborted.firstOffset < endOffset) found.push(aborted)
        if (aborted.lastStableOffset >= endOffset) return true
      }
      at += entries.length
    }
    return false
  })
}

class AbortedIndex {
  readonly #file: FileHandle
  readonly #bytes: number
  readonly #chunk: Buffer

  constructor(file: FileHandle, bytes: number) {
    this.#file = file
    this.#bytes = bytes
    this.#chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes))
  }

  /** What is returned is good until the next reading. */
  async read(at: number, bytesMax: number): Promise<Buffer> {
    const bytes = Math.min(bytesMax, this.#bytes - at)
    const { bytesRead } = await this.#file.read(this.#chunk, 0, bytes, at)
    if (bytesRead < bytes) throw new Error('an index of aborted transactions is short')
    return this.#chunk.subarray(0, bytes)
  }

  /** Where the first entry is whose marker is not in front of the offset. */
  async firstReaching(offset: number): Promise<number> {
    let low = 0
    let high = this.#bytes / ABORTED_BYTES
    while (low < high) {
      const middle = (low + high) >>> 1
      const { lastOffset } = abortedAt(await this.read(middle * ABORTED_BYTES, ABORTED_BYTES), 0)
      if (lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low * ABORTED_BYTES
  }
}
