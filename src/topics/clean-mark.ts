import { join } from 'node:path'
import { type FileSystem, readFile, replaceFile } from '../storage/fs.ts'

/** The mark of a clean stop; Kafka's name. */
export const CLEAN = '.kafka_cleanshutdown'

/** One start of the broker on this folder; kept in the metadata, and named by the mark that its clean stop leaves. */
export interface Start {
  readonly brokerEpoch: number
  /** Drawn at random: metadata that was put back counts the same epoch again. */
  readonly id: string
}

/** What the mark of a clean stop says; null if there is none, undefined members if it says nothing. */
export function readMarker(files: FileSystem, dir: string): Partial<Start> | null {
  const path = join(dir, CLEAN)
  if (!files.exists(path)) return null
  try {
    return (JSON.parse(readFile(files, path).toString('utf8')) ?? {}) as Partial<Start>
  } catch {
    return {}
  }
}

/** Whether the mark names the last start that the metadata knows: another one proves nothing. */
export function isSameStart(last: unknown, marker: Partial<Start> | null): boolean {
  const start = last as Start | null
  if (start === null || marker === null) return false
  return start.brokerEpoch === marker.brokerEpoch && start.id === marker.id
}

export function writeMarker(files: FileSystem, dir: string, start: Start): void {
  const text = `${JSON.stringify({ version: 0, ...start })}\n`
  replaceFile(files, join(dir, CLEAN), Buffer.from(text))
}
