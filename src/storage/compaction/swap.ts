import { join } from 'node:path'
import { CorruptLog } from '../corrupt-log.ts'
import { type FileSystem, fileSize, readFile } from '../fs.ts'
import { removeContent, removeSegment } from '../removal.ts'
import { fileName, parseFileName } from '../segment.ts'
import { mendCopies, readCopies, writeCopies } from '../two-copies.ts'

/** What names the files of a cleaned segment until they are swapped in. */
export const CLEANED = '.cleaned'
/** In a partition's folder, twice: what was compacted, and the swap that is under way. */
export const COMPACTION_CHECKPOINT = 'compaction-checkpoint'
const VERSION = 2
/** How the file of a release before it begins. */
const VERSION_1 = '{"version":1,'
const INDEXES = ['index', 'timeindex', 'txnindex'] as const

/** A cleaned segment and the segments that it stands for, the first of which has the same base offset. */
export interface Swap {
  readonly base: number
  readonly replaces: readonly number[]
  /** Bytes of the cleaned segment. */
  readonly size: number
}

export interface CompactionCheckpoint {
  /** Below it the log is compacted; 0 if it never was. */
  readonly cleanedOffset: number
  /** Bytes of each segment that compaction has written, by base offset: in them and behind them offsets may be missing. */
  readonly cleaned: Readonly<Record<number, number>>
  /** Decided, and perhaps not done. */
  readonly swap: Swap | null
}

const NEVER: CompactionCheckpoint = { cleanedOffset: 0, cleaned: {}, swap: null }

/** @throws CorruptLog if it is there and neither copy can be read */
export function readCompactionCheckpoint(files: FileSystem, dir: string): CompactionCheckpoint {
  const path = join(dir, COMPACTION_CHECKPOINT)
  const copies = readCopies(files, path)
  if (copies.isMissing) return NEVER
  const read = copies.value as (CompactionCheckpoint & { version: number }) | null
  if (read?.version !== VERSION) {
    throw new CorruptLog(
      `${path} cannot be read: it says which segments stand for others; nothing was changed`,
    )
  }
  const { cleanedOffset, cleaned, swap } = read
  return { cleanedOffset, cleaned, swap }
}

export function writeCompactionCheckpoint(
  files: FileSystem,
  dir: string,
  checkpoint: CompactionCheckpoint,
): void {
  const path = join(dir, COMPACTION_CHECKPOINT)
  const { revision } = readCopies(files, path)
  writeCopies(files, path, revision + 1, { version: VERSION, ...checkpoint })
}

/** The log is compacted below the offset. */
export function noteCleaned(files: FileSystem, dir: string, cleanedOffset: number): void {
  const checkpoint = readCompactionCheckpoint(files, dir)
  writeCompactionCheckpoint(files, dir, { ...checkpoint, cleanedOffset })
}

/**
 * A segment to which batches are appended is none that compaction has written: from this one on what it wrote has been cut
 * off. Done at each start too, which may follow a crash amid a truncation.
 */
export function forgetCleaned(
  files: FileSystem,
  dir: string,
  active: number,
): CompactionCheckpoint {
  const checkpoint = readCompactionCheckpoint(files, dir)
  const left = Object.entries(checkpoint.cleaned).filter(([base]) => Number(base) < active)
  if (left.length === Object.keys(checkpoint.cleaned).length) return checkpoint
  const cleanedOffset = Math.min(checkpoint.cleanedOffset, active)
  const forgotten = { ...checkpoint, cleanedOffset, cleaned: Object.fromEntries(left) }
  writeCompactionCheckpoint(files, dir, forgotten)
  return forgotten
}

/**
 * Puts a cleaned segment in the place of those that it stands for. What decides is the checkpoint: once that names the swap
 * it is finished whatever happens (`finishSwap`), before that the cleaned files count for nothing.
 */
export function swapIn(
  files: FileSystem,
  dir: string,
  { base, replaces, size }: Swap,
  cleanedOffset: number,
): void {
  // Their names must be there before something says that they count.
  files.fsyncDir(dir)
  const { cleaned } = readCompactionCheckpoint(files, dir)
  const swap = { base, replaces, size }
  writeCompactionCheckpoint(files, dir, { cleanedOffset, cleaned, swap })
  finishSwap(files, dir)
}

/** Also at a start: ends the swap that a crash has interrupted. What else is CLEANED by then counts for nothing. */
export function finishSwap(files: FileSystem, dir: string): CompactionCheckpoint {
  const checkpoint = takeOver(files, dir) ?? readCompactionCheckpoint(files, dir)
  const { cleanedOffset, swap } = checkpoint
  if (swap === null) return checkpoint
  apply(files, dir, swap)
  const others = Object.entries(checkpoint.cleaned).filter(
    ([base]) => !swap.replaces.includes(Number(base)),
  )
  const cleaned = { ...Object.fromEntries(others), [swap.base]: swap.size }
  const done = { cleanedOffset, cleaned, swap: null }
  writeCompactionCheckpoint(files, dir, done)
  return done
}

/**
 * What a release before the second copy has left: version 1, plain JSON. It did not say how large the segments were that
 * compaction had written, so they are believed as they are.
 * @returns null if it is not that
 */
function takeOver(files: FileSystem, dir: string): CompactionCheckpoint | null {
  const text = oldCheckpoint(files, join(dir, COMPACTION_CHECKPOINT))
  if (text === null) return null
  const { cleanedOffset, swap } = JSON.parse(text) as Pick<
    CompactionCheckpoint,
    'cleanedOffset' | 'swap'
  >
  if (swap !== null) apply(files, dir, swap)
  const bases = files.readdir(dir).map(name => parseFileName(name, 'log'))
  const compacted = bases.filter(base => base !== null && base < cleanedOffset) as number[]
  const sizeOf = (base: number): number => fileSize(files, join(dir, fileName(base, 'log')))
  const cleaned = Object.fromEntries(compacted.map(base => [base, sizeOf(base)]))
  const checkpoint = { cleanedOffset, cleaned, swap: null }
  writeCompactionCheckpoint(files, dir, checkpoint)
  return checkpoint
}

function oldCheckpoint(files: FileSystem, path: string): string | null {
  if (!files.exists(path)) return null
  const text = readFile(files, path).toString('utf8')
  return text.startsWith(VERSION_1) ? text : null
}

/** @returns what was wrong with one of the copies, for the operator */
export function mendCompactionCheckpoint(files: FileSystem, dir: string): readonly string[] {
  const path = join(dir, COMPACTION_CHECKPOINT)
  if (oldCheckpoint(files, path) !== null) return []
  const copies = readCopies(files, path)
  mendCopies(files, path, copies)
  return copies.faults
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
