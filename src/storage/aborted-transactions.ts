import { readInt64, writeInt64 } from '../protocol/record-batch.ts'

/**
 * `.txnindex` (TransactionIndex.java, AbortedTxn.java): of each transaction whose abort marker is in the segment, by the marker's offset,
 *   int16 version 0 | int64 producer id | int64 first offset | int64 last offset (the marker's) | int64 last stable offset then
 * Who reads only what is committed is told of them with the records. The file is there if there are any.
 */
export const ABORTED_BYTES = 34
const VERSION = 0

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of its marker. */
  readonly lastOffset: number
  /** Where the first transaction began that was still open behind it; the offset after the marker if there was none. */
  readonly lastStableOffset: number
}

export function putAborted(entry: Buffer, aborted: AbortedTransaction): void {
  entry.writeInt16BE(VERSION, 0)
  writeInt64(entry, 2, aborted.producerId)
  writeInt64(entry, 10, aborted.firstOffset)
  writeInt64(entry, 18, aborted.lastOffset)
  writeInt64(entry, 26, aborted.lastStableOffset)
}

export function abortedAt(index: Buffer, at: number): AbortedTransaction {
  return {
    producerId: readInt64(index, at + 2),
    firstOffset: readInt64(index, at + 10),
    lastOffset: readInt64(index, at + 18),
    lastStableOffset: readInt64(index, at + 26),
  }
}
