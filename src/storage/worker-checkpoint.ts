import { join } from 'node:path'
import type { FileSystem } from './fs.ts'
import type { JournalFlushed } from './journal-groups.ts'
import { type Copies, readCopies, writeCopies } from './two-copies.ts'

/** How far one partition is safe, and where it starts: see the fields of Log. */
export interface SafePoint {
  readonly logStartOffset: number
  readonly recoveryPoint: number
  readonly scanFrom: number
  /**
   * Number of the broker start that wrote it (absent: 0). Of a partition that several checkpoints know, the newest start is
   * believed: after a truncation an older one says too much.
   */
  readonly start?: number
  /**
   * Of the journal beside this checkpoint: the partition's entries in groups up to this one count no more, though others' do. It
   * has been truncated since: what was below is flushed, what was above is cut off.
   */
  readonly flushedSequence?: number
  /** A lower bound of what is committed, if it is not the log's end. */
  readonly highWatermark?: number
}

/** What a worker knew to be flushed: written before a journal file is overwritten, and at a clean stop. */
export interface WorkerCheckpoint {
  /** Journal groups up to this incarnation are flushed and count no more. */
  readonly flushedIncarnation: number
  /** The same for the groups of the next incarnation, up to this one. */
  readonly flushedSequence: number
  /** By topic id and partition. */
  readonly partitions: Record<string, SafePoint>
}

/** What it says of the worker's journal. */
export const journalFlushed = (checkpoint: WorkerCheckpoint | null): JournalFlushed | null =>
  checkpoint === null
    ? null
    : { incarnation: checkpoint.flushedIncarnation, sequence: checkpoint.flushedSequence }

export const checkpointPath = (dir: string): string => join(dir, 'checkpoint')

/** @returns the bytes of both copies */
export function writeWorkerCheckpoint(
  files: FileSystem,
  dir: string,
  revision: number,
  checkpoint: WorkerCheckpoint,
): number {
  return writeCopies(files, checkpointPath(dir), revision, checkpoint)
}

/** Null if no copy is whole: then nothing is known to be flushed and everything is verified. */
export function readWorkerCheckpoint(
  files: FileSystem,
  dir: string,
): { checkpoint: WorkerCheckpoint | null; copies: Copies } {
  const copies = readCopies(files, checkpointPath(dir))
  return { checkpoint: copies.value as WorkerCheckpoint | null, copies }
}
