import { join } from 'node:path'
import { assert } from '../assert.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { ENTRY_BYTES, ENTRY_HEADER_BYTES, ENTRY_PAYLOAD } from '../shared/entry.ts'
import type { FileSystem } from './fs.ts'

/**
 * A worker's journal: two files, overwritten in turn, each a row of groups. One write and one flush make a whole group
 * durable, whatever the number of partitions in it.
 *
 *   group header, 64 bytes, little-endian, then the group's entries as they lie in the ring (shared/entry.ts), then
 *   zeros up to a multiple of 512, so that a torn write never touches the sector of a durable group:
 *   0 magic u32 | 4 crc32c u32 of the rest of header and entries | 8 group bytes u32, padding included
 *   12 entry bytes u32 | 16 incarnation f64 | 24 sequence f64 | 32 zeros
 *
 * The incarnation counts the times the journal was opened, the sequence the groups since then.
 */
export const GROUP_ALIGN = 512
export const GROUP_HEADER_BYTES = 64
const MAGIC = 0x4a47444f // "ODGJ"
const CRC_AT = 4
/** Room made ahead at a time while there is no idle moment to make more. */
const GROW_BYTES = 1024 * 1024
const ZEROS = Buffer.alloc(GROW_BYTES)

export const journalPath = (dir: string, file: number): string => join(dir, `${file}.journal`)

export class Journal {
  readonly #files: FileSystem
  readonly #fds: [number, number]
  readonly #fileBytes: number
  readonly #incarnation: number
  readonly #header = Buffer.alloc(GROUP_HEADER_BYTES)
  /** Bytes of each file that exist already: overwriting them needs no new metadata, which makes the flush cheaper. */
  readonly #allocated: [number, number]
  #current: 0 | 1 = 0
  #position = 0
  #sequence = 0

  constructor(files: FileSystem, dir: string, fileBytes: number, incarnation: number) {
    this.#files = files
    this.#fileBytes = fileBytes
    this.#incarnation = incarnation
    files.mkdir(dir)
    this.#fds = [
      files.open(journalPath(dir, 0), 'create'),
      files.open(journalPath(dir, 1), 'create'),
    ]
    this.#allocated = [files.size(this.#fds[0]), files.size(this.#fds[1])]
    files.fsyncDir(dir)
  }

  get isUsed(): boolean {
    return this.#sequence > 0
  }

  get current(): 0 | 1 {
    return this.#current
  }

  /** Whether a group with this many entry bytes needs the other file, whose old groups must be flushed first. */
  needsTurn(entryBytes: number): boolean {
    const bytes = groupBytes(entryBytes)
    assert(bytes <= this.#fileBytes, 'a group fits into a journal file')
    return this.#position + bytes > this.#fileBytes
  }

  /** Starts over in the other file. The caller has flushed everything that file still protected. */
  turn(): void {
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
    header.writeUInt32LE(MAGIC, 0)
    header.writeUInt32LE(bytes, 8)
    header.writeUInt32LE(entries, 12)
    header.writeDoubleLE(this.#incarnation, 16)
    header.writeDoubleLE(++this.#sequence, 24)
    let crc = crc32c(header.subarray(CRC_AT + 4))
    for (const run of runs) crc = crc32c(run, crc)
    header.writeUInt32LE(crc, CRC_AT)
    const padding = bytes - GROUP_HEADER_BYTES - entries
    const buffers = [header, ...runs]
    if (padding > 0) buffers.push(ZEROS.subarray(0, padding))
    this.#makeRoom(bytes)
    const fd = this.#fds[this.#current]
    this.#files.write(fd, buffers, this.#position)
    if (flush) this.#files.fdatasync(fd)
    this.#position += bytes
    this.#allocated[this.#current] = Math.max(this.#allocated[this.#current], this.#position)
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

function groupBytes(entryBytes: number): number {
  return (GROUP_HEADER_BYTES + entryBytes + GROUP_ALIGN - 1) & -GROUP_ALIGN
}

/** Thrown where durable bytes are damaged: nothing may be cut, an operator must decide. */
export class CorruptJournal extends Error {
  override readonly name = 'CorruptJournal'
}

interface Group {
  readonly incarnation: number
  readonly sequence: number
  readonly entries: Buffer
  readonly bytes: number
}

function readGroup(file: Buffer, at: number): Group | null {
  if (at + GROUP_HEADER_BYTES > file.length || file.readUInt32LE(at) !== MAGIC) return null
  const bytes = file.readUInt32LE(at + 8)
  const entryBytes = file.readUInt32LE(at + 12)
  if (bytes !== groupBytes(entryBytes) || at + bytes > file.length) return null
  const end = at + GROUP_HEADER_BYTES + entryBytes
  const headerCrc = crc32c(file.subarray(at + CRC_AT + 4, at + GROUP_HEADER_BYTES))
  const crc = crc32c(file.subarray(at + GROUP_HEADER_BYTES, end), headerCrc)
  if (crc !== file.readUInt32LE(at + CRC_AT)) return null
  return {
    incarnation: file.readDoubleLE(at + 16),
    sequence: file.readDoubleLE(at + 24),
    entries: file.subarray(at + GROUP_HEADER_BYTES, end),
    bytes,
  }
}

/** The groups at the start of a file that follow each other without a gap. */
function leadingGroups(file: Buffer, flushedIncarnation: number): { groups: Group[]; end: number } {
  const groups: Group[] = []
  let at = 0
  for (;;) {
    const group = readGroup(file, at)
    const last = groups.at(-1)
    if (group === null || group.incarnation <= flushedIncarnation) break
    if (last !== undefined) {
      if (group.incarnation !== last.incarnation || group.sequence !== last.sequence + 1) break
    }
    groups.push(group)
    at += group.bytes
  }
  return { groups, end: at }
}

/**
 * Reads what a crash left in the two files of a journal: the entries of all groups after the given incarnation, oldest
 * first, and their incarnation (0 if there are none). A group that is not whole ends the journal if nothing newer stands behind it (a torn write, never
 * acknowledged); if a newer one does, durable bytes were damaged and CorruptJournal is thrown.
 */
export function readJournal(
  files: readonly Buffer[],
  flushedIncarnation: number,
): { groups: Buffer[]; incarnation: number } {
  const read = files.map(file => ({ file, ...leadingGroups(file, flushedIncarnation) }))
  const live = read.filter(r => r.groups.length > 0)
  live.sort((a, b) => a.groups[0]!.sequence - b.groups[0]!.sequence)
  const groups: Group[] = []
  for (const { groups: next } of live) {
    const last = groups.at(-1)
    const first = next[0]!
    if (last !== undefined) {
      if (first.incarnation !== last.incarnation || first.sequence !== last.sequence + 1) {
        throw new CorruptJournal(
          `journal damaged: group ${last.sequence} is followed by group ${first.sequence}`,
        )
      }
    }
    groups.push(...next)
  }
  const newest = groups.at(-1)
  for (const { file, end } of read) refuseNewer(file, end, newest, flushedIncarnation)
  return { groups: groups.map(g => g.entries), incarnation: newest?.incarnation ?? 0 }
}

/** Looks behind the last good group for a newer whole one: then what lies between was durable and is damaged. */
function refuseNewer(
  file: Buffer,
  from: number,
  newest: Group | undefined,
  flushedIncarnation: number,
): void {
  for (let at = from; at + GROUP_HEADER_BYTES <= file.length; at += GROUP_ALIGN) {
    if (file.readUInt32LE(at) !== MAGIC) continue
    const group = readGroup(file, at)
    if (group === null || group.incarnation <= flushedIncarnation) continue
    const isNewer =
      newest === undefined
        ? group.sequence > 1
        : group.incarnation === newest.incarnation && group.sequence > newest.sequence
    if (isNewer) {
      throw new CorruptJournal(
        `journal damaged: group ${group.sequence} is whole at byte ${at}, but the one before it is not`,
      )
    }
  }
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
