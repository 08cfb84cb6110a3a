import { join } from 'node:path'
import { crc32c } from '../protocol/crc32c.ts'
import { type FileSystem, readFile, replaceFile } from './fs.ts'

/** How far one partition is safe, and where it starts: see the fields of Log. */
export interface SafePoint {
  readonly logStartOffset: number
  readonly recoveryPoint: number
  readonly scanFrom: number
}

/**
 * What a worker knew to be flushed, in `journal/<worker>/checkpoint`: replaced atomically before a journal file is
 * overwritten, and at a clean stop. First line: CRC-32C (hex) of the rest; second: JSON.
 */
export interface WorkerCheckpoint {
  /** Journal groups up to this incarnation are flushed and count no more. */
  readonly flushedIncarnation: number
  /** The same for the groups of the next incarnation, up to this one. */
  readonly flushedSequence: number
  /** By topic id and partition. */
  readonly partitions: Record<string, SafePoint>
}

export const checkpointPath = (dir: string): string => join(dir, 'checkpoint')

/** @returns its bytes */
export function writeWorkerCheckpoint(
  files: FileSystem,
  dir: string,
  checkpoint: WorkerCheckpoint,
): number {
  const json = Buffer.from(`${JSON.stringify(checkpoint)}\n`)
  const crc = Buffer.from(`${crc32c(json).toString(16)}\n`)
  replaceFile(files, checkpointPath(dir), Buffer.concat([crc, json]))
  return crc.length + json.length
}

/** Null if there is no checkpoint, or if it is damaged: then nothing is known to be flushed and everything is verified. */
export function readWorkerCheckpoint(
  files: FileSystem,
  dir: string,
): { checkpoint: WorkerCheckpoint | null; damaged: boolean } {
  const path = checkpointPath(dir)
  if (!files.exists(path)) return { checkpoint: null, damaged: false }
  const content = readFile(files, path)
  const line = content.indexOf(10)
  const json = content.subarray(line + 1)
  if (line < 1 || content.toString('latin1', 0, line) !== crc32c(json).toString(16)) {
    return { checkpoint: null, damaged: true }
  }
  return { checkpoint: JSON.parse(json.toString('utf8')) as WorkerCheckpoint, damaged: false }
}
