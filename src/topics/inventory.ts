import { join } from 'node:path'
import { COPIES } from '../metadata/copies.ts'
import type { FileSystem } from '../storage/fs.ts'
import { journalPath } from '../storage/journal.ts'
import { PARTITION_METADATA } from '../storage/partition-metadata.ts'

export const META = 'meta.properties'
export const JOURNALS = 'journal'
/** Folders named when a start is refused. */
const NAMED_MAX = 3

/** Whether there is at least one copy of the metadata. */
export const hasMetadata = (files: FileSystem, dir: string): boolean =>
  COPIES.some(name => files.exists(join(dir, name)))

/** The names of what may hold acknowledged records: partition folders, journals. Looks into every folder. */
export function dataIn(files: FileSystem, dir: string): string[] {
  return files
    .readdir(dir)
    .filter(name =>
      name === JOURNALS
        ? namesIn(files, join(dir, name)).length > 0
        : isPartition(files, join(dir, name)),
    )
}

/** By name and by content: a folder of somebody else's may have such a name. */
function isPartition(files: FileSystem, path: string): boolean {
  if (!/-\d+$/.test(path)) return false
  return namesIn(files, path).some(name => name === PARTITION_METADATA || name.endsWith('.log'))
}

/** What is in a folder; nothing if it is none. */
export function namesIn(files: FileSystem, path: string): string[] {
  try {
    return files.readdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTDIR' || code === 'ENOENT') return []
    throw error
  }
}

/** A few names of what is there. */
export function someOf(data: readonly string[]): string {
  const named = data.slice(0, NAMED_MAX).join(', ')
  return data.length > NAMED_MAX ? `${named} and ${data.length - NAMED_MAX} more` : named
}

/** Of the journals of so many workers, the files that are not there. */
export function missingJournals(files: FileSystem, dir: string, workers: number): string[] {
  const all = Array.from({ length: workers }, (_, worker) => join(JOURNALS, String(worker)))
  return all
    .flatMap(journal => [journalPath(journal, 0), journalPath(journal, 1)])
    .filter(path => !files.exists(join(dir, path)))
}
