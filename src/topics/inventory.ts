import * as fs from 'node:fs'
import { join } from 'node:path'
import { COPIES } from '../metadata/copies.ts'
import { journalPath } from '../storage/journal.ts'

export const META = 'meta.properties'
export const JOURNALS = 'journal'
/** Folders named when a start is refused. */
const NAMED_MAX = 3

/** Whether there is at least one copy of the metadata. */
export const hasMetadata = (dir: string): boolean =>
  COPIES.some(name => fs.existsSync(join(dir, name)))

/** The names of what may hold acknowledged records: partition folders, journals. Looks into every folder. */
export function dataIn(dir: string): string[] {
  return fs
    .readdirSync(dir)
    .filter(name => (name === JOURNALS ? hasJournals(dir) : isPartition(join(dir, name))))
}

function hasJournals(dir: string): boolean {
  const journals = join(dir, JOURNALS)
  return fs.statSync(journals).isDirectory() && fs.readdirSync(journals).length > 0
}

/** By name and by content: a folder of somebody else's may have such a name. */
function isPartition(path: string): boolean {
  if (!/-\d+$/.test(path) || !fs.statSync(path).isDirectory()) return false
  return fs.readdirSync(path).some(name => name === 'partition.metadata' || name.endsWith('.log'))
}

/** A few names of what is there. */
export function someOf(data: readonly string[]): string {
  const named = data.slice(0, NAMED_MAX).join(', ')
  return data.length > NAMED_MAX ? `${named} and ${data.length - NAMED_MAX} more` : named
}

/** Of the journals of so many workers, the files that are not there. */
export function missingJournals(dir: string, workers: number): string[] {
  const all = Array.from({ length: workers }, (_, worker) => join(JOURNALS, String(worker)))
  return all
    .flatMap(journal => [journalPath(journal, 0), journalPath(journal, 1)])
    .filter(path => !fs.existsSync(join(dir, path)))
}
