import * as fs from 'node:fs'
import { join } from 'node:path'
import { realFileSystem, replaceFile } from '../storage/fs.ts'

/** The mark of a clean stop; Kafka's name. */
export const CLEAN = '.kafka_cleanshutdown'

/** One start of the broker on this folder; kept in the metadata, and named by the mark that its clean stop leaves. */
export interface Start {
  readonly brokerEpoch: number
  /** Drawn at random: metadata that was put back counts the same epoch again. */
  readonly id: string
}

/** What the mark of a clean stop says; null if there is none, undefined members if it says nothing. */
export function readMarker(dir: string): Partial<Start> | null {
  const path = join(dir, CLEAN)
  if (!fs.existsSync(path)) return null
  try {
    return (JSON.parse(fs.readFileSync(path, 'utf8')) ?? {}) as Partial<Start>
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

export function writeMarker(dir: string, start: Start): void {
  const text = `${JSON.stringify({ version: 0, ...start })}\n`
  replaceFile(realFileSystem, join(dir, CLEAN), Buffer.from(text))
}
