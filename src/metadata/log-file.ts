import { crc32c } from '../protocol/crc32c.ts'
import type { Change } from './store.ts'

/*
 * The file metadata.log: lines of text, each `crc32c-of-json length-of-json json\n`, both numbers
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

/** One transaction; in a snapshot, what is left of it. */
export interface Transaction {
  readonly revision: number
  readonly changes: readonly Change[]
}

export class MetadataCorrupt extends Error {
  override readonly name = 'MetadataCorrupt'

  constructor(path: string, position: number, what: string) {
    super(
      `${path} is corrupt at byte ${position}: ${what}. Nothing was changed; restore the file from a copy.`,
    )
  }
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

function parseLine(bytes: Buffer, start: number): Parsed {
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

function headerOf(content: unknown): Header | null {
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

/**
 * Reads a whole file and gives each transaction, in order, to `apply`.
 * @returns the revision reached and where the good bytes end; what lies after them is a torn line
 * @throws MetadataCorrupt when anything but the last, unflushed line is bad
 */
export function readLog(
  path: string,
  bytes: Buffer,
  apply: (transaction: Transaction) => void,
): { revision: number; end: number } {
  const first = parseLine(bytes, 0)
  const header = first.kind === 'line' ? headerOf(first.content) : null
  if (first.kind !== 'line' || header === null) {
    throw new MetadataCorrupt(
      path,
      0,
      `it does not start with a header of ${FORMAT} ${FORMAT_VERSION}`,
    )
  }
  let revision = 0
  let at = first.end
  let line = 0
  for (; at < bytes.length; line++) {
    const inSnapshot = line < header.lines
    if (line === header.lines) revision = header.revision
    const parsed = parseLine(bytes, at)
    if (parsed.kind === 'damaged')
      throw new MetadataCorrupt(path, at, 'a line does not match its checksum')
    if (parsed.kind === 'torn') break
    for (const transaction of parsed.content as Transaction[]) {
      if (!follows(transaction.revision, revision, header, inSnapshot)) {
        const what = `revision ${transaction.revision} follows ${revision}`
        throw new MetadataCorrupt(path, at, what)
      }
      apply(transaction)
      revision = transaction.revision
    }
    at = parsed.end
  }
  if (line < header.lines) throw new MetadataCorrupt(path, at, 'its snapshot is cut short')
  return { revision: Math.max(revision, header.revision), end: at }
}
