import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { isUnreadable, readRecords } from '../protocol/records.ts'
import type { FileSystem } from './fs.ts'
import { fileName } from './segment.ts'

/** What of a partition is searched. Offsets: logStartOffset <= offset < endOffset. */
export interface SearchInput {
  readonly dir: string
  /** Oldest first; `size`: bytes that are written. */
  readonly segments: readonly { readonly base: number; readonly size: number }[]
  readonly logStartOffset: number
  readonly endOffset: number
  /** The most that one batch may take when decompressed. */
  readonly contentBytesMax?: number
}

export interface Found {
  readonly offset: number
  /** ms */
  readonly timestamp: number
  readonly leaderEpoch: number
}

/** The log does not hold whole batches where it should. */
export class DamagedSegment extends Error {
  override readonly name = 'DamagedSegment'
}

/** 16 batches of Kafka's default message.max.bytes. */
const CONTENT_BYTES_MAX = 16 * 1024 * 1024
/** Read at once: many small batches, or the header of a large one. */
const READ_BYTES = 64 * 1024
const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12

/**
 * The first record at or after `target` (ms), or null. As Kafka (UnifiedLog.fetchOffsetByTimestamp), except that a later
 * segment is searched too where the headers of an earlier one promised what its records do not keep.
 * A batch whose records cannot be read answers as a whole, by its base offset: it must not hide the rest of the log.
 * @throws DamagedSegment; what the file system throws, except that a segment that is gone is passed over
 */
export async function findByTimestamp(
  files: FileSystem,
  input: SearchInput & { readonly target: number },
): Promise<Found | null> {
  const { target, logStartOffset } = input
  for (const { base, size } of input.segments) {
    const segment = openSegment(files, input, base, size)
    if (segment === null) continue
    try {
      const older = lastTimeEntry(segment, entry => batch.readInt64(entry, 0) < target)
      const start = positionOf(segment, Math.max(logStartOffset, older))
      for (const { header, position } of visibleBatches(segment, start, input)) {
        if (batch.maxTimestamp(header) < target) continue
        const records = await visibleRecords(segment, header, position, input)
        const found = records.find(record => record.timestamp >= target)
        if (found !== undefined) return found
      }
    } finally {
      files.close(segment.fd)
    }
  }
  return null
}

/**
 * The first of the records with the largest timestamp, or null if none has one (ListOffsets -3, KIP-734). The headers'
 * largest timestamps are believed; only the batch that wins is looked into.
 * @throws as findByTimestamp
 */
export async function findMaxTimestamp(
  files: FileSystem,
  input: SearchInput,
): Promise<Found | null> {
  let best: Found | null = null
  // Newest first: as a rule nothing older wins, and one batch is decompressed. Of equals the older one counts.
  for (const { base, size } of input.segments.toReversed()) {
    const segment = openSegment(files, input, base, size)
    if (segment === null) continue
    try {
      const found = await newestOf(segment, input, best?.timestamp ?? 0)
      if (found !== null && found.timestamp >= (best?.timestamp ?? 0)) best = found
    } finally {
      files.close(segment.fd)
    }
  }
  return best
}

/** The first of the newest records of one segment, if it is not older than `atLeast`. */
async function newestOf(
  segment: OpenSegment,
  input: SearchInput,
  atLeast: number,
): Promise<Found | null> {
  const { logStartOffset, endOffset } = input
  // What the time index knows of records below the log's start is of no use: then the segment is scanned from there.
  const isWhole = segment.base >= logStartOffset
  const newest = isWhole
    ? lastTimeEntry(segment, e => segment.base + e.readInt32BE(8) < endOffset)
    : 0
  let best: Found | null = null
  let candidate: BatchAt | null = null
  let newestTimestamp = atLeast - 1
  const start = positionOf(segment, Math.max(logStartOffset, newest))
  for (const { header, position } of visibleBatches(segment, start, input)) {
    const timestamp = batch.maxTimestamp(header)
    if (timestamp <= newestTimestamp) continue
    if (batch.baseOffset(header) < logStartOffset) {
      best = firstNewest(await visibleRecords(segment, header, position, input))
      newestTimestamp = Math.max(newestTimestamp, best?.timestamp ?? batch.NO_TIMESTAMP)
    } else {
      candidate = { header: Buffer.from(header), position }
      newestTimestamp = timestamp
    }
  }
  if (candidate === null) return best
  return firstNewest(await visibleRecords(segment, candidate.header, candidate.position, input))
}

function firstNewest(records: readonly Found[]): Found | null {
  let newest: Found | null = null
  for (const record of records) {
    if (record.timestamp > (newest?.timestamp ?? batch.NO_TIMESTAMP)) newest = record
  }
  return newest
}

interface OpenSegment {
  readonly files: FileSystem
  readonly dir: string
  readonly base: number
  readonly fd: number
  /** Bytes to look at. */
  readonly size: number
}

/** Null if retention has removed the segment meanwhile. */
function openSegment(
  files: FileSystem,
  { dir }: SearchInput,
  base: number,
  size: number,
): OpenSegment | null {
  const fd = openIfExists(files, join(dir, fileName(base, 'log')))
  if (fd === null) return null
  return { files, dir, base, fd, size: Math.min(size, files.size(fd)) }
}

function openIfExists(files: FileSystem, path: string): number | null {
  try {
    return files.open(path, 'read')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Offset of the last entry of the time index that `isBefore` the wanted one; the segment's base if there is none. */
function lastTimeEntry(segment: OpenSegment, isBefore: (entry: Buffer) => boolean): number {
  const entry = lastEntry(segment, 'timeindex', TIME_ENTRY_BYTES, isBefore)
  return entry === null ? segment.base : segment.base + entry.readInt32BE(8)
}

/** Where to start reading to see everything from `offset` on: by the offset index if it is right, else the beginning. */
function positionOf(segment: OpenSegment, offset: number): number {
  const entry = lastEntry(
    segment,
    'index',
    OFFSET_ENTRY_BYTES,
    entry => segment.base + entry.readInt32BE(0) <= offset,
  )
  if (entry === null) return 0
  const position = entry.readUInt32BE(4)
  if (position + batch.BATCH_HEADER_BYTES > segment.size) return 0
  const header = Buffer.alloc(batch.BATCH_HEADER_BYTES)
  segment.files.read(segment.fd, header, 0, header.length, position)
  // The index may be older than the segment: its word is taken only if that batch is there.
  const isThere =
    batch.magic(header) === batch.MAGIC_V2 &&
    batch.baseOffset(header) >= segment.base &&
    batch.lastOffset(header) <= segment.base + entry.readInt32BE(0)
  return isThere ? position : 0
}

/**
 * The last entry of an index file for which `holds` says yes, if it says yes for all before and no for all behind: about
 * 20 small reads instead of megabytes. What the writer has not written out yet is not seen.
 */
function lastEntry(
  segment: OpenSegment,
  extension: string,
  entryBytes: number,
  holds: (entry: Buffer) => boolean,
): Buffer | null {
  const { files } = segment
  const fd = openIfExists(files, join(segment.dir, fileName(segment.base, extension)))
  if (fd === null) return null
  try {
    let low = 0
    let high = Math.floor(files.size(fd) / entryBytes)
    let last: Buffer | null = null
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = Buffer.alloc(entryBytes)
      const read = files.read(fd, entry, 0, entryBytes, middle * entryBytes)
      if (read === entryBytes && holds(entry)) {
        last = entry
        low = middle + 1
      } else {
        high = middle
      }
    }
    return last
  } finally {
    files.close(fd)
  }
}

interface BatchAt {
  readonly header: Buffer
  /** In the segment file. */
  readonly position: number
}

/** The batches from `start` on that have visible offsets. A header is valid until the next one is asked for. */
function* visibleBatches(
  segment: OpenSegment,
  start: number,
  { logStartOffset, endOffset }: SearchInput,
): Generator<BatchAt, void> {
  const { files, fd, size } = segment
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, Math.max(size - start, 0)))
  let from = start
  let filled = 0
  for (let position = start; position < size; ) {
    if (position + batch.BATCH_HEADER_BYTES > from + filled) {
      from = position
      filled = files.read(fd, buffer, 0, Math.min(buffer.length, size - position), position)
    }
    const at = position - from
    const header = buffer.subarray(at, Math.min(at + batch.BATCH_HEADER_BYTES, filled))
    checkHeader(segment, header, position)
    if (batch.baseOffset(header) >= endOffset) return
    if (batch.lastOffset(header) >= logStartOffset) yield { header, position }
    if (batch.lastOffset(header) >= endOffset - 1) return
    position += batch.batchBytes(header)
  }
}

function checkHeader(segment: OpenSegment, header: Buffer, position: number): void {
  const isWhole =
    header.length === batch.BATCH_HEADER_BYTES &&
    batch.magic(header) === batch.MAGIC_V2 &&
    batch.batchBytes(header) >= batch.BATCH_HEADER_BYTES &&
    position + batch.batchBytes(header) <= segment.size &&
    batch.lastOffsetDelta(header) >= 0
  if (isWhole) return
  const path = join(segment.dir, fileName(segment.base, 'log'))
  throw new DamagedSegment(`${path}: no whole batch at byte ${position}`)
}

/** The records of a batch between the log's start and the end; one that stands for all if they cannot be read. */
async function visibleRecords(
  { files, fd }: OpenSegment,
  header: Buffer,
  position: number,
  { logStartOffset, endOffset, contentBytesMax = CONTENT_BYTES_MAX }: SearchInput,
): Promise<Found[]> {
  const leaderEpoch = batch.leaderEpoch(header)
  const bytes = Buffer.allocUnsafe(batch.batchBytes(header))
  const read = files.read(fd, bytes, 0, bytes.length, position)
  const visible: Found[] = []
  try {
    for (const { offset, timestamp } of await readRecords(
      bytes.subarray(0, read),
      contentBytesMax,
    )) {
      const isVisible = offset >= logStartOffset && offset < endOffset
      if (isVisible) visible.push({ offset, timestamp, leaderEpoch })
    }
    return visible
  } catch (error) {
    if (!isUnreadable(error)) throw error
    const offset = Math.max(batch.baseOffset(header), logStartOffset)
    return [{ offset, timestamp: batch.maxTimestamp(header), leaderEpoch }]
  }
}
