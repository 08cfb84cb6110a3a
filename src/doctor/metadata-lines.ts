import { join } from 'node:path'
import { COPIES } from '../metadata/copies.ts'
import { headerOf, parseLine, type Transaction } from '../metadata/log-file.ts'
import { type FileSystem, readFile } from '../storage/fs.ts'

const NEWLINE = 0x0a

/** Not every revision is named. */
const NAMED_MAX = 20

/** The transactions that are whole in either copy, by revision; `missing`: revisions that are in neither. */
export interface WholeTransactions {
  readonly transactions: Transaction[]
  readonly missing: string[]
}

/**
 * Reads both copies line by line, past what is damaged. Null if there is no header, or a line of the snapshot behind it is in neither:
 * then nothing says what is missing.
 */
export function wholeTransactions(files: FileSystem, dir: string): WholeTransactions | null {
  const lines = COPIES.map(name => join(dir, name))
    .filter(path => files.exists(path))
    .flatMap(path => wholeLines(readFile(files, path)))
  const headers = lines.map(headerOf).filter(header => header !== null)
  const header = headers.sort((a, b) => b.revision - a.revision)[0]
  if (header === undefined) return null
  const found = new Map<number, Transaction>()
  /** Lines of the snapshot, by their first revision. */
  const ofSnapshot = new Set<number>()
  for (const line of lines.filter(line => headerOf(line) === null) as Transaction[][]) {
    if (line[0] !== undefined && line[0].revision <= header.revision) {
      ofSnapshot.add(line[0].revision)
    }
    for (const one of line) found.set(one.revision, one)
  }
  if (ofSnapshot.size < header.lines || found.size === 0) return null
  const transactions = [...found.values()].sort((a, b) => a.revision - b.revision)
  return { transactions, missing: missingIn(transactions, header.revision) }
}

/** Behind the snapshot, revisions follow each other; in it, those are left out that nothing is left of. */
function missingIn(transactions: readonly Transaction[], snapshot: number): string[] {
  const missing: string[] = []
  let last = snapshot
  for (const { revision } of transactions.filter(one => one.revision > snapshot)) {
    if (revision > last + 1 && missing.length < NAMED_MAX)
      missing.push(`${last + 1} to ${revision - 1}`)
    last = revision
  }
  return missing
}

function wholeLines(bytes: Buffer): unknown[] {
  const lines: unknown[] = []
  for (let at = 0; at < bytes.length; ) {
    const parsed = parseLine(bytes, at)
    if (parsed.kind === 'line') {
      lines.push(parsed.content)
      at = parsed.end
      continue
    }
    const newline = bytes.indexOf(NEWLINE, at)
    at = newline === -1 ? bytes.length : newline + 1
  }
  return lines
}
