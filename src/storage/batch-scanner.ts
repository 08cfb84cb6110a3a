import * as batch from '../protocol/record-batch.ts'
import type { FileSystem } from './fs.ts'

/** Offsets inside a segment are 32-bit in its index. */
export const RELATIVE_OFFSET_MAX = 0x7fffffff

/** Read at once: many small batches, or little more than the header of a large one. */
const READ_BYTES = 64 * 1024

export interface Scan {
  /** Where the first thing that is not a whole batch starts; the end of the file if all is well. */
  readonly end: number
  /** Why it stopped there, or null at the end of the file. */
  readonly damage: string | null
  /** There is a batch, whole, that does not belong behind the one before it: no crash leaves that, whatever was flushed. */
  readonly isMisplaced: boolean
}

/**
 * Walks the batches of a segment file from `position` to its end, and stops at the first that is not whole: a header that
 * cannot be, offsets that go back or are too far from `segmentBase`, or, where `checks(lastOffset)` asks for it, a CRC that does not match.
 * No checksum covers offsets: where none may be missing (`isGapless`) each batch begins where the one before it ends.
 * `visit` gets a buffer that holds the whole batch if its CRC was checked or it is a control batch, else at least its header.
 */
export function scanBatches(
  files: FileSystem,
  fd: number,
  position: number,
  segmentBase: number,
  checks: (lastOffset: number) => boolean,
  visit: (buffer: Buffer, at: number, position: number) => void,
  isGapless = false,
): Scan {
  const size = files.size(fd)
  let buffer = Buffer.allocUnsafe(READ_BYTES)
  let start = position // file position of buffer[0]
  let filled = 0
  let at = position
  let expected = segmentBase
  // What is before a position amid the segment is not known.
  let mayLack = !isGapless || position > 0
  const need = (bytes: number): void => {
    if (at + bytes <= start + filled) return
    if (bytes > buffer.length) buffer = Buffer.allocUnsafe(bytes)
    start = at
    filled = files.read(fd, buffer, 0, Math.min(buffer.length, size - at), at)
  }
  while (at < size) {
    if (size - at < batch.BATCH_HEADER_BYTES) return torn(at, 'a batch header is cut off')
    need(batch.BATCH_HEADER_BYTES)
    const damage = headerDamage(buffer, at - start, size - at)
    if (damage !== null) return torn(at, damage)
    const bytes = batch.batchBytes(buffer, at - start)
    const place = placeDamage(buffer, at - start, expected, segmentBase, mayLack)
    if (place !== null) {
      need(bytes)
      const isMisplaced = isWhole(buffer.subarray(at - start, at - start + bytes), bytes)
      return { end: at, damage: place, isMisplaced }
    }
    const lastOffset = batch.lastOffset(buffer, at - start)
    if (batch.isControl(batch.attributes(buffer, at - start))) need(bytes)
    if (checks(lastOffset)) {
      need(bytes)
      if (!isWhole(buffer.subarray(at - start, at - start + bytes), bytes)) {
        return torn(at, 'a batch does not match its CRC')
      }
    }
    visit(buffer, at - start, at)
    expected = lastOffset + 1
    mayLack = !isGapless
    at += bytes
  }
  return { end: at, damage: null, isMisplaced: false }
}

const torn = (end: number, damage: string): Scan => ({ end, damage, isMisplaced: false })

const isWhole = (found: Buffer, bytes: number): boolean =>
  found.length === bytes && batch.computeCrc(found) === batch.storedCrc(found)

function headerDamage(buffer: Buffer, at: number, available: number): string | null {
  const bytes = batch.batchBytes(buffer, at)
  if (bytes < batch.BATCH_HEADER_BYTES) return `a batch claims ${bytes} bytes`
  if (bytes > available) return 'a batch is cut off'
  if (batch.magic(buffer, at) !== batch.MAGIC_V2)
    return `a batch has magic ${batch.magic(buffer, at)}`
  return batch.lastOffsetDelta(buffer, at) < 0 ? 'a batch has a negative offset delta' : null
}

function placeDamage(
  buffer: Buffer,
  at: number,
  expected: number,
  segmentBase: number,
  mayLack: boolean,
): string | null {
  const base = batch.baseOffset(buffer, at)
  if (base < expected || (base > expected && !mayLack))
    return `a batch starts at offset ${base} where ${expected} was due`
  const relative = batch.lastOffset(buffer, at) - segmentBase
  if (relative > RELATIVE_OFFSET_MAX) {
    return `a batch ends ${relative} offsets behind its segment's first, more than an index can say`
  }
  return null
}
