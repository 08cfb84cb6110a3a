import type { FileSystem } from './fs.ts'

/**
 * As much is freed at once. The file system is busy with a large file for so long (16 ms for 64 MiB on ext4) that flushes,
 * and who waits for them, are held up.
 */
export const FREED_AT_ONCE_BYTES = 2 * 1024 * 1024
/** Behind the name of a file that is no part of the log any more and is freed bit by bit, or by the next start; Kafka's name. */
export const DELETED = '.deleted'

export const isFreedAtOnce = (bytes: number): boolean => bytes <= FREED_AT_ONCE_BYTES

/** Removes a file that may be gone already; a large one is only given its DELETED name, for the main thread to free. */
export function removeContent(files: FileSystem, path: string): void {
  if (!files.exists(path)) return
  if (isFreedAtOnce(sizeOf(files, path))) files.unlink(path)
  else files.rename(path, path + DELETED)
}

function sizeOf(files: FileSystem, path: string): number {
  const fd = files.open(path, 'read')
  try {
    return files.size(fd)
  } finally {
    files.close(fd)
  }
}
