import { join } from 'node:path'
import { COPIES } from '../metadata/copies.ts'
import { headerOf, parseLine, type Transaction } from '../metadata/log-file.ts'
import { type FileSystem, readFile } from '../storage/fs.ts'
import type { OffsetRange } from './finding.ts'

const NEWLINE = 0x0a

/** The transactions that are whole in either copy, by revision; `missing`: revisions that are in neither. */
export interface WholeTransactions {
  readonly transactions: Transaction[]
  readonly missing: OffsetRange[]
  /** Nothing may have followed that is in neither. */
  readonly isEndKnown: boolean
}

/**
 * Reads both copies line by line, past what is damaged. Null if there is no header, or a line of the snapshot behind it is in neither:
 * then nothing says what is missing.
 */
export function wholeTransactions(files: FileSystem, dir: string): WholeTransactions | null {
  const copies = COPIES.map(name => join(dir, name))
    .filter(path => files.exists(path))
    .map(path => wholeLines(readFile(files, path)))
  const lines = copies.flatMap(copy => copy.lines)
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
  const { revision } = transactions.at(-1)!
  const isEndKnown = copies.some(
    copy => copy.isEndWhole && revisionsOf(copy.lines.at(-1)).includes(revision),
  )
  return { transactions, missing: missingIn(transactions, header.revision), isEndKnown }
}

/** Behind the snapshot, revisions follow each other; in it, those are left out that nothing is left of. */
function missingIn(transactions: readonly Transaction[], snapshot: number): OffsetRange[] {
  const missing: OffsetRange[] = []
  let last = snapshot
  for (const { revision } of transactions.filter(one => one.revision > snapshot)) {
    if (revision > last + 1) missing.push({ from: last + 1, to: revision - 1 })
    last = revision
  }
  return missing
}

const revisionsOf = (line: unknown): number[] =>
  headerOf(line) === null ? (line as Transaction[]).map(({ revision }) => revision) : []

/** `isEndWhole`: behind the last one there is nothing, or what was never flushed. */
function wholeLines(bytes: Buffer): { lines: unknown[]; isEndWhole: boolean } {
  const lines: unknown[] = []
  let isEndWhole = true
  for (let at = 0; at < bytes.length; ) {
    const parsed = parseLine(bytes, at)
    isEndWhole = parsed.kind !== 'damaged'
    if (parsed.kind === 'line') {
      lines.push(parsed.content)
      at = parsed.end
      continue
    }
    const newline = bytes.indexOf(NEWLINE, at)
    at = newline === -1 ? bytes.length : newline + 1
  }
  return { lines, isEndWhole }
}
