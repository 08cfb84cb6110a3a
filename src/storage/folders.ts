import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import type { Steps } from './command-runner.ts'
import type { FileSystem } from './fs.ts'
import { type Journalled, keyOf } from './journalled.ts'
import { PARTITION_METADATA, topicIdOf } from './partition-metadata.ts'
import { DELETED, removeContent } from './removal.ts'
import { parseFileName } from './segment.ts'
import { addUnreplayed } from './unreplayed.ts'

/** The longest name that file systems take. */
const NAME_BYTES_MAX = 255

/**
 * Another name for a partition's folder, as Kafka makes them (LocalLog.logDirNameWithSuffixCappedLength): the topic's name
 * is cut so that it fits, what is drawn at random keeps it unlike any other.
 */
export function asideName(dir: string, ending: '-delete' | '-stray'): string {
  const name = basename(dir)
  const dash = name.lastIndexOf('-')
  const rest = `${name.slice(dash)}.${randomBytes(16).toString('hex')}${ending}`
  return join(dirname(dir), name.slice(0, Math.min(dash, NAME_BYTES_MAX - rest.length)) + rest)
}

/** What is known of folders beyond themselves. */
export interface Known {
  /** Ids of topics that were deleted for certain. */
  readonly deleted: ReadonlySet<string>
  /** Entries that may not be in the segments. */
  readonly journalled: Journalled
}

/**
 * Makes way for a partition: a folder of its name that is not its own is removed if it is that of a topic which was
 * deleted for certain, and kept under another name if not, with what only the journal holds of it.
 * @returns a sentence for the operator, or null if there is no such folder
 */
export function clearWay(files: FileSystem, dir: string, known: Known): string | null {
  if (!files.exists(dir)) return null
  const id = topicIdOf(files, dir)
  if (id !== undefined && known.deleted.has(id)) {
    const doomed = asideName(dir, '-delete')
    files.rename(dir, doomed)
    files.fsyncDir(dirname(dir))
    removeSmall(files, doomed)
    return `${dir} was left of the topic ${id}, which had been deleted: it is removed`
  }
  if (id !== undefined) {
    const index = Number(dir.slice(dir.lastIndexOf('-') + 1))
    known.journalled.with(keyOf(id, index), entries => addUnreplayed(files, dir, entries))
  }
  const aside = asideName(dir, '-stray')
  files.rename(dir, aside)
  files.fsyncDir(dirname(dir))
  return `${dir} belonged to no topic and is now ${aside}`
}

/** What is neither marked as a partition nor holds segments is somebody else's. */
function isPartition(files: FileSystem, dir: string): boolean {
  try {
    return files
      .readdir(dir)
      .some(name => name === PARTITION_METADATA || parseFileName(name, 'log') !== null)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false
    throw error
  }
}

/**
 * Makes way for no partition at all: folders with names of partitions that no topic has.
 * @returns a sentence for each, for the operator
 */
export function sweep(
  files: FileSystem,
  dataDir: string,
  folders: readonly string[],
  known: Known,
): string[] {
  return folders
    .map(name => join(dataDir, name))
    .filter(dir => isPartition(files, dir))
    .map(dir => clearWay(files, dir, known)!)
}

/**
 * Removes the folders of deleted partitions. They are renamed first, so that a crash amid the removal leaves names that
 * the next start knows to remove.
 * @returns those of which something is left to be freed, and what could not be removed
 */
export function* removePartitions(
  files: FileSystem,
  dataDir: string,
  dirs: readonly string[],
): Steps<{ doomed: string[]; failed: string[] }> {
  const failed: string[] = []
  const renamed: string[] = []
  const attempt = (dir: string, action: () => void): void => {
    try {
      action()
    } catch (error) {
      failed.push(`${dir}: ${error instanceof Error ? error.message : error}`)
    }
  }
  for (const dir of dirs.filter(dir => files.exists(dir))) {
    attempt(dir, () => {
      const aside = asideName(dir, '-delete')
      files.rename(dir, aside)
      renamed.push(aside)
    })
    yield
  }
  if (renamed.length === 0) return { doomed: [], failed }
  files.fsyncDir(dataDir)
  const doomed: string[] = []
  for (const dir of renamed) {
    yield
    attempt(dir, () => {
      if (removeSmall(files, dir)) doomed.push(dir)
    })
  }
  return { doomed, failed }
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
