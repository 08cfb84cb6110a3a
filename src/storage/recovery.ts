import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { abortedBytesBelow } from './aborted-checkpoint.ts'
import { scanBatches } from './batch-scanner.ts'
import { openClosedSegment, resumeTimes } from './closed-segment.ts'
import { CLEANED, finishSwap, forgetCleaned, mendCompactionCheckpoint } from './compaction/swap.ts'
import { CorruptLog, damaged } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import type { JournalledEntry } from './journalled.ts'
import { LEADER_EPOCHS, LeaderEpochs } from './leader-epochs.ts'
import {
  learn,
  learnBatch,
  learntSoFar,
  RECALL_ENTRIES,
  recallFrom,
  type Snapshot,
  startOfScan,
} from './learning.ts'
import { Log, type LogConfig } from './log.ts'
import { checkTopicId } from './partition-metadata.ts'
import { ProducerState } from './producer-state.ts'
import { DELETED } from './removal.ts'
import { type Durable, type ReplayInput, replay } from './replay.ts'
import { fileName, firstBatchTimestamp, parseFileName, Segment } from './segment.ts'
import { cutTail, flushFound } from './torn-tail.ts'
import { readUnreplayed, removeUnreplayed } from './unreplayed.ts'

export interface RecoveryInput {
  readonly dir: string
  readonly topicId: string
  readonly name: string
  readonly config: LogConfig
  readonly logStartOffset: number
  /** Whether that is certain: a checkpoint may be lost. */
  readonly isStartKnown: boolean
  /** Everything below was flushed; 0 if unknown. */
  readonly recoveryPoint: number
  /** The indexes below are flushed too, and a snapshot of the producers was taken there; 0 if unknown. */
  readonly scanFrom: number
  /** After a clean stop no CRC is verified: all of it was flushed. */
  readonly clean: boolean
  /** Journal entries of this partition, oldest first. */
  readonly journal: readonly JournalledEntry[]
}

export interface Recovered {
  readonly log: Log
  /** What was done beyond opening, one sentence each, for the operator. */
  readonly notes: string[]
  /** Files were made: the caller flushes the folder and the one above before anything is acknowledged. */
  readonly isNew: boolean
}

/**
 * Opens a partition's log: replays its journal entries, verifies what was not known to be flushed, and cuts a torn tail.
 * Only the last segment can have one: a segment is flushed before the next is made. Throws CorruptLog on damage to what
 * was durable.
 */
export function recover(files: FileSystem, input: RecoveryInput): Recovered {
  const notes: string[] = []
  if (!files.exists(input.dir)) files.mkdir(input.dir)
  checkTopicId(files, input)
  notes.push(...mendCompactionCheckpoint(files, input.dir))
  const compacted = finishSwap(files, input.dir)
  const bases = listSegments(files, input, notes)
  const unreplayed = readUnreplayed(files, input.dir)
  refuseMissing(input, bases, compacted.cleaned)
  const active = bases.at(-1) ?? Number.POSITIVE_INFINITY
  const { cleanedOffset, cleaned } = forgetCleaned(files, input.dir, active)
  const known = { ...input, bases, cleaned }
  const durable = replay(files, known, [...unreplayed, ...input.journal])
  const log = openLog(files, { ...known, cleanedOffset }, durable, notes)
  if (unreplayed.length > 0) {
    removeUnreplayed(files, input.dir)
    notes.push(`${input.name}: replayed ${unreplayed.length} journal entries of an earlier run`)
  }
  return { log, notes, isNew: bases.length === 0 }
}

/** Opens the segments that there are, with all that belongs to them. */
export function openLog(
  files: FileSystem,
  input: SegmentsToOpen & { readonly cleanedOffset: number },
  durable: Durable,
  notes: string[],
): Log {
  const { dir, name, config, cleanedOffset } = input
  const epochs = new LeaderEpochs(files, join(dir, LEADER_EPOCHS))
  const opened = openSegments(files, input, durable, epochs, notes)
  const { nextOffset } = opened
  const start = Math.max(input.logStartOffset, opened.segments[0]!.baseOffset)
  const logStartOffset = Math.min(start, nextOffset)
  epochs.truncateFromEnd(nextOffset)
  epochs.truncateFromStart(logStartOffset)
  return new Log(files, dir, name, config, { ...opened, epochs, logStartOffset, cleanedOffset })
}

/**
 * The base offsets of the segments. Those wholly below the log's start were being removed when a crash came, in any
 * order: they are removed now, as are temporary files and what compaction has not finished.
 */
function listSegments(files: FileSystem, input: RecoveryInput, notes: string[]): number[] {
  const names = files.readdir(input.dir)
  const bases = names
    .map(name => parseFileName(name, 'log'))
    .filter(base => base !== null)
    .sort((a, b) => a - b)
  const first = Math.max(
    0,
    bases.findLastIndex(base => base <= input.logStartOffset),
  )
  const doomed = new Set(bases.slice(0, first).map(base => fileName(base, '')))
  if (doomed.size > 0) notes.push(`${input.name}: removed ${doomed.size} segments below its start`)
  for (const name of names) {
    const isDoomed = doomed.has(name.slice(0, 21)) && /\.(log|index|timeindex|txnindex)$/.test(name)
    const isUnfinished = [CLEANED, DELETED, '.tmp'].some(ending => name.endsWith(ending))
    if (isDoomed || isUnfinished) files.unlink(join(input.dir, name))
  }
  return bases.slice(first)
}

/**
 * What is not there must have been removed on purpose: from the front, up to the log's start, or from the end, by a truncation
 * before which recoveryPoint was lowered.
 */
function refuseMissing(
  { name, logStartOffset, isStartKnown, recoveryPoint }: RecoveryInput,
  bases: readonly number[],
  cleaned: Readonly<Record<number, number>>,
): void {
  const first = bases[0]
  if (first === undefined) return
  if (isStartKnown && first > logStartOffset) {
    throw new CorruptLog(
      `${name}: the log starts at offset ${logStartOffset}, but its first segment at ${first}: those before it are missing`,
    )
  }
  const end = recoveryPoint === 0 ? Number.POSITIVE_INFINITY : recoveryPoint
  const missing = Object.keys(cleaned)
    .map(Number)
    .find(base => base > first && base < end && !bases.includes(base))
  if (missing !== undefined) throw new CorruptLog(`${name}: segment ${missing} is missing`)
}

/** What is needed of a partition and its folder to open its segments. */
export type SegmentsToOpen = Omit<RecoveryInput, 'topicId' | 'isStartKnown' | 'journal'> &
  ReplayInput

interface Opened {
  readonly segments: Segment[]
  readonly producers: ProducerState
  readonly nextOffset: number
  readonly scanFrom: number
  readonly scanPosition: number
  readonly recoveryPoint: number
}

function openSegments(
  files: FileSystem,
  input: SegmentsToOpen,
  durable: Durable,
  epochs: LeaderEpochs,
  notes: string[],
): Opened {
  const { bases } = input
  const last = bases.at(-1)
  if (last === undefined) {
    if (durable.endOffset > input.logStartOffset) {
      throw new CorruptLog(
        `${input.name}: all segments are missing, of ${durable.endOffset} records`,
      )
    }
    const first = Segment.create(files, input.dir, input.logStartOffset)
    return {
      segments: [first],
      producers: new ProducerState(),
      nextOffset: input.logStartOffset,
      scanFrom: input.logStartOffset,
      scanPosition: 0,
      recoveryPoint: input.logStartOffset,
    }
  }
  const snapshot = learntSoFar(files, input, bases, notes)
  const wasWritten = bases.length > 1 || input.scanFrom > last
  const isRelearning = epochs.file === 'damaged' || (epochs.file === 'missing' && wasWritten)
  if (isRelearning) notes.push(`${input.name}: learnt the leader epochs from the batches again`)
  const segments = bases
    .slice(0, -1)
    .map((base, i) => openClosedSegment(files, input, base, bases[i + 1]!, snapshot.offset, notes))
  // Index entries, and one for each segment's first batch, in this segment and all behind it.
  const behind = segments.map(s => s.offsetIndex.bytes / 8 + 1)
  for (let i = behind.length - 2; i >= 0; i--) behind[i]! += behind[i + 1]!
  for (const [i, segment] of segments.entries()) {
    const isNews = bases[i + 1]! > snapshot.offset || isRelearning
    if (isNews) {
      learn(files, input, segment, 0, snapshot, epochs)
      if (segment.aborted.waitingBytes > 0) segment.aborted.write(true)
    } else if ((behind[i + 1] ?? 0) < RECALL_ENTRIES) {
      recallFrom(files, input, segment, snapshot, epochs)
    }
  }
  const from = isRelearning ? last : Math.max(last, Math.min(input.scanFrom, snapshot.offset))
  const start = { base: last, from, durable }
  const active = openActiveSegment(files, input, start, snapshot, epochs, notes)
  segments.push(active.segment)
  const { nextOffset, recoveryPoint, scanPosition } = active
  const producers = snapshot.state
  return { segments, producers, nextOffset, recoveryPoint, scanFrom: from, scanPosition }
}

interface ActiveStart {
  readonly base: number
  /** The offset from which on indexes, producers and epochs are made again. */
  readonly from: number
  readonly durable: Durable
}

function openActiveSegment(
  files: FileSystem,
  input: SegmentsToOpen,
  { base, from, durable }: ActiveStart,
  snapshot: Snapshot,
  epochs: LeaderEpochs,
  notes: string[],
): { segment: Segment; nextOffset: number; recoveryPoint: number; scanPosition: number } {
  const fd = files.open(join(input.dir, fileName(base, 'log')), 'write')
  try {
    const size = files.size(fd)
    const flushed = input.clean ? Number.MAX_SAFE_INTEGER : durable.flushedOffset
    const start = startOfScan(files, input.dir, base, size, from)
    const abortedBytes = abortedBytesBelow(files, input.dir, base, snapshot.offset)
    const segment = new Segment(files, input.dir, base, { size, abortedBytes, ...start })
    resumeTimes(segment, start.times)
    let nextOffset = base
    // A relaxed topic's records were acknowledged unflushed and may stay so: only a durable topic's tail is flushed now.
    const isRelaxed = !input.clean && input.config.flushMessages > 1
    const safeOffset = isRelaxed ? Math.max(flushed, durable.endOffset) : flushed
    let safePosition = start.position
    let last = start.position
    const scan = scanBatches(
      files,
      fd,
      start.position,
      base,
      lastOffset => lastOffset >= flushed,
      (buffer, at, position) => {
        segment.note(buffer, position, at)
        learnBatch(buffer, at, segment, snapshot, epochs)
        nextOffset = batch.lastOffset(buffer, at) + 1
        last = position
        if (nextOffset <= safeOffset) safePosition = position + batch.batchBytes(buffer, at)
      },
      !input.config.hasGaps,
    )
    if (nextOffset < durable.endOffset || scan.isMisplaced) {
      const damage = scan.damage ?? `it ends before offset ${durable.endOffset}`
      throw damaged(input.name, base, scan.end, damage)
    }
    if (scan.damage !== null) {
      if (input.clean) throw damaged(input.name, base, scan.end, scan.damage)
      refuseWrongEnd(files, fd, input.name, base, last, scan.end)
      cutTail(files, input, { fd, base, size, position: scan.end }, scan.damage, notes)
      segment.size = scan.end
    }
    if (!input.clean && !isRelaxed) flushFound(files, fd, safePosition, segment.size)
    segment.firstTimestamp = firstBatchTimestamp(files, fd, segment.size)
    segment.flushedBytes = isRelaxed ? safePosition : segment.size
    segment.writeIndexes(false)
    const recoveryPoint = isRelaxed ? Math.min(safeOffset, nextOffset) : nextOffset
    return { segment, nextOffset, recoveryPoint, scanPosition: start.position }
  } finally {
    files.close(fd)
  }
}

/** Before a tail is cut off: whether the batch in front of it ends there, which only its checksum tells, that may not have been looked at. */
function refuseWrongEnd(
  files: FileSystem,
  fd: number,
  name: string,
  base: number,
  from: number,
  to: number,
): void {
  if (from === to) return
  const last = Buffer.alloc(to - from)
  files.read(fd, last, 0, last.length, from)
  if (batch.computeCrc(last) === batch.storedCrc(last)) return
  throw damaged(name, base, from, 'a batch does not match its CRC')
}
