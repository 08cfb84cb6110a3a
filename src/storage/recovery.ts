import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_LAST_DELTA,
  ENTRY_PAYLOAD,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
  KIND_MARK,
} from '../shared/entry.ts'
import { scanBatches } from './batch-scanner.ts'
import { type FileSystem, readFile } from './fs.ts'
import { IndexFile } from './index-file.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import { Log, type LogConfig } from './log.ts'
import { ProducerState } from './producer-state.ts'
import { fileName, INDEX_INTERVAL_BYTES, parseFileName, Segment } from './segment.ts'

/** Damage below what was durable: nothing is cut, the partition stays offline until an operator decides. */
export class CorruptLog extends Error {
  override readonly name = 'CorruptLog'
}

export interface RecoveryInput {
  readonly dir: string
  readonly topicId: string
  readonly name: string
  readonly config: LogConfig
  readonly logStartOffset: number
  /** Everything below was flushed; 0 if unknown. */
  readonly recoveryPoint: number
  /** The indexes below are flushed too, and a snapshot of the producers was taken there; 0 if unknown. */
  readonly scanFrom: number
  /** After a clean stop no CRC is verified: all of it was flushed. */
  readonly clean: boolean
  /** Journal entries of this partition, oldest first. */
  readonly journal: readonly Buffer[]
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
  if (!files.exists(input.dir)) {
    files.mkdir(input.dir)
  }
  checkTopicId(files, input)
  const bases = listSegments(files, input.dir)
  const durable = replay(files, input, bases)
  const epochs = new LeaderEpochs(files, join(input.dir, 'leader-epoch-checkpoint'))
  if (epochs.wasDamaged)
    notes.push(`${input.name}: learnt the leader epochs from the batches again`)
  const opened = openSegments(files, input, bases, durable, epochs, notes)
  epochs.truncateFromEnd(opened.nextOffset)
  const logStartOffset = Math.max(input.logStartOffset, opened.segments[0]!.baseOffset)
  const log = new Log(files, input.dir, input.name, input.config, {
    ...opened,
    epochs,
    logStartOffset: Math.min(logStartOffset, opened.nextOffset),
  })
  return { log, notes, isNew: bases.length === 0 }
}

/**
 * `partition.metadata` says in Kafka's format whose folder this is (PartitionMetadataFile.java). It is not flushed: a
 * file that a crash left unfinished counts as missing.
 */
function checkTopicId(files: FileSystem, input: RecoveryInput): void {
  const path = join(input.dir, 'partition.metadata')
  const content = files.exists(path) ? readFile(files, path).toString('utf8') : ''
  const found = /^topic_id: ([\w-]{22})$/m.exec(content)?.[1]
  if (found === undefined) {
    const fd = files.open(path, 'create')
    files.truncate(fd, 0)
    files.write(fd, [Buffer.from(`version: 0\ntopic_id: ${input.topicId}`)], 0)
    files.close(fd)
  } else if (found !== input.topicId) {
    throw new CorruptLog(`${input.name}: ${path} names topic id ${found}, not ${input.topicId}`)
  }
}

function listSegments(files: FileSystem, dir: string): number[] {
  const bases: number[] = []
  for (const name of files.readdir(dir)) {
    const base = parseFileName(name, 'log')
    if (base !== null) bases.push(base)
  }
  return bases.sort((a, b) => a - b)
}

/** What is certain to be on disk: all below `flushedOffset`; `endOffset` is the end of what was ever acknowledged. */
interface Durable {
  readonly flushedOffset: number
  readonly endOffset: number
}

/** Writes the partition's journalled batches where they belong, and flushes them. */
function replay(files: FileSystem, input: RecoveryInput, bases: readonly number[]): Durable {
  const entries = input.journal.map(parseEntry)
  let flushedOffset = input.recoveryPoint
  for (const entry of entries) {
    if (entry.isMark) flushedOffset = Math.max(flushedOffset, entry.endOffset)
  }
  let endOffset = flushedOffset
  const open = new Map<number, number>()
  try {
    for (const entry of entries) {
      if (entry.isMark || entry.endOffset <= flushedOffset) continue
      // A segment below the first one was removed on purpose (retention, DeleteRecords): so were its records.
      if (entry.segmentBase < (bases[0] ?? 0)) continue
      if (!bases.includes(entry.segmentBase)) {
        throw new CorruptLog(`${input.name}: segment ${entry.segmentBase} is missing`)
      }
      let fd = open.get(entry.segmentBase)
      if (fd === undefined) {
        fd = files.open(join(input.dir, fileName(entry.segmentBase, 'log')), 'write')
        open.set(entry.segmentBase, fd)
      }
      if (files.size(fd) < entry.position) {
        throw new CorruptLog(
          `${input.name}: segment ${entry.segmentBase} ends at byte ${files.size(fd)}, but flushed records follow at ${entry.position}`,
        )
      }
      files.write(fd, [entry.bytes], entry.position)
      endOffset = Math.max(endOffset, entry.endOffset)
    }
    for (const fd of open.values()) files.fdatasync(fd)
  } finally {
    for (const fd of open.values()) files.close(fd)
  }
  return { flushedOffset, endOffset }
}

function parseEntry(entry: Buffer) {
  const baseOffset = entry.readDoubleLE(ENTRY_BASE_OFFSET_F64 * 8)
  const payload = entry.readUInt32LE(ENTRY_PAYLOAD * 4)
  return {
    isMark: entry.readUInt32LE(ENTRY_KIND * 4) === KIND_MARK,
    segmentBase: entry.readDoubleLE(ENTRY_SEGMENT_F64 * 8),
    position: entry.readUInt32LE(ENTRY_POSITION * 4),
    endOffset: baseOffset + entry.readInt32LE(ENTRY_LAST_DELTA * 4) + 1,
    bytes: entry.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + payload),
  }
}

interface Opened {
  readonly segments: Segment[]
  readonly producers: ProducerState
  readonly nextOffset: number
  readonly scanFrom: number
  readonly scanPosition: number
}

function openSegments(
  files: FileSystem,
  input: RecoveryInput,
  bases: readonly number[],
  durable: Durable,
  epochs: LeaderEpochs,
  notes: string[],
): Opened {
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
    }
  }
  const snapshot = loadSnapshot(files, input.dir)
  const segments: Segment[] = []
  for (const base of bases.slice(0, -1)) {
    const segment = openClosedSegment(files, input, base, notes)
    segments.push(segment)
    if (base >= snapshot.offset || epochs.wasDamaged) learn(files, segment, snapshot, epochs)
  }
  const active = openActiveSegment(files, input, last, durable, snapshot, epochs, notes)
  segments.push(active.segment)
  const { nextOffset, scanFrom, scanPosition } = active
  return { segments, producers: snapshot.state, nextOffset, scanFrom, scanPosition }
}

interface Snapshot {
  readonly offset: number
  readonly state: ProducerState
}

/** The newest whole snapshot of the producers; an empty one as of the beginning if there is none. */
function loadSnapshot(files: FileSystem, dir: string): Snapshot {
  const offsets = files
    .readdir(dir)
    .map(name => parseFileName(name, 'snapshot'))
    .filter(offset => offset !== null)
    .sort((a, b) => b - a)
  for (const offset of offsets) {
    const state = ProducerState.decode(readFile(files, join(dir, fileName(offset, 'snapshot'))))
    if (state !== null) return { offset, state }
  }
  return { offset: 0, state: new ProducerState() }
}

/** Opens a segment that is not the last: its indexes are taken as they are if their sizes can be right. */
function openClosedSegment(
  files: FileSystem,
  input: RecoveryInput,
  base: number,
  notes: string[],
): Segment {
  const size = fileSize(files, join(input.dir, fileName(base, 'log'))) ?? 0
  const indexBytes = fileSize(files, join(input.dir, fileName(base, 'index')))
  const timesPath = join(input.dir, fileName(base, 'timeindex'))
  const times = files.exists(timesPath) ? readTail(files, timesPath, 12) : null
  const isWhole = (bytes: number | null, entry: number): boolean =>
    bytes !== null && bytes % entry === 0 && (bytes > 0 || size <= 2 * INDEX_INTERVAL_BYTES)
  if (times !== null && isWhole(indexBytes, 8) && times.size % 12 === 0) {
    const segment = new Segment(files, input.dir, base, {
      size,
      offsetIndexBytes: indexBytes!,
      timeIndexBytes: times.size,
    })
    resumeTimes(segment, times.tail)
    return segment
  }
  notes.push(`${input.name}: rebuilt the indexes of segment ${base}`)
  return rebuildIndexes(files, input, base)
}

/** Makes both indexes of a closed segment again from its batches. */
export function rebuildIndexes(
  files: FileSystem,
  log: { readonly dir: string; readonly name: string },
  base: number,
): Segment {
  const fd = files.open(join(log.dir, fileName(base, 'log')), 'read')
  try {
    const state = { size: files.size(fd), offsetIndexBytes: 0, timeIndexBytes: 0 }
    const segment = new Segment(files, log.dir, base, state)
    const visit = (buffer: Buffer, at: number, position: number): void =>
      segment.note(buffer, position, at)
    const scan = scanBatches(files, fd, 0, base, () => false, visit)
    if (scan.damage !== null) throw damaged(log.name, base, scan.end, scan.damage)
    segment.sealIndexes()
    return segment
  } finally {
    files.close(fd)
  }
}

function fileSize(files: FileSystem, path: string): number | null {
  if (!files.exists(path)) return null
  const fd = files.open(path, 'read')
  try {
    return files.size(fd)
  } finally {
    files.close(fd)
  }
}

function readTail(files: FileSystem, path: string, bytes: number): { size: number; tail: Buffer } {
  const fd = files.open(path, 'read')
  try {
    const size = files.size(fd)
    const tail = Buffer.alloc(Math.min(bytes, size))
    files.read(fd, tail, 0, tail.length, size - tail.length)
    return { size, tail }
  } finally {
    files.close(fd)
  }
}

function damaged(name: string, base: number, position: number, damage: string): CorruptLog {
  return new CorruptLog(
    `${name}: segment ${base} is damaged at byte ${position}, below its durable end: ${damage}; nothing was cut`,
  )
}

function resumeTimes(segment: Segment, times: Buffer): void {
  if (times.length < 12) return
  const at = times.length - 12
  const offset = segment.baseOffset + times.readInt32BE(at + 8)
  segment.resumeTimestamps(batch.readInt64(times, at), offset)
}

/** Learns producers and epochs from the batches of a closed segment. */
function learn(
  files: FileSystem,
  segment: Segment,
  snapshot: Snapshot,
  epochs: LeaderEpochs,
): void {
  const fd = files.open(segment.path, 'read')
  try {
    const visit = (buffer: Buffer, at: number): void => learnBatch(buffer, at, snapshot, epochs)
    scanBatches(files, fd, 0, segment.baseOffset, () => false, visit)
  } finally {
    files.close(fd)
  }
}

function learnBatch(buffer: Buffer, at: number, snapshot: Snapshot, epochs: LeaderEpochs): void {
  const baseOffset = batch.baseOffset(buffer, at)
  if (baseOffset >= snapshot.offset) snapshot.state.update(buffer, at)
  epochs.note(batch.leaderEpoch(buffer, at), baseOffset)
}

function openActiveSegment(
  files: FileSystem,
  input: RecoveryInput,
  base: number,
  durable: Durable,
  snapshot: Snapshot,
  epochs: LeaderEpochs,
  notes: string[],
): { segment: Segment; nextOffset: number; scanFrom: number; scanPosition: number } {
  const path = join(input.dir, fileName(base, 'log'))
  const fd = files.open(path, 'write')
  try {
    const size = files.size(fd)
    const flushed = input.clean ? Number.MAX_SAFE_INTEGER : durable.flushedOffset
    const from = Math.max(base, Math.min(input.scanFrom, snapshot.offset))
    const start = startOfScan(files, input.dir, base, size, from)
    const segment = new Segment(files, input.dir, base, { size, ...start })
    resumeTimes(segment, start.times)
    segment.firstTimestamp = firstTimestamp(files, fd, size)
    let nextOffset = start.nextOffset
    const scan = scanBatches(
      files,
      fd,
      start.position,
      nextOffset,
      lastOffset => lastOffset >= flushed,
      (buffer, at, position) => {
        segment.note(buffer, position, at)
        learnBatch(buffer, at, snapshot, epochs)
        nextOffset = batch.lastOffset(buffer, at) + 1
      },
    )
    const mustReach = input.clean ? 0 : durable.endOffset
    if (scan.damage !== null) {
      if (input.clean || nextOffset < mustReach) {
        throw damaged(input.name, base, scan.end, scan.damage)
      }
      cutTail(files, input, { fd, base, size, position: scan.end }, scan.damage, notes)
      segment.size = scan.end
    } else if (nextOffset < mustReach) {
      throw damaged(input.name, base, scan.end, `it ends before offset ${mustReach}`)
    }
    // Whatever was found may be in the page cache only: what is served from now on must not vanish.
    if (!input.clean) files.fdatasync(fd)
    segment.flushedBytes = segment.size
    segment.writeIndexes(false)
    return { segment, nextOffset, scanFrom: from, scanPosition: start.position }
  } finally {
    files.close(fd)
  }
}

/** The last index entries at or below the offset: the scan starts there and makes what follows again. */
function startOfScan(files: FileSystem, dir: string, base: number, size: number, from: number) {
  const index = IndexFile.read(files, join(dir, fileName(base, 'index')))
  const times = IndexFile.read(files, join(dir, fileName(base, 'timeindex')))
  const none = { position: 0, nextOffset: base, offsetIndexBytes: 0, timeIndexBytes: 0 }
  if (index === null || times === null || times.length % 12 !== 0) {
    return { ...none, times: Buffer.alloc(0) }
  }
  let count = 0
  let position = 0
  let lastOffset = -1
  while ((count + 1) * 8 <= index.length) {
    const relative = index.readInt32BE(count * 8)
    const at = index.readUInt32BE(count * 8 + 4)
    const rises = relative > lastOffset && at > position
    if (!rises || at >= size || base + relative >= from) break
    position = at
    lastOffset = relative
    count++
  }
  if (count === 0) return { ...none, times: Buffer.alloc(0) }
  let timesKept = 0
  while ((timesKept + 1) * 12 <= times.length) {
    if (times.readInt32BE(timesKept * 12 + 8) > lastOffset) break
    timesKept++
  }
  return {
    position,
    // The entry names the last offset of the batch at its position; the scan learns the first one from the batch.
    nextOffset: base,
    offsetIndexBytes: count * 8,
    timeIndexBytes: timesKept * 12,
    times: times.subarray(0, timesKept * 12),
  }
}

function firstTimestamp(files: FileSystem, fd: number, size: number): number {
  if (size < batch.BATCH_HEADER_BYTES) return -1
  const header = Buffer.alloc(batch.BATCH_HEADER_BYTES)
  files.read(fd, header, 0, header.length, 0)
  return batch.maxTimestamp(header)
}

/** Copies what is behind `position` to a `.torn` file, then cuts it off, durably. */
function cutTail(
  files: FileSystem,
  input: RecoveryInput,
  tail: { fd: number; base: number; size: number; position: number },
  damage: string,
  notes: string[],
): void {
  const bytes = Buffer.alloc(tail.size - tail.position)
  files.read(tail.fd, bytes, 0, bytes.length, tail.position)
  const copy = join(input.dir, `${fileName(tail.base, 'log')}.${tail.position}.torn`)
  const fd = files.open(copy, 'create')
  try {
    files.truncate(fd, 0)
    files.write(fd, [bytes], 0)
    files.fdatasync(fd)
  } finally {
    files.close(fd)
  }
  files.truncate(tail.fd, tail.position)
  files.fdatasync(tail.fd)
  files.fsyncDir(input.dir)
  notes.push(
    `${input.name}: cut ${bytes.length} bytes of a torn tail off segment ${tail.base} at byte ${tail.position} (${damage}); a copy is in ${copy}`,
  )
}
