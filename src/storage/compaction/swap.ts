import { join } from 'node:path'
import { CorruptLog } from '../corrupt-log.ts'
import { type FileSystem, readFile, replaceFile } from '../fs.ts'
import { removeContent, removeSegment } from '../removal.ts'
import { fileName } from '../segment.ts'

/** What names the files of a cleaned segment until they are swapped in. */
export const CLEANED = '.cleaned'
/** In a partition's folder: what was compacted, and the swap that is under way. */
const CHECKPOINT = 'compaction-checkpoint'
const VERSION = 1
const INDEXES = ['index', 'timeindex'] as const

/** A cleaned segment and the segments that it stands for, the first of which has the same base offset. */
export interface Swap {
  readonly base: number
  readonly replaces: readonly number[]
}

export interface CompactionCheckpoint {
  /** Below it the log is compacted; 0 if it never was. */
  readonly cleanedOffset: number
  /** Decided, and perhaps not done. */
  readonly swap: Swap | null
}

const NEVER: CompactionCheckpoint = { cleanedOffset: 0, swap: null }

/** @throws CorruptLog if it is there and cannot be read */
export function readCompactionCheckpoint(files: FileSystem, dir: string): CompactionCheckpoint {
  const path = join(dir, CHECKPOINT)
  if (!files.exists(path)) return NEVER
  const text = readFile(files, path).toString('utf8')
  try {
    const { version, cleanedOffset, swap } = JSON.parse(text) as CompactionCheckpoint & {
      version: number
    }
    if (version !== VERSION || !Number.isSafeInteger(cleanedOffset)) throw new Error('version')
    return { cleanedOffset, swap }
  } catch {
    throw new CorruptLog(
      `${path} cannot be read: it says which segments stand for others; nothing was changed`,
    )
  }
}

export function writeCompactionCheckpoint(
  files: FileSystem,
  dir: string,
  checkpoint: CompactionCheckpoint,
): void {
  const text = JSON.stringify({ version: VERSION, ...checkpoint })
  replaceFile(files, join(dir, CHECKPOINT), Buffer.from(text))
}

/**
 * Puts a cleaned segment in the place of those that it stands for. What decides is the checkpoint: once that names the swap
 * it is finished whatever happens (`finishSwap`), before that the cleaned files count for nothing.
 */
export function swapIn(files: FileSystem, dir: string, swap: Swap, cleanedOffset: number): void {
  // Their names must be there before something says that they count.
  files.fsyncDir(dir)
  writeCompactionCheckpoint(files, dir, { cleanedOffset, swap })
  apply(files, dir, swap)
  writeCompactionCheckpoint(files, dir, { cleanedOffset, swap: null })
}

/** At a start: ends the swap that a crash has interrupted. What else is CLEANED by then counts for nothing. */
export function finishSwap(files: FileSystem, dir: string): CompactionCheckpoint {
  const checkpoint = readCompactionCheckpoint(files, dir)
  const { cleanedOffset, swap } = checkpoint
  if (swap !== null) {
    apply(files, dir, swap)
    writeCompactionCheckpoint(files, dir, { cleanedOffset, swap: null })
  }
  return { cleanedOffset, swap: null }
}

/** Removes cleaned files that no checkpoint names. */
export function removeCleaned(files: FileSystem, dir: string): void {
  for (const name of files.readdir(dir)) {
    if (name.endsWith(CLEANED)) files.unlink(join(dir, name))
  }
}

/** May have been done before, in part or as a whole. */
function apply(files: FileSystem, dir: string, { base, replaces }: Swap): void {
  const pathOf = (segment: number, extension: string): string =>
    join(dir, fileName(segment, extension))
  for (const extension of ['log', ...INDEXES]) {
    const path = pathOf(base, extension)
    if (!files.exists(path + CLEANED)) continue
    if (extension === 'log') removeContent(files, path)
    files.rename(path + CLEANED, path)
  }
  for (const old of replaces) {
    if (old === base) continue
    const indexes = INDEXES.map(extension => pathOf(old, extension))
    removeSegment(files, pathOf(old, 'log'), indexes)
  }
  files.fsyncDir(dir)
}
