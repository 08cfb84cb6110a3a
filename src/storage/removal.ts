import { type FileSystem, fileSize } from './fs.ts'

/** Behind the name of a file that is no part of the log any more and is freed bit by bit, or by the next start; Kafka's name. */
export const DELETED = '.deleted'

/**
 * Removes a file that may be gone already; a large one is only given its DELETED name, for the main thread to free.
 * @returns whether it is left to be freed
 */
export function removeContent(files: FileSystem, path: string): boolean {
  if (!files.exists(path)) return false
  const isLeft = fileSize(files, path) > files.freedAtOnceBytes
  if (isLeft) files.rename(path, path + DELETED)
  else files.unlink(path)
  return isLeft
}

/** Removes what is there of a segment's files. The caller flushes the folder. */
export function removeSegment(files: FileSystem, log: string, indexes: readonly string[]): void {
  removeContent(files, log)
  for (const path of indexes) if (files.exists(path)) files.unlink(path)
}
