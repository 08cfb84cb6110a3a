import type { Segment } from '../segment.ts'

/** What a log must know of its topic's configs to say what of it can be compacted. Times in ms. */
export interface CompactionConfig {
  readonly minCompactionLagMs: number
  readonly maxCompactionLagMs: number
}

/** How much of a log could be compacted now. */
export interface Cleanable {
  readonly firstDirtyOffset: number
  readonly firstUncleanableOffset: number
  /** Compacted before. */
  readonly cleanBytes: number
  /** New since, and closed. */
  readonly dirtyBytes: number
  /** A record in it is older than max.compaction.lag.ms allows. */
  readonly isOverdue: boolean
}

interface CompactedLog {
  readonly segments: readonly Segment[]
  readonly logStartOffset: number
  readonly nextOffset: number
  readonly cleanedOffset: number
  readonly highWatermark: number
}

/**
 * From the end of the last compaction up to the active segment, or to the first segment with a record that is too new or not
 * committed, and so may be cut off again (LogCleanerManager.cleanableOffsets). Null if there is nothing.
 */
export function cleanable(
  log: CompactedLog,
  config: CompactionConfig,
  now: number,
): Cleanable | null {
  const firstDirtyOffset = firstDirty(log)
  const isCommitted = (i: number): boolean => log.segments[i + 1]!.baseOffset <= log.highWatermark
  const closed = log.segments.slice(0, -1).filter((_, i) => isCommitted(i))
  const isDirty = (i: number): boolean => log.segments[i + 1]!.baseOffset > firstDirtyOffset
  const tooNew = (segment: Segment, i: number): boolean =>
    config.minCompactionLagMs > 0 &&
    isDirty(i) &&
    segment.maxTimestamp > now - config.minCompactionLagMs
  const firstTooNew = closed.findIndex(tooNew)
  const segments = firstTooNew === -1 ? closed : closed.slice(0, firstTooNew)
  const firstUncleanableOffset = log.segments[segments.length]!.baseOffset
  const dirty = segments.filter((_, i) => isDirty(i))
  const dirtyBytes = bytesOf(dirty)
  if (dirtyBytes === 0) return null
  const due = now - config.maxCompactionLagMs
  return {
    firstDirtyOffset,
    firstUncleanableOffset,
    cleanBytes: bytesOf(segments) - dirtyBytes,
    dirtyBytes,
    isOverdue: due > 0 && dirty.some(segment => isOlder(segment, due)),
  }
}

function firstDirty({ cleanedOffset, logStartOffset, nextOffset }: CompactedLog): number {
  // A log that ends before what was compacted has lost records by hand: all of it counts as new.
  return cleanedOffset > nextOffset ? logStartOffset : Math.max(cleanedOffset, logStartOffset)
}

const bytesOf = (segments: readonly Segment[]): number =>
  segments.reduce((sum, segment) => sum + segment.size, 0)

function isOlder(segment: Segment, due: number): boolean {
  const first = segment.firstBatchTimestamp()
  return first > 0 && first < due
}
