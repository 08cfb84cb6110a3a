import type { FileSystem } from './fs.ts'

/** Behind the name of a file that is no part of the log any more and is freed bit by bit, or by the next start; Kafka's name. */
export const DELETED = '.deleted'

/** Removes a file that may be gone already; a large one is only given its DELETED name, for the main thread to free. */
export function removeContent(files: FileSystem, path: string): void {
  if (!files.exists(path)) return
  if (sizeOf(files, path) <= files.freedAtOnceBytes) files.unlink(path)
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
