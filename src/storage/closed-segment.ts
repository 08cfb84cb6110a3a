import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { abortedBytesBelow } from './aborted-checkpoint.ts'
import { scanBatches } from './batch-scanner.ts'
import { damaged } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import { fileName, INDEX_INTERVAL_BYTES, Segment } from './segment.ts'

/** A log's folder, and its name for messages. */
export interface LogFolder {
  readonly dir: string
  readonly name: string
}

interface ClosedLog extends LogFolder {
  /** Bytes of each segment that compaction has written: only in and behind these offsets may be missing. */
  readonly cleaned: Readonly<Record<number, number>>
}

/**
 * Opens a segment that is not the last. Its indexes are taken as they are if their sizes can be right and the last entry
 * leads to batches that end where the file does.
 */
export function openClosedSegment(
  files: FileSystem,
  input: ClosedLog,
  base: number,
  next: number,
  /** What is behind it of aborted transactions is learnt anew. */
  learntFrom: number,
  notes: string[],
): Segment {
  const fd = files.open(join(input.dir, fileName(base, 'log')), 'read')
  try {
    const size = files.size(fd)
    const index = readTail(files, join(input.dir, fileName(base, 'index')), 8)
    const times = readTail(files, join(input.dir, fileName(base, 'timeindex')), 12)
    const end = index === null || times === null ? null : endByIndex(files, fd, base, index, times)
    if (index !== null && times !== null && end !== null) {
      refuseHole(input, base, size, end, next)
      const abortedBytes = abortedBytesBelow(files, input.dir, base, learntFrom)
      const indexes = { offsetIndexBytes: index.size, timeIndexBytes: times.size, abortedBytes }
      const segment = new Segment(files, input.dir, base, { size, ...indexes })
      resumeTimes(segment, times.tail)
      return segment
    }
    const segment = rebuildIndexes(files, input, base, learntFrom)
    notes.push(`${input.name}: rebuilt the indexes of segment ${base}`)
    refuseHole(input, base, size, endOfBatches(files, fd, base, 0)!, next)
    return segment
  } finally {
    files.close(fd)
  }
}

/** The offset after the last batch as the indexes lead to it; null if they cannot be right. */
function endByIndex(
  files: FileSystem,
  fd: number,
  base: number,
  index: Tail,
  times: Tail,
): number | null {
  const size = files.size(fd)
  // Compaction may leave nothing.
  if (size === 0) return index.size === 0 && times.size === 0 ? base : null
  if (index.size % 8 !== 0 || times.size % 12 !== 0) return null
  if (index.size === 0 && size > 2 * INDEX_INTERVAL_BYTES) return null
  const position = index.size > 0 ? index.tail.readUInt32BE(4) : 0
  return position < size ? endOfBatches(files, fd, base, position) : null
}

/** The offset after the last batch, or null if what is from the position on are not whole batches. */
function endOfBatches(
  files: FileSystem,
  fd: number,
  base: number,
  position: number,
): number | null {
  let end = base
  const { damage } = scanBatches(
    files,
    fd,
    position,
    base,
    () => false,
    (buffer, at) => {
      end = batch.lastOffset(buffer, at) + 1
    },
  )
  return damage === null ? end : null
}

/** A segment is closed where the next one begins, whole. Compaction leaves gaps, but no file of another size. */
function refuseHole(input: ClosedLog, base: number, size: number, end: number, next: number): void {
  if (end > next) throw damaged(input.name, base, 0, `it goes on to offset ${end} beyond ${next}`)
  const written = input.cleaned[base]
  if (written !== undefined && written !== size) {
    throw damaged(input.name, base, size, `compaction wrote ${written} bytes of it`)
  }
  if (written === undefined && end < next) {
    throw damaged(input.name, base, size, `offsets ${end} to ${next - 1} behind it are missing`)
  }
}

/** Makes both indexes of a closed segment again from its batches; the one of aborted transactions, below an offset, stays as it is. */
export function rebuildIndexes(
  files: FileSystem,
  log: LogFolder,
  base: number,
  learntFrom = Number.POSITIVE_INFINITY,
): Segment {
  const fd = files.open(join(log.dir, fileName(base, 'log')), 'read')
  try {
    const abortedBytes = abortedBytesBelow(files, log.dir, base, learntFrom)
    const state = { size: files.size(fd), offsetIndexBytes: 0, timeIndexBytes: 0, abortedBytes }
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

interface Tail {
  readonly size: number
  readonly tail: Buffer
}

/** The last `bytes` of a file; null if it is missing. */
function readTail(files: FileSystem, path: string, bytes: number): Tail | null {
  if (!files.exists(path)) return null
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

export function resumeTimes(segment: Segment, times: Buffer): void {
  if (times.length < 12) return
  const at = times.length - 12
  const offset = segment.baseOffset + times.readInt32BE(at + 8)
  segment.resumeTimestamps(batch.readInt64(times, at), offset)
}
