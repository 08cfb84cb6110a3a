/** A leader epoch and the offset with which it begins in a log. */
export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

/**
 * Answers OffsetForLeaderEpoch: the end offset of `epoch`, or of the largest epoch before it (KIP-101, KIP-279).
 * Both are -1 if the epoch is newer than all known ones or nothing is known.
 */
export function endOffsetFor(
  entries: readonly EpochStart[],
  epoch: number,
  logEndOffset: number,
): { epoch: number; endOffset: number } {
  const last = entries.at(-1)
  if (last === undefined || epoch > last.epoch || epoch < 0) return { epoch: -1, endOffset: -1 }
  if (epoch === last.epoch) return { epoch, endOffset: logEndOffset }
  const next = entries.find(e => e.epoch > epoch)!
  const holding = entries.findLast(e => e.epoch <= epoch)
  return { epoch: holding?.epoch ?? epoch, endOffset: next.startOffset }
}
