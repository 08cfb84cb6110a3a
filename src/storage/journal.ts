import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { assert } from '../assert.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { ENTRY_BYTES, ENTRY_HEADER_BYTES, ENTRY_PAYLOAD } from '../shared/entry.ts'
import type { FileSystem } from './fs.ts'
import { salvage } from './salvage.ts'

/**
 * A worker's journal: two files, overwritten in turn, each a row of groups. One write and one flush make a whole group
 * durable, whatever the number of partitions in it.
 *
 *   group header, 64 bytes, little-endian, then the group's entries as they lie in the ring (shared/entry.ts), then
 *   zeros up to a multiple of 512, so that a torn write never touches the sector of a durable group:
 *   0 magic u32 | 4 crc32c u32 of the rest of header and entries | 8 group bytes u32, padding included
 *   12 entry bytes u32 | 16 incarnation f64 | 24 sequence f64 | 32 durable f64 | 40 salt, 8 bytes
 *   48 zeros
 *
 * The incarnation counts the times the journal was opened, the sequence the groups since then; `durable` is the newest
 * group that was flushed when this one was written. Groups of marks are not flushed on their own, so that a crash may
 * leave a later group without them: only what `durable` names is missed. The salt is drawn at random when the journal
 * is opened: incarnations and sequences can be guessed, so that without it a client's records could pass for a group.
 */
export const GROUP_ALIGN = 512
export const GROUP_HEADER_BYTES = 64
export const GROUP_MAGIC = 0x4a47444f // "ODGJ"
const CRC_AT = 4
const SALT_AT = 40
const SALT_BYTES = 8
/** Room made ahead at a time: small, for the flush that pays for it is one that requests wait for. */
const GROW_BYTES = 128 * 1024
const ZEROS = Buffer.alloc(GROW_BYTES)

export const journalPath = (dir: string, file: number): string => join(dir, `${file}.journal`)

export class Journal {
  readonly #files: FileSystem
  readonly #fds: [number, number]
  readonly #fileBytes: number
  readonly #header = Buffer.alloc(GROUP_HEADER_BYTES)
  /** Bytes of each file that exist already: overwriting them needs no new metadata, which makes the flush cheaper. */
  readonly #allocated: [number, number]
  #current: 0 | 1 = 0
  #position = 0
  #sequence = 0
  /** The newest group that is flushed. */
  #durable = 0
  /** The last group before the current file. */
  #before = 0

  constructor(files: FileSystem, dir: string, fileBytes: number, incarnation: number) {
    this.#files = files
    this.#fileBytes = fileBytes
    this.#header.writeUInt32LE(GROUP_MAGIC, 0)
    this.#header.writeDoubleLE(incarnation, 16)
    randomBytes(SALT_BYTES).copy(this.#header, SALT_AT)
    files.mkdir(dir)
    this.#fds = [
      files.open(journalPath(dir, 0), 'create'),
      files.open(journalPath(dir, 1), 'create'),
    ]
    this.#allocated = [files.size(this.#fds[0]), files.size(this.#fds[1])]
    // The folders may be new too: the names above are flushed as well, up to the data folder.
    for (const names of [dir, dirname(dir), dirname(dirname(dir))]) files.fsyncDir(names)
  }

  get isUsed(): boolean {
    return this.#sequence > 0
  }

  get current(): 0 | 1 {
    return this.#current
  }

  get sequence(): number {
    return this.#sequence
  }

  /** The groups up to this one are in the other file. */
  get sequenceBefore(): number {
    return this.#before
  }

  /** How much of the current file is used, 0 to 1. */
  get fill(): number {
    return this.#position / this.#fileBytes
  }

  /** Whether a group with this many entry bytes needs the other file, whose old groups must be flushed first. */
  needsTurn(entryBytes: number): boolean {
    const bytes = groupBytes(entryBytes)
    assert(bytes <= this.#fileBytes, 'a group fits into a journal file')
    return this.#position + bytes > this.#fileBytes
  }

  /** Starts over in the other file. The caller has flushed everything that file still protected. */
  turn(): void {
    if (this.#durable < this.#sequence) this.#flush()
    this.#before = this.#sequence
    this.#current = this.#current === 0 ? 1 : 0
    this.#position = 0
  }

  /**
   * Writes one group: `runs` are pieces of the ring, whole entries each. With `flush`, it is durable on return.
   * A failure leaves the journal unusable: the caller never writes to it again.
   */
  append(runs: readonly Buffer[], flush: boolean): void {
    let entries = 0
    for (const run of runs) entries += run.length
    const bytes = groupBytes(entries)
    const header = this.#header
    header.writeUInt32LE(bytes, 8)
    header.writeUInt32LE(entries, 12)
    header.writeDoubleLE(++this.#sequence, 24)
    header.writeDoubleLE(this.#durable, 32)
    let crc = crc32c(header.subarray(CRC_AT + 4))
    for (const run of runs) crc = crc32c(run, crc)
    header.writeUInt32LE(crc, CRC_AT)
    const padding = bytes - GROUP_HEADER_BYTES - entries
    const buffers = [header, ...runs]
    if (padding > 0) buffers.push(ZEROS.subarray(0, padding))
    this.#makeRoom(bytes)
    const fd = this.#fds[this.#current]
    this.#files.write(fd, buffers, this.#position)
    if (flush) this.#flush()
    this.#position += bytes
    this.#allocated[this.#current] = Math.max(this.#allocated[this.#current], this.#position)
  }

  #flush(): void {
    this.#files.fdatasync(this.#fds[this.#current])
    this.#durable = this.#sequence
  }

  #makeRoom(bytes: number): void {
    if (this.#position + bytes > this.#allocated[this.#current]) {
      this.#preallocate(this.#current, this.#position + bytes + GROW_BYTES)
    }
  }

  /** Extends one file a little towards its full size; false if both are full. For idle moments. */
  preallocateSome(): boolean {
    for (const file of [0, 1] as const) {
      if (this.#allocated[file] < this.#fileBytes) {
        this.#preallocate(file, this.#allocated[file] + GROW_BYTES)
        this.#files.fdatasync(this.#fds[file])
        return true
      }
    }
    return false
  }

  #preallocate(file: 0 | 1, bytes: number): void {
    const until = Math.min(bytes, this.#fileBytes)
    let at = this.#allocated[file]
    for (; at < until; at += GROW_BYTES) {
      this.#files.write(this.#fds[file], [ZEROS.subarray(0, Math.min(GROW_BYTES, until - at))], at)
    }
    this.#allocated[file] = Math.max(this.#allocated[file], until)
  }

  close(): void {
    for (const fd of this.#fds) this.#files.close(fd)
  }
}

export function groupBytes(entryBytes: number): number {
  return (GROUP_HEADER_BYTES + entryBytes + GROUP_ALIGN - 1) & -GROUP_ALIGN
}

/** Thrown where durable bytes are damaged: nothing may be cut, an operator must decide. */
export class CorruptJournal extends Error {
  override readonly name = 'CorruptJournal'
}

/** A group of a journal file; of one that is damaged, what is left of it. */
export interface Group {
  readonly incarnation: number
  readonly salt: bigint
  readonly sequence: number
  readonly durable: number
  readonly entries: Buffer
  readonly bytes: number
  readonly isSalvaged: boolean
}

function readGroup(file: Buffer, at: number): Group | null {
  const read = readAnyGroup(file, at)
  return read?.isWhole ? read.group : null
}

/** `isWhole`: it matches its checksum. */
export function readAnyGroup(file: Buffer, at: number): { group: Group; isWhole: boolean } | null {
  if (at + GROUP_HEADER_BYTES > file.length || file.readUInt32LE(at) !== GROUP_MAGIC) return null
  const bytes = file.readUInt32LE(at + 8)
  const entryBytes = file.readUInt32LE(at + 12)
  if (bytes !== groupBytes(entryBytes) || at + bytes > file.length) return null
  const end = at + GROUP_HEADER_BYTES + entryBytes
  const headerCrc = crc32c(file.subarray(at + CRC_AT + 4, at + GROUP_HEADER_BYTES))
  const crc = crc32c(file.subarray(at + GROUP_HEADER_BYTES, end), headerCrc)
  const group = {
    incarnation: file.readDoubleLE(at + 16),
    salt: file.readBigUInt64LE(at + SALT_AT),
    sequence: file.readDoubleLE(at + 24),
    durable: file.readDoubleLE(at + 32),
    entries: file.subarray(at + GROUP_HEADER_BYTES, end),
    bytes,
    isSalvaged: false,
  }
  return { group, isWhole: crc === file.readUInt32LE(at + CRC_AT) }
}

/**
 * A group that was flushed, as the one behind it says, and is damaged in the bytes of its batches only: then its entries'
 * headers tell which batches those were (salvage.ts).
 */
function readDamaged(file: Buffer, at: number, last: Group | undefined): Group | null {
  const group = readAnyGroup(file, at)?.group
  if (group === undefined || (last !== undefined && !follows(group, last))) return null
  const next = readGroup(file, at + group.bytes)
  if (next === null || !follows(next, group) || next.durable < group.sequence) return null
  const entries = salvage(group.entries)
  return entries === null ? null : { ...group, entries, isSalvaged: true }
}

function follows(group: Group, last: Group): boolean {
  const isSameJournal = group.incarnation === last.incarnation && group.salt === last.salt
  return isSameJournal && group.sequence === last.sequence + 1
}

/** The groups at the start of a file that follow each other without a gap, whole or salvaged. */
function leadingGroups(file: Buffer): { groups: Group[]; end: number } {
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
function groupsBehind(file: Buffer, from: number): Group[] {
  const groups: Group[] = []
  for (let at = from; at + GROUP_HEADER_BYTES <= file.length; at += GROUP_ALIGN) {
    const group = file.readUInt32LE(at) === GROUP_MAGIC ? readGroup(file, at) : null
    if (group !== null) groups.push(group)
  }
  return groups
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
 * Reads what a crash left in the two files of a journal: the entries of all groups that are not flushed to the
 * segments, oldest first, the newest incarnation seen, and how many of the groups are salvaged. `flushed` is null if the checkpoint is missing or damaged.
 * A group that is not whole ends the journal, with all that follows: it was never acknowledged. But if a later one says
 * that it was flushed, durable bytes are damaged: what can be told of it is salvaged, or CorruptJournal is thrown.
 */
export function readJournal(
  files: readonly Buffer[],
  flushed: JournalFlushed | null,
): { groups: Buffer[]; incarnation: number; salvaged: number } {
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
    groups: groups.map(g => g.entries),
    salvaged: groups.filter(g => g.isSalvaged).length,
    incarnation: seen ? incarnation : incarnation - 1,
  }
}

/** Of one file of a running journal, all groups' entries. */
export function readJournalFile(file: Buffer, incarnation: number): Buffer[] {
  const { groups } = leadingGroups(file)
  return groups.filter(g => g.incarnation === incarnation).map(g => g.entries)
}

/** Calls back for each entry of a group with the entry's bytes, header first. */
export function forEachEntry(entries: Buffer, visit: (entry: Buffer) => void): void {
  for (let at = 0; at + ENTRY_HEADER_BYTES <= entries.length; ) {
    const bytes = entries.readUInt32LE(at + ENTRY_BYTES * 4)
    const payload = entries.readUInt32LE(at + ENTRY_PAYLOAD * 4)
    assert(bytes >= ENTRY_HEADER_BYTES + payload, 'a journal entry holds its payload')
    visit(entries.subarray(at, at + bytes))
    at += bytes
  }
}
