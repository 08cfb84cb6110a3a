import type { FileSystem } from '../storage/fs.ts'

/** A drive cannot read a sector, or a page of its flash, by itself: what is around is read in pieces of this size. */
const PIECE_BYTES = 4096

/**
 * Reads from a file, past what the drive cannot read: there are zeros then, which match no checksum.
 * @returns bytes read, fewer than `length` only at the end of the file
 */
export function readAround(
  files: FileSystem,
  fd: number,
  target: Buffer,
  length: number,
  position: number,
): number {
  try {
    return files.read(fd, target, 0, length, position)
  } catch (error) {
    if (!isUnreadable(error)) throw error
  }
  const end = Math.min(files.size(fd), position + length)
  for (let at = position; at < end; at += PIECE_BYTES) {
    const count = Math.min(PIECE_BYTES, end - at)
    try {
      files.read(fd, target, at - position, count, at)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      target.fill(0, at - position, at - position + count)
    }
  }
  return Math.max(0, end - position)
}

export const isUnreadable = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'EIO'
