import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { assert } from '../assert.ts'
import { crc32c } from '../protocol/crc32c.ts'
import type { FileSystem } from './fs.ts'

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
export const CRC_AT = 4
export const SALT_AT = 40
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

/** Bytes of a group with so many bytes of entries. */
export function groupBytes(entryBytes: number): number {
  return (GROUP_HEADER_BYTES + entryBytes + GROUP_ALIGN - 1) & -GROUP_ALIGN
}
