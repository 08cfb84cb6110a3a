import * as batch from '../protocol/record-batch.ts'
import type { BatchFacts } from '../replication/follower-effects.ts'

/** A batch in the answer of a leader. */
export interface FetchedBatch extends BatchFacts {
  /** A view on the answer. */
  readonly bytes: Buffer
}

/** The batches that lie one behind the other; the worker that appends them looks at their checksums. */
export function cutBatches(records: Buffer): FetchedBatch[] {
  const batches: FetchedBatch[] = []
  for (let at = 0; at < records.length; ) {
    const left = records.length - at
    const size = left < batch.BATCH_HEADER_BYTES ? 0 : batch.batchBytes(records, at)
    const isWhole =
      size >= batch.BATCH_HEADER_BYTES &&
      size <= left &&
      batch.magic(records, at) === batch.MAGIC_V2
    if (!isWhole) {
      batches.push({ baseOffset: -1, lastOffset: -1, epoch: -1, isWhole, bytes: NOTHING })
      return batches
    }
    const bytes = records.subarray(at, at + size)
    batches.push({
      baseOffset: batch.baseOffset(bytes),
      lastOffset: batch.lastOffset(bytes),
      epoch: batch.leaderEpoch(bytes),
      isWhole,
      bytes,
    })
    at += size
  }
  return batches
}

/** What is known of a log without its files. */
interface KnownLog {
  readonly hasGaps: boolean
  /** -1 if unknown. */
  epochAt(offset: number): number
}

/** Whether these are batches as they were appended, from the one that holds the offset on. No checksum covers offset and epoch. */
export function areIntact(records: Buffer, offset: number, log: KnownLog): boolean {
  let next = offset
  for (const [i, one] of cutBatches(records).entries()) {
    const { isWhole, bytes, baseOffset, lastOffset } = one
    const isNext = baseOffset === next || (i === 0 && baseOffset < next) || log.hasGaps
    if (!isWhole || !isNext || lastOffset < next) return false
    const epoch = log.epochAt(baseOffset)
    if (epoch !== -1 && epoch !== one.epoch) return false
    if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) return false
    next = lastOffset + 1
  }
  return true
}

/** The offset behind the last batch. */
export const endOf = (records: Buffer): number => cutBatches(records).at(-1)!.lastOffset + 1

const NOTHING = Buffer.alloc(0)
