import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scanner.ts'
import { damaged } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import { fileName, INDEX_INTERVAL_BYTES, Segment } from './segment.ts'

/** A log's folder, and its name for messages. */
export interface LogFolder {
  readonly dir: string
  readonly name: string
}

/** Below it compaction has been, and gaps between offsets are as they should be. */
interface ClosedLog extends LogFolder {
  readonly cleanedOffset: number
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
  notes: string[],
): Segment {
  const fd = files.open(join(input.dir, fileName(base, 'log')), 'read')
  try {
    const size = files.size(fd)
    const index = readTail(files, join(input.dir, fileName(base, 'index')), 8)
    const times = readTail(files, join(input.dir, fileName(base, 'timeindex')), 12)
    const end = index === null || times === null ? null : endByIndex(files, fd, base, index, times)
    if (index !== null && times !== null && end !== null) {
      noteGap(input, base, end, next, notes)
      const state = { size, offsetIndexBytes: index.size, timeIndexBytes: times.size }
      const segment = new Segment(files, input.dir, base, state)
      resumeTimes(segment, times.tail)
      return segment
    }
    const segment = rebuildIndexes(files, input, base)
    notes.push(`${input.name}: rebuilt the indexes of segment ${base}`)
    noteGap(input, base, endOfBatches(files, fd, base, 0)!, next, notes)
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

/** Offsets that are missing in front of the next segment: compaction may leave such a gap, a cut file does too. */
function noteGap(input: ClosedLog, base: number, end: number, next: number, notes: string[]): void {
  if (end > next) throw damaged(input.name, base, 0, `it goes on to offset ${end} beyond ${next}`)
  if (end < next && next > input.cleanedOffset) {
    notes.push(`${input.name}: offsets ${end} to ${next - 1} are missing after segment ${base}`)
  }
}

/** Makes both indexes of a closed segment again from its batches. */
export function rebuildIndexes(files: FileSystem, log: LogFolder, base: number): Segment {
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
