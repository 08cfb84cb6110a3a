import { basename, join } from 'node:path'
import { rebuildIndexes } from '../storage/closed-segment.ts'
import { writeCompactionCheckpoint } from '../storage/compaction/swap.ts'
import type { FileSystem } from '../storage/fs.ts'
import { LEADER_EPOCHS } from '../storage/leader-epochs.ts'
import type { OverlayFs } from '../storage/overlay-fs.ts'
import { fileName } from '../storage/segment.ts'
import { UNREPLAYED } from '../storage/unreplayed.ts'
import type { SafePoint } from '../storage/worker-checkpoint.ts'
import { emptyBatch } from './empty-batch.ts'
import { EpochCheck } from './epoch-check.ts'
import { IndexCheck } from './index-check.ts'
import {
  badSnapshotsIn,
  compactionOf,
  epochsOf,
  forgetCompaction,
  unreplayedOf,
} from './log-files.ts'
import {
  batchesOf,
  type JournalBatch,
  type SurveyedSegment,
  segmentsIn,
  surveyLog,
} from './log-survey.ts'
import { walkSegment } from './segment-walk.ts'

/** A partition's log that is to come online again. */
export interface LogToMend {
  readonly dir: string
  readonly safe: SafePoint
  readonly isStartKnown: boolean
  /** Of the workers' journals, oldest first. */
  readonly journal: readonly Buffer[]
  /** Without a checkpoint of compaction, offsets that are missing were taken out by it. */
  readonly isThinned: boolean
  /** The leader epoch of the last start. */
  readonly epochMax: number
}

/**
 * Makes a log whole again out of what can be read of it and of its journal. Every batch keeps its offset, and none is given out
 * again: what is lost stays a gap, as compaction leaves them, in a segment that the compaction checkpoint names, at its end with an empty batch. The log
 * goes on in a new segment if anything of the last one is lost.
 */
export function mendLog(files: OverlayFs, log: LogToMend): void {
  const { dir } = log
  if (!files.exists(dir)) files.mkdir(dir)
  const compaction = compactionOf(files, dir, log.isThinned)
  const cleaned = { ...compaction.checkpoint.cleaned }
  const unreplayed = unreplayedOf(files, dir)
  if (unreplayed.problem !== null) files.unlink(join(dir, UNREPLAYED))
  const journal = [...unreplayed.entries, ...log.journal]
  const batches = batchesOf(journal)
  beginMissing(files, dir, batches, cleaned)
  const { file, entries } = epochsOf(files, dir)
  const epochs = new EpochCheck(entries, log.epochMax)
  const indexes = new IndexChecks(files, dir)
  const toSurvey = { dir, safe: log.safe, isStartKnown: log.isStartKnown, journal, cleaned }
  const survey = surveyLog(files, toSurvey, (base, batch) => {
    epochs.visit(base, batch)
    indexes.of(base).visit(batch)
  })
  if (file === 'damaged' || epochs.isFileWrong) files.unlink(join(dir, LEADER_EPOCHS))
  else if (!epochs.isMaxWrong) for (const one of epochs.wrong) patchEpoch(files, dir, one)
  for (const segment of survey.segments) {
    patch(files, segment)
    const whole = rewrite(files, segment, batches, survey.durableEnd)
    if (whole !== 'as it was') indexes.drop(segment.base)
    if (whole === 'with gaps') cleaned[segment.base] = sizeOf(files, segment.path)
    else if (cleaned[segment.base] !== undefined)
      cleaned[segment.base] = sizeOf(files, segment.path)
  }
  fillEnds(files, log, survey.end, cleaned)
  closeGapAtEnd(files, dir, cleaned, offset => epochs.epochAt(offset))
  for (const base of Object.keys(cleaned).map(Number)) {
    if (!files.exists(join(dir, fileName(base, 'log')))) delete cleaned[base]
  }
  if (compaction.isLost) forgetCompaction(files, dir)
  const { cleanedOffset } = compaction.checkpoint
  if (Object.keys(cleaned).length > 0 || !compaction.isMissing) {
    writeCompactionCheckpoint(files, dir, { cleanedOffset, cleaned, swap: null })
  }
  indexes.mend()
  for (const name of badSnapshotsIn(files, dir)) files.unlink(join(dir, name))
}

/** Segments that are not there, and of which the journal has batches. Those that stand for others in a cleaned one are no more. */
function beginMissing(
  files: OverlayFs,
  dir: string,
  batches: readonly JournalBatch[],
  cleaned: Readonly<Record<number, number>>,
): void {
  for (const { segmentBase } of batches) {
    const bases = segmentsIn(files, dir)
    const owner = bases.findLast(base => base <= segmentBase)
    if (owner === undefined || owner === segmentBase) continue
    if (cleaned[owner] === undefined || owner === bases.at(-1)) create(files, dir, segmentBase)
  }
}

/** What is missing at the beginning is an empty segment, and so is what follows a last one with gaps. */
function fillEnds(
  files: OverlayFs,
  { dir, safe, isStartKnown }: LogToMend,
  end: number,
  cleaned: Record<number, number>,
): void {
  const first = segmentsIn(files, dir)[0]
  const start = Math.min(safe.logStartOffset, end)
  const isStartMissing = first === undefined ? start < end : isStartKnown && first > start
  if (isStartMissing) {
    create(files, dir, start)
    cleaned[start] = 0
  }
  const last = segmentsIn(files, dir).at(-1)
  if (last !== undefined && cleaned[last] !== undefined) {
    // A log never ends with a segment that has gaps: it would be written on.
    if (end > last) create(files, dir, end)
    else delete cleaned[last]
  }
}

/** What is lost in front of a last segment that is empty is an empty batch: readers must come to the log's end. */
function closeGapAtEnd(
  files: OverlayFs,
  dir: string,
  cleaned: Record<number, number>,
  epochAt: (offset: number) => number,
): void {
  const [base, last] = segmentsIn(files, dir).slice(-2)
  if (base === undefined || last === undefined || cleaned[base] === undefined) return
  if (sizeOf(files, join(dir, fileName(last, 'log'))) > 0) return
  cleaned[base] = closeUpTo(files, dir, base, last, epochAt)
}

/** @returns the segment's bytes */
function closeUpTo(
  files: OverlayFs,
  dir: string,
  base: number,
  end: number,
  epochAt: (offset: number) => number,
): number {
  const path = join(dir, fileName(base, 'log'))
  const segment = { path, base, next: null, endOffset: null, isThinned: true }
  const walked = walkSegment(files, segment)
  if (walked.end < end) {
    const batch = emptyBatch(walked.end, end, epochAt(walked.end))
    files.compose(path, [{ from: 0, to: walked.size }, batch])
  }
  return sizeOf(files, path)
}

function create(files: FileSystem, dir: string, base: number): void {
  files.close(files.open(join(dir, fileName(base, 'log')), 'create'))
}

function sizeOf(files: FileSystem, path: string): number {
  const fd = files.open(path, 'read')
  try {
    return files.size(fd)
  } finally {
    files.close(fd)
  }
}

function writeAt(files: FileSystem, path: string, bytes: Buffer, position: number): void {
  const fd = files.open(path, 'write')
  try {
    files.write(fd, [bytes], position)
  } finally {
    files.close(fd)
  }
}

function patch(files: FileSystem, { path, walked }: SurveyedSegment): void {
  for (const { position, bytes } of walked.patches) writeAt(files, path, bytes, position)
}

function patchEpoch(
  files: FileSystem,
  dir: string,
  { base, position, expected }: { base: number; position: number; expected: number },
): void {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(expected)
  writeAt(files, join(dir, fileName(base, 'log')), bytes, position + 12)
}

type Part = Buffer | { from: number; to: number }

/** Puts the segment together from what is whole in it, and from the journal where it is not. */
function rewrite(
  files: OverlayFs,
  segment: SurveyedSegment,
  batches: readonly JournalBatch[],
  durableEnd: number,
): 'as it was' | 'whole' | 'with gaps' {
  const { walked, path, isThinned } = segment
  const limit = segment.next ?? Math.max(durableEnd, walked.end)
  const isShort = walked.end < limit && !isThinned
  if (walked.damages.length === 0 && !isShort && walked.end <= limit) return 'as it was'
  const parts: Part[] = []
  let kept = 0
  let hasGaps = false
  for (const { from, to, firstOffset, nextOffset } of walked.damages) {
    parts.push({ from: kept, to: from })
    const filled = isThinned
      ? { bytes: [], end: firstOffset }
      : fill(batches, firstOffset, nextOffset ?? limit)
    parts.push(...filled.bytes)
    hasGaps ||= filled.end !== (nextOffset ?? limit)
    kept = to
  }
  parts.push({ from: kept, to: walked.size })
  const isOpen = walked.damages.at(-1)?.nextOffset === null
  if (isShort && !isOpen) {
    const filled = fill(batches, walked.end, limit)
    parts.push(...filled.bytes)
    hasGaps ||= filled.end !== limit
  }
  files.compose(path, parts)
  return hasGaps ? 'with gaps' : 'whole'
}

/** Batches that stand in a row from one offset up to another. */
function fill(
  batches: readonly JournalBatch[],
  from: number,
  to: number,
): { bytes: Buffer[]; end: number } {
  const bytes: Buffer[] = []
  let end = from
  let isRow = true
  for (const one of batches) {
    if (one.baseOffset < end || one.endOffset > to) continue
    isRow &&= one.baseOffset === end
    bytes.push(one.bytes)
    end = one.endOffset
  }
  return { bytes, end: isRow ? end : -1 }
}

/** The indexes of all segments of a log. */
class IndexChecks {
  readonly #files: FileSystem
  readonly #dir: string
  readonly #checks = new Map<number, IndexCheck>()
  readonly #dropped = new Set<number>()

  constructor(files: FileSystem, dir: string) {
    this.#files = files
    this.#dir = dir
  }

  of(base: number): IndexCheck {
    let check = this.#checks.get(base)
    if (check === undefined) {
      check = new IndexCheck(this.#files, this.#dir, base)
      this.#checks.set(base, check)
    }
    return check
  }

  /** The segment has other bytes now. */
  drop(base: number): void {
    this.#dropped.add(base)
  }

  /** Makes those anew that are wrong; those of the last segment are made by the start. */
  mend(): void {
    const bases = segmentsIn(this.#files, this.#dir)
    for (const base of bases) {
      const check = this.of(base)
      check.end()
      const isWrong = this.#dropped.has(base) || check.problems.size > 0
      const paths = ['index', 'timeindex'].map(ending => join(this.#dir, fileName(base, ending)))
      if (base === bases.at(-1)) {
        for (const path of paths) if (isWrong && this.#files.exists(path)) this.#files.unlink(path)
      } else if (isWrong || paths.some(path => !this.#files.exists(path))) {
        rebuildIndexes(this.#files, { dir: this.#dir, name: basename(this.#dir) }, base)
      }
    }
  }
}
