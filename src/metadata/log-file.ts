import { crc32c } from '../protocol/crc32c.ts'
import type { KeyChange } from './store.ts'

/*
 * A copy of the metadata log: lines of text, each `crc32c-of-json length-of-json json\n`, both numbers
 * of 8 hex digits, the length in bytes. The first line is the header, every other line the
 * transactions of one flush.
 *
 * A file is never seen without its header and snapshot, which are written aside, flushed and
 * renamed into place; after them, at most the last line can be unflushed.
 */

const FORMAT = 'odradek-metadata'
const FORMAT_VERSION = 1
const PREFIX_BYTES = 18
const NEWLINE = 0x0a

/** First line. */
interface Header {
  readonly format: typeof FORMAT
  readonly version: number
  /** Revision of the snapshot that follows; transactions after it count on from here. */
  readonly revision: number
  /** Lines of the snapshot. */
  readonly lines: number
}

/** One key. Deletions by prefix or lease are in the log as what they deleted. */
export interface LoggedChange extends KeyChange {
  /** In a snapshot, if it is another than the transaction's: what the log said of it is gone. */
  readonly created?: number
}

/** One transaction; in a snapshot, what is left of it. */
export interface Transaction {
  readonly revision: number
  readonly changes: readonly LoggedChange[]
}

const hex = (value: number) => value.toString(16).padStart(8, '0')

export function encodeLine(content: Header | readonly Transaction[]): Buffer {
  const json = Buffer.from(JSON.stringify(content))
  return Buffer.concat([
    Buffer.from(`${hex(crc32c(json))} ${hex(json.length)} `),
    json,
    Buffer.from('\n'),
  ])
}

export const newHeader = (revision: number, lines: number): Header => ({
  format: FORMAT,
  version: FORMAT_VERSION,
  revision,
  lines,
})

/** What the bytes at a position are: a whole line, a line cut short by a crash, or damage. */
type Parsed =
  | { readonly kind: 'line'; readonly content: unknown; readonly end: number }
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged' }

/**
 * A last line whose bytes are not all there was never flushed, so never acknowledged. So was one
 * with zero bytes, which JSON never holds: the file had grown but its data had not arrived. Any
 * other bad line is damage to what was durable.
 */
function classify(bytes: Buffer, start: number, end: number | null): Parsed {
  const newline = bytes.indexOf(NEWLINE, start)
  const last = newline === -1 || newline === bytes.length - 1
  const whole = newline !== -1 || end === bytes.length
  const zeros = bytes.indexOf(0, start) !== -1
  return { kind: last && (zeros || !whole) ? 'torn' : 'damaged' }
}

export function parseLine(bytes: Buffer, start: number): Parsed {
  const prefix = bytes.toString('latin1', start, start + PREFIX_BYTES)
  const match = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(prefix)
  if (match === null) return classify(bytes, start, null)
  const jsonStart = start + PREFIX_BYTES
  const end = jsonStart + Number.parseInt(match[2]!, 16) + 1
  const json = bytes.subarray(jsonStart, end - 1)
  const good = bytes[end - 1] === NEWLINE && crc32c(json) === Number.parseInt(match[1]!, 16)
  return good
    ? { kind: 'line', content: JSON.parse(json.toString()), end }
    : classify(bytes, start, end)
}

export function headerOf(content: unknown): Header | null {
  const header = content as Partial<Header>
  const ok = header.format === FORMAT && header.version === FORMAT_VERSION
  return ok && Number.isSafeInteger(header.revision) && Number.isSafeInteger(header.lines)
    ? (header as Header)
    : null
}

/** Revisions of a snapshot rise up to the header's; after it they count on by one. */
function follows(next: number, last: number, header: Header, inSnapshot: boolean): boolean {
  return inSnapshot ? next > last && next <= header.revision : next === last + 1
}

/** What one copy holds. */
export interface CopyContent {
  readonly transactions: readonly Transaction[]
  /** That they lead to; NO_STATE if not even the header and the snapshot are good. */
  readonly revision: number
  /** Where the good bytes end. */
  readonly end: number
  /** `torn`: what follows was never flushed; `damaged`: it may have been. */
  readonly ending: 'whole' | 'torn' | 'damaged'
  /** Of a damaged one: where and what. */
  readonly problem: string
}

export const NO_STATE = -1

/** Reads a copy up to where it is no longer good. */
export function readCopy(bytes: Buffer): CopyContent {
  const first = parseLine(bytes, 0)
  const header = first.kind === 'line' ? headerOf(first.content) : null
  if (first.kind !== 'line' || header === null) {
    return damaged(0, `it does not start with a header of ${FORMAT} ${FORMAT_VERSION}`)
  }
  const transactions: Transaction[] = []
  let revision = 0
  let at = first.end
  let line = 0
  let ending: CopyContent['ending'] = 'whole'
  let problem = ''
  for (; at < bytes.length && ending === 'whole'; line++) {
    const inSnapshot = line < header.lines
    if (line === header.lines) revision = header.revision
    const parsed = parseLine(bytes, at)
    if (parsed.kind !== 'line') {
      ending = parsed.kind
      problem = 'a line does not match its checksum'
      break
    }
    const wrong = wrongRevision(parsed.content as Transaction[], revision, header, inSnapshot)
    if (wrong !== null) {
      ending = 'damaged'
      problem = wrong
      break
    }
    for (const transaction of parsed.content as Transaction[]) transactions.push(transaction)
    revision = transactions.at(-1)?.revision ?? revision
    at = parsed.end
  }
  if (line < header.lines) {
    return damaged(at, ending === 'damaged' ? problem : 'its snapshot is cut short')
  }
  revision = Math.max(revision, header.revision)
  return { transactions, revision, end: at, ending, problem: `at byte ${at}: ${problem}` }
}

const damaged = (at: number, problem: string): CopyContent => ({
  transactions: [],
  revision: NO_STATE,
  end: 0,
  ending: 'damaged',
  problem: `at byte ${at}: ${problem}`,
})

/** What is wrong with the revisions of a line, or null. */
function wrongRevision(
  line: readonly Transaction[],
  before: number,
  header: Header,
  inSnapshot: boolean,
): string | null {
  let last = before
  for (const { revision } of line) {
    if (!follows(revision, last, header, inSnapshot)) return `revision ${revision} follows ${last}`
    last = revision
  }
  return null
}
