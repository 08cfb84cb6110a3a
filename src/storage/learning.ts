import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { lackAborted } from './aborted-checkpoint.ts'
import { scanBatches } from './batch-scanner.ts'
import type { LogFolder } from './closed-segment.ts'
import { damaged } from './corrupt-log.ts'
import { type FileSystem, readFile } from './fs.ts'
import { IndexFile } from './index-file.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log.ts'
import { decodeProducers } from './producer-snapshot.ts'
import { type EndedTransaction, ProducerState } from './producer-state.ts'
import { fileName, parseFileName, type Segment } from './segment.ts'

/**
 * Walked in front of a snapshot of the producers, for the batches that it does not name: so many index entries, each
 * of which stands for 4 KiB of small batches or for one larger batch.
 */
export const RECALL_ENTRIES = 32

export interface Snapshot {
  readonly offset: number
  readonly state: ProducerState
}

/**
 * From where on producers and aborted transactions are learnt from the batches: behind the newest snapshot, or, if an index of aborted
 * transactions is lost, from the beginning.
 */
export function learntSoFar(
  files: FileSystem,
  { dir, name }: LogFolder,
  bases: readonly number[],
  notes: string[],
): Snapshot {
  if (!lackAborted(files, dir, bases)) return loadSnapshot(files, dir)
  notes.push(`${name}: learnt which transactions were aborted from the batches again`)
  return { offset: 0, state: new ProducerState() }
}

/** The newest whole snapshot of the producers; an empty one as of the beginning if there is none. */
export function loadSnapshot(files: FileSystem, dir: string): Snapshot {
  const offsets = files
    .readdir(dir)
    .map(name => parseFileName(name, 'snapshot'))
    .filter(offset => offset !== null)
    .sort((a, b) => b - a)
  for (const offset of offsets) {
    const state = decodeProducers(readFile(files, join(dir, fileName(offset, 'snapshot'))))
    if (state !== null) return { offset, state }
  }
  return { offset: 0, state: new ProducerState() }
}

/** A log, and where offsets may be missing in it: everywhere, or in and behind what compaction has written. */
interface LearntLog extends LogFolder {
  readonly config: Pick<LogConfig, 'hasGaps'>
  readonly cleaned: Readonly<Record<number, number>>
}

/** Learns producers and epochs from the batches of a closed segment, from a batch's position on. */
export function learn(
  files: FileSystem,
  input: LearntLog,
  segment: Segment,
  position: number,
  snapshot: Snapshot,
  epochs: LeaderEpochs,
): void {
  const { baseOffset } = segment
  const fd = files.open(segment.path, 'read')
  try {
    const visit = (buffer: Buffer, at: number): void =>
      learnBatch(buffer, at, segment, snapshot, epochs)
    const isGapless = !input.config.hasGaps && input.cleaned[baseOffset] === undefined
    const scan = scanBatches(files, fd, position, baseOffset, () => false, visit, isGapless)
    if (scan.damage !== null) throw damaged(input.name, baseOffset, scan.end, scan.damage)
  } finally {
    files.close(fd)
  }
}

/** The segments behind it may have too few batches for the producers' last 5: the end of this one is walked too. */
export function recallFrom(
  files: FileSystem,
  input: LearntLog,
  segment: Segment,
  snapshot: Snapshot,
  epochs: LeaderEpochs,
): void {
  if (snapshot.state.producers.size === 0) return
  const { size, baseOffset } = segment
  const start = startOfScan(files, input.dir, baseOffset, size, Number.MAX_SAFE_INTEGER)
  learn(files, input, segment, start.position, snapshot, epochs)
}

export function learnBatch(
  buffer: Buffer,
  at: number,
  segment: Segment,
  { offset, state }: Snapshot,
  epochs: LeaderEpochs,
): void {
  const baseOffset = batch.baseOffset(buffer, at)
  if (baseOffset >= offset) {
    const ended = state.update(buffer, at)
    if (ended !== null) noteEnded(segment, ended, state)
  } else state.recall(buffer, at)
  epochs.note(batch.leaderEpoch(buffer, at), baseOffset)
}

/** A marker in the segment has ended a transaction. @returns whether it was aborted */
export function noteEnded(
  segment: Segment,
  { isCommit, producerId, firstOffset, lastOffset }: EndedTransaction,
  { firstUndecided }: ProducerState,
): boolean {
  if (isCommit) return false
  const lastStableOffset = Math.min(firstUndecided, lastOffset + 1)
  segment.noteAborted({ producerId, firstOffset, lastOffset, lastStableOffset })
  return true
}

/**
 * Where the scan starts that makes everything from `from` on again: at an index entry at or below it, by RECALL_ENTRIES
 * earlier so that producers' older batches are met, and only if the batch is there that the entry names.
 */
export function startOfScan(
  files: FileSystem,
  dir: string,
  base: number,
  size: number,
  from: number,
) {
  const index = IndexFile.read(files, join(dir, fileName(base, 'index')))
  const times = IndexFile.read(files, join(dir, fileName(base, 'timeindex')))
  const none = { position: 0, offsetIndexBytes: 0, timeIndexBytes: 0, times: Buffer.alloc(0) }
  if (index === null || times === null || times.length % 12 !== 0) return none
  const entries: { offset: number; position: number }[] = []
  for (let at = 0; at + 8 <= index.length; at += 8) {
    const entry = { offset: base + index.readInt32BE(at), position: index.readUInt32BE(at + 4) }
    const last = entries.at(-1) ?? { offset: base - 1, position: 0 }
    const rises = entry.offset > last.offset && entry.position > last.position
    if (!rises || entry.position >= size || entry.offset >= from) break
    entries.push(entry)
  }
  entries.splice(Math.max(0, entries.length - RECALL_ENTRIES))
  const start = entries.at(-1)
  if (start === undefined || !isBatchAt(files, dir, base, start)) return none
  let timesKept = 0
  while ((timesKept + 1) * 12 <= times.length) {
    if (base + times.readInt32BE(timesKept * 12 + 8) > start.offset) break
    timesKept++
  }
  return {
    position: start.position,
    offsetIndexBytes: entries.length * 8,
    timeIndexBytes: timesKept * 12,
    times: times.subarray(0, timesKept * 12),
  }
}

/** Whether a batch that ends with the offset starts at the position. */
function isBatchAt(
  files: FileSystem,
  dir: string,
  base: number,
  entry: { offset: number; position: number },
): boolean {
  const fd = files.open(join(dir, fileName(base, 'log')), 'read')
  try {
    const header = Buffer.alloc(batch.BATCH_HEADER_BYTES)
    const read = files.read(fd, header, 0, header.length, entry.position)
    if (read < header.length || batch.magic(header) !== batch.MAGIC_V2) return false
    return batch.lastOffset(header) === entry.offset
  } finally {
    files.close(fd)
  }
}
