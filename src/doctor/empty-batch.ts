import { encodePlainBatch } from '../protocol/records.ts'

/**
 * A batch without records that stands for offsets, as compaction leaves one at the end of a log: whoever reads on from any of them
 * comes to the end.
 */
export const emptyBatch = (from: number, next: number, leaderEpoch: number): Buffer =>
  encodePlainBatch([], { baseOffset: from, leaderEpoch, lastOffsetDelta: next - from - 1 })
