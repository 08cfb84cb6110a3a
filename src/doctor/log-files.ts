import { join } from 'node:path'
import { ABORTED_CHECKPOINT } from '../storage/aborted-checkpoint.ts'
import {
  COMPACTION_CHECKPOINT,
  type CompactionCheckpoint,
  finishSwap,
  mendCompactionCheckpoint,
} from '../storage/compaction/swap.ts'
import { CorruptLog } from '../storage/corrupt-log.ts'
import { type FileSystem, readFile } from '../storage/fs.ts'
import { entriesIn } from '../storage/journal-groups.ts'
import { type EpochStart, LEADER_EPOCHS, LeaderEpochs } from '../storage/leader-epochs.ts'
import { PARTITION_METADATA } from '../storage/partition-metadata.ts'
import { decodeProducers } from '../storage/producer-snapshot.ts'
import { salvage } from '../storage/salvage.ts'
import { parseFileName } from '../storage/segment.ts'
import { copiesOf, readCopies } from '../storage/two-copies.ts'
import { readUnreplayed, UNREPLAYED } from '../storage/unreplayed.ts'
import { segmentsIn } from './log-survey.ts'

/** What belongs into a partition's folder. */
const KNOWN = [
  /^\d{20}\.(log|index|timeindex|txnindex|snapshot)$/,
  /^\d{20}\.(log|index|timeindex|txnindex)\.(cleaned|deleted)$/,
  /^\d{20}\.log\.\d+\.torn$/,
  /\.tmp$/,
]

const KNOWN_NAMES = new Set([
  ...[PARTITION_METADATA, LEADER_EPOCHS, UNREPLAYED],
  ...copiesOf(COMPACTION_CHECKPOINT),
  ...copiesOf(ABORTED_CHECKPOINT),
])

export const unknownIn = (files: FileSystem, dir: string): string[] =>
  files
    .readdir(dir)
    .filter(name => !KNOWN_NAMES.has(name) && !KNOWN.some(pattern => pattern.test(name)))

/** What compaction has done, and what is known of it. */
export interface Compaction {
  readonly checkpoint: CompactionCheckpoint
  /** Neither copy can be read; or both are missing, `isMissing`. */
  readonly isLost: boolean
  readonly isMissing: boolean
}

/**
 * Ends a swap that was under way, as a start does, and says what compaction has written. Without a checkpoint all closed segments
 * of a compacted topic count as written by it, whatever their sizes.
 */
export function compactionOf(files: FileSystem, dir: string, isThinned: boolean): Compaction {
  const isMissing = readCopies(files, join(dir, COMPACTION_CHECKPOINT)).isMissing
  try {
    mendCompactionCheckpoint(files, dir)
    const checkpoint = finishSwap(files, dir)
    if (!isMissing || !isThinned) return { checkpoint, isLost: false, isMissing }
  } catch (error) {
    if (!(error instanceof CorruptLog)) throw error
  }
  const sizes = segmentsIn(files, dir).slice(0, -1)
  const cleaned = Object.fromEntries(sizes.map(base => [base, 0]))
  const checkpoint = { cleanedOffset: 0, cleaned, swap: null }
  return { checkpoint, isLost: !isMissing, isMissing }
}

export const compactionFaults = (files: FileSystem, dir: string): readonly string[] =>
  readCopies(files, join(dir, COMPACTION_CHECKPOINT)).faults

export function forgetCompaction(files: FileSystem, dir: string): void {
  for (const path of copiesOf(join(dir, COMPACTION_CHECKPOINT)))
    if (files.exists(path)) files.unlink(path)
}

export interface Unreplayed {
  readonly entries: Buffer[]
  /** Null: the file is whole, or there is none. */
  readonly problem: string | null
}

/** Entries of `unreplayed`; of a damaged one those that are whole by themselves. */
export function unreplayedOf(files: FileSystem, dir: string): Unreplayed {
  try {
    return { entries: readUnreplayed(files, dir).map(entry => entry.whole()), problem: null }
  } catch (error) {
    const all = readFile(files, join(dir, UNREPLAYED)).subarray(4)
    const rest = salvage(all)
    const entries = rest === null ? [] : entriesIn(rest)
    return { entries, problem: (error as Error).message }
  }
}

export function epochsOf(
  files: FileSystem,
  dir: string,
): { file: LeaderEpochs['file']; entries: readonly EpochStart[] } {
  return new LeaderEpochs(files, join(dir, LEADER_EPOCHS))
}

/** Snapshots of the producers that cannot be read. */
export function badSnapshotsIn(files: FileSystem, dir: string): string[] {
  return files
    .readdir(dir)
    .filter(name => parseFileName(name, 'snapshot') !== null)
    .filter(name => decodeProducers(readFile(files, join(dir, name))) === null)
}
