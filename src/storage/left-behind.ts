import { join } from 'node:path'
import { type FileSystem, fileSize } from './fs.ts'
import { journalPath } from './journal.ts'
import { readJournal } from './journal-groups.ts'
import { Window, withJournalFiles } from './journal-source.ts'
import { Journalled } from './journalled.ts'
import { type Copies, mendCopies } from './two-copies.ts'
import {
  checkpointPath,
  journalFlushed,
  readWorkerCheckpoint,
  type SafePoint,
  type WorkerCheckpoint,
} from './worker-checkpoint.ts'

export const NOWHERE: SafePoint = { logStartOffset: 0, recoveryPoint: 0, scanFrom: 0 }

const WITHOUT_CHECKPOINT =
  'everything is verified, and records that DeleteRecords took off the front of a segment may be there again'

const SALVAGED = 'damaged: their batches must be in the segments'

/** What the checkpoints and journals of all workers say; by topic id and partition. */
export interface LeftBehind {
  readonly safePoints: Map<string, SafePoint>
  /** Journal entries that may not be in the segments, oldest first. */
  readonly journalled: Journalled
  /** Every worker's checkpoint is there: then the logs' starts are known. */
  readonly isComplete: boolean
  /** The newest incarnation of this worker's journal. */
  readonly incarnation: number
  /** Of this worker's checkpoint; 0 if there is none. */
  readonly revision: number
  /** Number of this start, which its safe points carry: above all that are known. */
  readonly start: number
  readonly notes: string[]
}

/**
 * Reads the checkpoints and journals of all workers: the partitions may have been spread differently before.
 * @throws CorruptJournal
 */
export function readLeftBehind(
  files: FileSystem,
  dataDir: string,
  worker: number,
  clean: boolean,
): LeftBehind {
  const root = join(dataDir, 'journal')
  const safePoints = new Map<string, SafePoint>()
  const journalled = new Journalled(files)
  const window = new Window()
  const notes: string[] = []
  let incarnation = 0
  let revision = 0
  let isComplete = true
  const names = files.exists(root) ? files.readdir(root) : []
  for (const name of names.filter(n => /^\d+$/.test(n))) {
    const dir = join(root, name)
    const { checkpoint, copies } = readWorkerCheckpoint(files, dir)
    notes.push(...copies.faults)
    if (checkpoint === null && isUsed(files, dir, copies)) {
      isComplete = false
      notes.push(`${dir}: no copy of the checkpoint is whole: ${WITHOUT_CHECKPOINT}`)
    }
    if (name === String(worker)) {
      // Before anything is done that a copy which is older would not explain.
      mendCopies(files, checkpointPath(dir), copies)
      revision = copies.revision + 1
    }
    for (const [partition, point] of Object.entries(checkpoint?.partitions ?? {})) {
      // That of which journal it says something is known here only.
      const { flushedSequence: _, ...safe } = point
      safePoints.set(partition, later(safePoints.get(partition) ?? NOWHERE, safe))
    }
    let newest = checkpoint?.flushedIncarnation ?? 0
    if (!clean || checkpoint === null) {
      const { incarnation, salvaged } = noteEntries(files, window, dir, checkpoint, journalled)
      newest = Math.max(newest, incarnation)
      if (salvaged > 0) notes.push(`${dir}: ${salvaged} groups of the journal are ${SALVAGED}`)
    }
    if (name === String(worker)) incarnation = newest
  }
  let start = 1
  for (const point of safePoints.values()) start = Math.max(start, (point.start ?? 0) + 1)
  return { safePoints, journalled, isComplete, incarnation, revision, start, notes }
}

/** A worker that has never been ready has no checkpoint, and nothing in its journal. */
function isUsed(files: FileSystem, dir: string, copies: Copies): boolean {
  return !copies.isMissing || [0, 1].some(i => sizeOf(files, journalPath(dir, i)) > 0)
}

function sizeOf(files: FileSystem, path: string): number {
  return files.exists(path) ? fileSize(files, path) : 0
}

function noteEntries(
  files: FileSystem,
  window: Window,
  dir: string,
  checkpoint: WorkerCheckpoint | null,
  journalled: Journalled,
): { incarnation: number; salvaged: number } {
  const paths = [journalPath(dir, 0), journalPath(dir, 1)]
  return withJournalFiles(files, paths, window, sources => {
    const { groups, incarnation, salvaged } = readJournal(sources, journalFlushed(checkpoint))
    const isFlushed = (key: string, sequence: number): boolean =>
      sequence <= (checkpoint?.partitions[key]?.flushedSequence ?? 0)
    for (const group of groups) journalled.add(group, isFlushed)
    return { incarnation, salvaged }
  })
}

/** What two checkpoints know of one partition; one of them is from before it moved to another worker. */
function later(a: SafePoint, b: SafePoint): SafePoint {
  const newer = (b.start ?? 0) - (a.start ?? 0)
  if (newer !== 0) return newer > 0 ? b : a
  return {
    ...b,
    logStartOffset: Math.max(a.logStartOffset, b.logStartOffset),
    recoveryPoint: Math.max(a.recoveryPoint, b.recoveryPoint),
    scanFrom: Math.max(a.scanFrom, b.scanFrom),
  }
}
