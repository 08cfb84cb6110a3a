import { type EpochStart, endOffsetFor } from '../shared/epochs.ts'

/** What a machine is told of a log when it takes it over: the worker's answer to `lead`, `follow` and `truncate`. */
export interface LogFacts {
  readonly start: number
  /** Flushed end, or the written one where the partition is `durable: false`. */
  readonly end: number
  /** Known to be committed: learnt or kept by a checkpoint; never above `end`. */
  readonly hw: number
  /** Leader epoch in which that high watermark was learnt; -1 if nobody knows. */
  readonly hwEpoch: number
  /** The epochs that begin in the log, and of a leader its own, which may have no batches yet. */
  readonly epochs: readonly EpochStart[]
}

/** Epoch of what is last in the log; -1 if there never was anything. */
export const lastEpochOf = (epochs: readonly EpochStart[]): number => epochs.at(-1)?.epoch ?? -1

/**
 * Whether a replica that ends at `offset` with a batch of `lastEpoch` has something that this log has not, and up to where
 * both may be the same (KIP-595).
 */
export function divergence(
  epochs: readonly EpochStart[],
  end: number,
  lastEpoch: number,
  offset: number,
): { readonly epoch: number; readonly endOffset: number } | null {
  if (lastEpoch === -1) return null
  const { epoch, endOffset } = endOffsetFor(epochs, lastEpoch, end)
  return epoch < lastEpoch || endOffset < offset ? { epoch, endOffset } : null
}
