import { join } from 'node:path'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_KIND,
  ENTRY_LAST_DELTA,
  ENTRY_PAYLOAD,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
  KIND_DAMAGED,
  KIND_MARK,
} from '../shared/entry.ts'
import { scanBatches } from './batch-scanner.ts'
import { CorruptLog } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import type { JournalledEntry } from './journalled.ts'
import { isBatchOf } from './salvage.ts'
import { fileName } from './segment.ts'

/** A partition's log as it lies on the disk, and what is known of it. */
export interface ReplayInput {
  readonly dir: string
  readonly name: string
  /** Everything below was flushed; 0 if unknown. */
  readonly recoveryPoint: number
  /** Base offsets of the segments, ascending. */
  readonly bases: readonly number[]
  /** Segments that compaction has written: nothing in them lies where it once lay. */
  readonly cleaned: Readonly<Record<number, number>>
}

/** What is certain to be on disk: all below `flushedOffset`; `endOffset` is the end of what was ever acknowledged. */
export interface Durable {
  readonly flushedOffset: number
  readonly endOffset: number
}

interface Entry {
  readonly isMark: boolean
  readonly isDamaged: boolean
  readonly segmentBase: number
  readonly position: number
  readonly baseOffset: number
  readonly endOffset: number
  /** Of the batch. */
  readonly bytes: number
  readonly journalled: JournalledEntry
}

/**
 * Writes a partition's journalled batches where they belong, and flushes them. All is decided before anything is written:
 * what is in the segments may be newer than the journal, if nothing says any more what of it was flushed.
 * @throws CorruptLog, and nothing is changed
 */
export function replay(
  files: FileSystem,
  input: ReplayInput,
  journal: readonly JournalledEntry[],
): Durable {
  const entries = journal.map(parseEntry)
  let flushedOffset = input.recoveryPoint
  for (const entry of entries) {
    if (entry.isMark) flushedOffset = Math.max(flushedOffset, entry.endOffset)
  }
  let endOffset = flushedOffset
  const missed = entries.filter(entry => !entry.isMark && entry.endOffset > flushedOffset)
  const open = new Map<number, OpenSegment>()
  try {
    for (const entry of missed) {
      // A segment below the first one was removed on purpose (retention, DeleteRecords): so were its records.
      if (entry.segmentBase < (input.bases[0] ?? 0)) continue
      endOffset = Math.max(endOffset, entry.endOffset)
      const owner = input.bases.findLast(base => base <= entry.baseOffset)
      if (owner === undefined || input.cleaned[owner] !== undefined) continue
      let segment = open.get(entry.segmentBase)
      if (segment === undefined) {
        segment = OpenSegment.open(files, input, entry.segmentBase)
        open.set(entry.segmentBase, segment)
      }
      segment.plan(entry)
    }
    for (const segment of open.values()) segment.write()
  } finally {
    for (const segment of open.values()) segment.close()
  }
  return { flushedOffset, endOffset }
}

/** A segment that entries belong to: first all of them are planned, then they are written. */
class OpenSegment {
  readonly #files: FileSystem
  readonly #name: string
  readonly #base: number
  readonly #fd: number
  readonly #isLast: boolean
  readonly #planned: Entry[] = []
  readonly #size: number
  /** What will be its size. */
  #grown: number
  #scratch = Buffer.alloc(0)
  /** Where its whole batches end; -1 before that was needed. */
  #wholeUntil = -1

  static open(files: FileSystem, { dir, name, bases }: ReplayInput, base: number): OpenSegment {
    if (!bases.includes(base)) throw new CorruptLog(`${name}: segment ${base} is missing`)
    const fd = files.open(join(dir, fileName(base, 'log')), 'write')
    return new OpenSegment(files, name, base, fd, base === bases.at(-1))
  }

  private constructor(files: FileSystem, name: string, base: number, fd: number, isLast: boolean) {
    this.#files = files
    this.#name = name
    this.#base = base
    this.#fd = fd
    this.#isLast = isLast
    this.#size = files.size(fd)
    this.#grown = this.#size
  }

  /** @throws CorruptLog if the entry cannot belong there */
  plan(entry: Entry): void {
    const { position, bytes } = entry
    if (position > this.#grown) {
      throw new CorruptLog(
        `${this.#name}: segment ${this.#base} ends at byte ${this.#grown}, but flushed records follow at ${position}`,
      )
    }
    const isThere = this.#holds(entry)
    if (!isThere && entry.isDamaged) {
      throw new CorruptLog(
        `${this.#name}: offset ${entry.baseOffset} is damaged in the journal, and segment ${this.#base} does not have it at byte ${position}; nothing was written`,
      )
    }
    if (!isThere && position < this.#size && position < this.#wholeBatchesEnd()) {
      throw new CorruptLog(
        `${this.#name}: segment ${this.#base} has other records at byte ${position} than the journal, which has offset ${entry.baseOffset} there; nothing was written`,
      )
    }
    // The last segment's may be in the page cache only, even marked clean if their flush has failed: see flushFound.
    if (!isThere || this.#isLast) this.#planned.push(entry)
    this.#grown = Math.max(this.#grown, position + bytes)
  }

  #holds(entry: Entry): boolean {
    const found = this.#found(entry)
    if (found === null) return false
    if (entry.isDamaged) return isBatchOf(found, entry.baseOffset)
    return found.equals(entry.journalled.payload(entry.bytes))
  }

  /** What is in the segment where the entry belongs; null if it ends before. */
  #found({ position, bytes }: Entry): Buffer | null {
    if (position + bytes > this.#size) return null
    if (this.#scratch.length < bytes) this.#scratch = Buffer.alloc(bytes)
    this.#files.read(this.#fd, this.#scratch, 0, bytes, position)
    return this.#scratch.subarray(0, bytes)
  }

  #wholeBatchesEnd(): number {
    if (this.#wholeUntil === -1) {
      const { end } = scanBatches(
        this.#files,
        this.#fd,
        0,
        this.#base,
        () => true,
        () => {},
      )
      this.#wholeUntil = end
    }
    return this.#wholeUntil
  }

  write(): void {
    for (const entry of this.#planned) {
      const { isDamaged, journalled, bytes } = entry
      // Of one that is damaged in the journal, what is there takes its place.
      const content = isDamaged ? this.#found(entry)! : journalled.payload(bytes)
      this.#files.write(this.#fd, [content], entry.position)
    }
    if (this.#planned.length > 0) this.#files.fdatasync(this.#fd)
  }

  close(): void {
    this.#files.close(this.#fd)
  }
}

function parseEntry(journalled: JournalledEntry): Entry {
  const header = journalled.header()
  const baseOffset = header.readDoubleLE(ENTRY_BASE_OFFSET_F64 * 8)
  const kind = header.readUInt32LE(ENTRY_KIND * 4)
  return {
    isMark: kind === KIND_MARK,
    isDamaged: kind === KIND_DAMAGED,
    segmentBase: header.readDoubleLE(ENTRY_SEGMENT_F64 * 8),
    position: header.readUInt32LE(ENTRY_POSITION * 4),
    baseOffset,
    endOffset: baseOffset + header.readInt32LE(ENTRY_LAST_DELTA * 4) + 1,
    bytes: header.readUInt32LE(ENTRY_PAYLOAD * 4),
    journalled,
  }
}
