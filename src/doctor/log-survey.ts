import { join } from 'node:path'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_LAST_DELTA,
  ENTRY_PAYLOAD,
  ENTRY_SEGMENT_F64,
  KIND_APPEND,
} from '../shared/entry.ts'
import type { FileSystem } from '../storage/fs.ts'
import { isBatchOf } from '../storage/salvage.ts'
import { fileName, parseFileName } from '../storage/segment.ts'
import type { SafePoint } from '../storage/worker-checkpoint.ts'
import type { OffsetRange } from './finding.ts'
import { type SegmentToWalk, type Walked, type WalkedBatch, walkSegment } from './segment-walk.ts'

/** One partition's log, and what is known of it besides its files. */
export interface LogToSurvey {
  readonly dir: string
  readonly safe: SafePoint
  /** Whether the log's start in it is certain. */
  readonly isStartKnown: boolean
  /** Entries of the journal and of `unreplayed`, oldest first. */
  readonly journal: readonly Buffer[]
  /** Bytes of the segments that compaction has written; in these offsets may be missing. */
  readonly cleaned: Readonly<Record<number, number>>
}

export interface SurveyedSegment extends SegmentToWalk {
  readonly walked: Walked
  /** Bytes that compaction has written; null if it has not, or nobody knows. */
  readonly writtenBytes: number | null
}

export interface Survey {
  readonly segments: readonly SurveyedSegment[]
  /** What was in segments that are not there: at the front, and those that compaction has written. */
  readonly missing: readonly OffsetRange[]
  /** Behind all offsets that were ever acknowledged, as far as anything says. */
  readonly end: number
  /** Of that, what the files and checkpoints say that nobody else wrote: below it nothing may be missing. */
  readonly durableEnd: number
}

/** A whole batch out of the journal. */
export interface JournalBatch {
  readonly baseOffset: number
  readonly endOffset: number
  /** Of the segment that it was written to. */
  readonly segmentBase: number
  readonly bytes: Buffer
}

/** Walks all segments of a log. */
export function surveyLog(
  files: FileSystem,
  log: LogToSurvey,
  visit: (base: number, batch: WalkedBatch) => void = () => {},
): Survey {
  const bases = segmentsIn(files, log.dir)
  const journalEnd = log.journal.reduce((end, entry) => Math.max(end, endOfEntry(entry)), 0)
  const durableEnd = Math.max(log.safe.recoveryPoint, log.safe.logStartOffset, journalEnd)
  const segments = bases.map((base, i): SurveyedSegment => {
    const segment = {
      path: join(log.dir, fileName(base, 'log')),
      base,
      next: bases[i + 1] ?? null,
      endOffset: durableEnd > base ? durableEnd : null,
      isThinned: log.cleaned[base] !== undefined,
    }
    const writtenBytes = log.cleaned[base] ?? null
    return {
      ...segment,
      writtenBytes,
      walked: walkSegment(files, segment, batch => visit(base, batch)),
    }
  })
  const missing = missingOf(log, bases, durableEnd)
  const ends = segments.flatMap(({ base, walked }) => [base, walked.end])
  return { segments, missing, durableEnd, end: Math.max(durableEnd, ...ends) }
}

function missingOf(
  { safe, isStartKnown, cleaned }: LogToSurvey,
  bases: readonly number[],
  durableEnd: number,
): OffsetRange[] {
  const first = bases[0] ?? durableEnd
  const starts = Object.keys(cleaned).map(Number)
  if ((isStartKnown || bases.length === 0) && first > safe.logStartOffset) {
    starts.push(safe.logStartOffset)
  }
  return starts
    .filter(base => !bases.includes(base) && base >= safe.logStartOffset)
    .map(from => ({ from, to: (bases.find(base => base > from) ?? durableEnd) - 1 }))
    .filter(({ from, to }) => from <= to)
}

/** The base offsets of the segments in a folder, ascending. */
export function segmentsIn(files: FileSystem, dir: string): number[] {
  return files
    .readdir(dir)
    .map(name => parseFileName(name, 'log'))
    .filter(base => base !== null)
    .sort((a, b) => a - b)
}

const baseOffsetOf = (entry: Buffer): number => entry.readDoubleLE(ENTRY_BASE_OFFSET_F64 * 8)

const endOfEntry = (entry: Buffer): number =>
  baseOffsetOf(entry) + entry.readInt32LE(ENTRY_LAST_DELTA * 4) + 1

/** The batches of entries that are whole, by offset; of two with the same, the newer one. */
export function batchesOf(journal: readonly Buffer[]): JournalBatch[] {
  const found = new Map<number, JournalBatch>()
  for (const entry of journal) {
    const payload = entry.readUInt32LE(ENTRY_PAYLOAD * 4)
    const bytes = entry.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + payload)
    const baseOffset = baseOffsetOf(entry)
    if (entry.readUInt32LE(ENTRY_KIND * 4) !== KIND_APPEND || !isBatchOf(bytes, baseOffset))
      continue
    const segmentBase = entry.readDoubleLE(ENTRY_SEGMENT_F64 * 8)
    found.set(baseOffset, { baseOffset, endOffset: endOfEntry(entry), segmentBase, bytes })
  }
  return [...found.values()].sort((a, b) => a.baseOffset - b.baseOffset)
}
