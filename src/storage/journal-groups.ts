import { assert } from '../assert.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { ENTRY_BYTES, ENTRY_HEADER_BYTES, ENTRY_PAYLOAD } from '../shared/entry.ts'
import {
  CRC_AT,
  GROUP_ALIGN,
  GROUP_HEADER_BYTES,
  GROUP_MAGIC,
  groupBytes,
  SALT_AT,
} from './journal.ts'
import { JournalBytes, type JournalSource } from './journal-source.ts'
import { salvage } from './salvage.ts'

/** Thrown where durable bytes are damaged: nothing may be cut, an operator must decide. */
export class CorruptJournal extends Error {
  override readonly name = 'CorruptJournal'
}

/** Where the entries of a group are. */
export interface GroupEntries {
  readonly sequence: number
  readonly source: JournalSource
  readonly at: number
  readonly entryBytes: number
}

/** A group of a journal file; of one that is damaged, what is left of it. */
export interface Group extends GroupEntries {
  readonly incarnation: number
  readonly salt: bigint
  readonly durable: number
  readonly bytes: number
  readonly isSalvaged: boolean
}

/** Looked at, summed or copied at a time. */
const PIECE_BYTES = 64 * 1024

function readGroup(file: JournalSource, at: number): Group | null {
  const read = readAnyGroup(file, at)
  return read?.isWhole ? read.group : null
}

/** `isWhole`: it matches its checksum. */
export function readAnyGroup(
  file: JournalSource,
  start: number,
): { group: Group; isWhole: boolean } | null {
  if (start + GROUP_HEADER_BYTES > file.size) return null
  const header = file.bytes(start, GROUP_HEADER_BYTES)
  if (header.readUInt32LE(0) !== GROUP_MAGIC) return null
  const bytes = header.readUInt32LE(8)
  const entryBytes = header.readUInt32LE(12)
  if (bytes !== groupBytes(entryBytes) || start + bytes > file.size) return null
  const group = {
    incarnation: header.readDoubleLE(16),
    salt: header.readBigUInt64LE(SALT_AT),
    sequence: header.readDoubleLE(24),
    durable: header.readDoubleLE(32),
    source: file,
    at: start + GROUP_HEADER_BYTES,
    entryBytes,
    bytes,
    isSalvaged: false,
  }
  const stored = header.readUInt32LE(CRC_AT)
  const crc = checksum(file, start + CRC_AT + 4, group.at + entryBytes)
  return { group, isWhole: crc === stored }
}

function checksum(file: JournalSource, from: number, to: number): number {
  let crc = 0
  for (let at = from; at < to; at += PIECE_BYTES) {
    crc = crc32c(file.bytes(at, Math.min(PIECE_BYTES, to - at)), crc)
  }
  return crc
}

/**
 * A group that was flushed, as the one behind it says, and is damaged in the bytes of its batches only: then its entries'
 * headers tell which batches those were (salvage.ts).
 */
function readDamaged(file: JournalSource, at: number, last: Group | undefined): Group | null {
  const group = readAnyGroup(file, at)?.group
  if (group === undefined || (last !== undefined && !follows(group, last))) return null
  const next = readGroup(file, at + group.bytes)
  if (next === null || !follows(next, group) || next.durable < group.sequence) return null
  const entries = salvage(readEntries(group))
  if (entries === null) return null
  const source = new JournalBytes(entries)
  return { ...group, source, at: 0, entryBytes: entries.length, isSalvaged: true }
}

function follows(group: Group, last: Group): boolean {
  const isSameJournal = group.incarnation === last.incarnation && group.salt === last.salt
  return isSameJournal && group.sequence === last.sequence + 1
}

/** The groups at the start of a file that follow each other without a gap, whole or salvaged. */
function leadingGroups(file: JournalSource): { groups: Group[]; end: number } {
  const groups: Group[] = []
  let at = 0
  for (;;) {
    const last = groups.at(-1)
    const group = readGroup(file, at) ?? readDamaged(file, at, last)
    if (group === null) break
    if (last !== undefined && !follows(group, last)) break
    groups.push(group)
    at += group.bytes
  }
  return { groups, end: at }
}

/** Whole groups behind the leading ones: older ones not overwritten yet, or newer ones behind damage. */
function groupsBehind(file: JournalSource, from: number): Group[] {
  const groups: Group[] = []
  for (let piece = from; piece < file.size; piece += PIECE_BYTES) {
    for (const at of magicsIn(file, piece)) {
      const group = readGroup(file, at)
      if (group !== null) groups.push(group)
    }
  }
  return groups
}

/** Where groups may begin in one piece of a file: nearly nowhere, so that it must be quick to say. */
function magicsIn(file: JournalSource, from: number): number[] {
  const found: number[] = []
  const piece = file.bytes(from, Math.min(PIECE_BYTES, file.size - from))
  for (let at = 0; at + 4 <= piece.length; at += GROUP_ALIGN) {
    if (piece.readUInt32LE(at) === GROUP_MAGIC) found.push(from + at)
  }
  return found
}

/**
 * The salts of an incarnation: what lies at the start of a file is a group, never a part of a record. Null if both
 * starts are damaged or older: then nothing tells its groups from a client's, and it is safer to believe them all.
 */
function saltsOf(incarnation: number, files: readonly Group[][]): Set<bigint> | null {
  const salts = files.flatMap(([first]) => (first?.incarnation === incarnation ? [first.salt] : []))
  return salts.length === 0 ? null : new Set(salts)
}

/** What the checkpoint says of a journal: flushed are all groups of `incarnation`, and those of the next up to `sequence`. */
export interface JournalFlushed {
  readonly incarnation: number
  readonly sequence: number
}

/**
 * Reads what a crash left in the two files of a journal: all groups that are not flushed to the
 * segments, oldest first, the newest incarnation seen, and how many of the groups are salvaged. `flushed` is null if the checkpoint is missing or damaged.
 * A group that is not whole ends the journal, with all that follows: it was never acknowledged. But if a later one says
 * that it was flushed, durable bytes are damaged: what can be told of it is salvaged, or CorruptJournal is thrown.
 */
export function readJournal(
  files: readonly JournalSource[],
  flushed: JournalFlushed | null,
): { groups: readonly GroupEntries[]; incarnation: number; salvaged: number } {
  const read = files.map(file => ({ file, ...leadingGroups(file) }))
  const incarnation =
    flushed === null
      ? Math.max(0, ...read.map(r => r.groups[0]?.incarnation ?? 0))
      : flushed.incarnation + 1
  const after = flushed?.sequence ?? 0
  const salts = saltsOf(
    incarnation,
    read.map(r => r.groups),
  )
  const isLive = (g: Group): boolean =>
    g.incarnation === incarnation && g.sequence > after && (salts === null || salts.has(g.salt))
  const live = read.map(r => r.groups.filter(isLive)).filter(groups => groups.length > 0)
  live.sort((a, b) => a[0]!.sequence - b[0]!.sequence)
  const groups: Group[] = []
  for (const next of live) {
    const last = groups.at(-1)?.sequence ?? (flushed === null ? null : after)
    if (last === null || next[0]!.sequence === last + 1) groups.push(...next)
  }
  const end = groups.at(-1)?.sequence ?? after
  const behind = read.flatMap(r => groupsBehind(r.file, r.end).filter(isLive))
  const missed = [...live.flat(), ...behind].find(g => g.durable > end)
  if (missed !== undefined) {
    throw new CorruptJournal(
      `journal damaged: group ${missed.sequence} says that group ${missed.durable} was flushed, but only those up to ${end} are whole`,
    )
  }
  // Used already, even if nothing of it counts any more: the next start must not take the same number.
  const seen = after > 0 || groups.length > 0 || behind.length > 0
  return {
    groups,
    salvaged: groups.filter(g => g.isSalvaged).length,
    incarnation: seen ? incarnation : incarnation - 1,
  }
}

/** Of one file of a running journal, all groups. */
export function groupsOfRunning(file: JournalSource, incarnation: number): GroupEntries[] {
  return leadingGroups(file).groups.filter(g => g.incarnation === incarnation)
}

/** A copy of a group's entries. */
export function readEntries({ source, at, entryBytes }: Omit<GroupEntries, 'sequence'>): Buffer {
  const entries = Buffer.allocUnsafe(entryBytes)
  for (let done = 0; done < entryBytes; done += PIECE_BYTES) {
    source.bytes(at + done, Math.min(PIECE_BYTES, entryBytes - done)).copy(entries, done)
  }
  return entries
}

/** Calls back with the header of each entry of a group, where it is, and the bytes of the entry. */
export function forEachHeader(
  { source, at: start, entryBytes }: Omit<GroupEntries, 'sequence'>,
  visit: (header: Buffer, at: number, bytes: number) => void,
): void {
  for (let at = start; at + ENTRY_HEADER_BYTES <= start + entryBytes; ) {
    const header = source.bytes(at, ENTRY_HEADER_BYTES)
    const bytes = header.readUInt32LE(ENTRY_BYTES * 4)
    const payload = header.readUInt32LE(ENTRY_PAYLOAD * 4)
    assert(bytes >= ENTRY_HEADER_BYTES + payload, 'a journal entry holds its payload')
    visit(header, at, bytes)
    at += bytes
  }
}

/** The entries that lie one behind the other in these bytes. */
export function entriesIn(bytes: Buffer): Buffer[] {
  const entries: Buffer[] = []
  const group = { source: new JournalBytes(bytes), at: 0, entryBytes: bytes.length }
  forEachHeader(group, (_, at, length) => entries.push(bytes.subarray(at, at + length)))
  return entries
}
