import { dirname, join } from 'node:path'
import type { FileSystem } from './fs.ts'
import { DELETED, removeContent } from './removal.ts'

/**
 * A partition's folder that is not the partition's own: it is kept under another name.
 * @returns a sentence for the operator, or null if there is no such folder
 */
export function moveStrayAside(files: FileSystem, dir: string, now: number): string | null {
  if (!files.exists(dir)) return null
  const aside = `${dir}.${now}-stray`
  files.rename(dir, aside)
  files.fsyncDir(dirname(dir))
  return `${dir} belonged to no topic and is now ${aside}`
}

/**
 * Removes what earlier runs left: journals of workers that are no more (all they held is flushed by now), and
 * folders of topics whose deletion a crash interrupted.
 */
export function removeLeftovers(files: FileSystem, dataDir: string, workers: number): void {
  const journals = join(dataDir, 'journal')
  removeDoomed(files, journals)
  for (const name of files.readdir(journals)) {
    // Renamed first: half of a journal must not be taken for a damaged one.
    const isRetired = /^\d+$/.test(name) && Number(name) >= workers
    if (isRetired) files.rename(join(journals, name), join(journals, `${name}-delete`))
  }
  files.fsyncDir(journals)
  removeDoomed(files, journals)
  removeDoomed(files, dataDir)
}

function removeDoomed(files: FileSystem, dir: string): void {
  for (const name of files.readdir(dir)) {
    if (name.endsWith('-delete')) removeFolder(files, join(dir, name))
  }
}

/**
 * Removes a folder but for what is large in it (removal.ts).
 * @returns whether something is left, for the main thread to free
 */
export function removeSmall(files: FileSystem, dir: string): boolean {
  // The main thread may be freeing those just now: they are its own.
  const isLeft = (name: string): boolean =>
    name.endsWith(DELETED) || removeContent(files, join(dir, name))
  const left = files.readdir(dir).filter(isLeft)
  if (left.length > 0) return true
  files.rmdir(dir)
  return false
}

export function removeFolder(files: FileSystem, dir: string): void {
  for (const name of files.readdir(dir)) files.unlink(join(dir, name))
  files.rmdir(dir)
}
