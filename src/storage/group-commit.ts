import { assert } from '../assert.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import * as batch from '../protocol/record-batch.ts'
import {
  ENTRY_APPEND_TIME_F64,
  ENTRY_BASE_OFFSET_F64,
  ENTRY_BYTES,
  ENTRY_EPOCH,
  ENTRY_ERROR,
  ENTRY_HANDLE,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_LAST_DELTA,
  ENTRY_PARTITION,
  ENTRY_PAYLOAD,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
  ENTRY_TOPIC_ID,
  ENTRY_TRANSACTION_VERSION,
  KIND_APPEND,
  KIND_APPEND_SHARED,
  KIND_COMMAND,
  KIND_MARK,
  KIND_REPLICATE,
} from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { Journal } from './journal.ts'
import type { Log, Stability } from './log.ts'

/** A group closes when it holds this much: it bounds what one flush covers, and so how long the first batch waits. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024
/** Of a journal file, for the header, the padding and the marks of a group. */
const JOURNAL_SPARE_BYTES = 4 * 1024

/** A partition in its worker: its log and where its entries of the current group stand. */
export interface OwnedLog {
  /** Another one after a truncation. */
  log: Log
  /** Topic id and partition, as the checkpoint names it. */
  readonly key: string
  readonly handle: number
  readonly partition: number
  /** The 16 bytes of the topic id. */
  readonly topicId: Buffer
  /** Bytes this partition has in the current group. */
  groupBytes: number
  /** Its entries in groups of the journal up to this one count no more: see SafePoint. */
  flushedSequence: number
}

export interface GroupCommitOptions {
  /** The first is the main thread's: it alone has commands in it. */
  readonly rings: readonly Ring[]
  readonly logs: ReadonlyMap<number, OwnedLog>
  readonly journal: Journal
  /** ms since the epoch. */
  readonly now: () => number
  /** ms of a clock that only goes forward. */
  readonly monotonic: () => number
  /** A partition's share of a group from which on it is flushed in its segment instead of going through the journal. */
  readonly bypassBytes: number
  /** Bytes of a journal file: a group must fit into one. */
  readonly journalFileBytes: number
  /** Before the journal's other file is overwritten: flush what it still protects. */
  readonly beforeTurn: () => void
  /** These appends of the first ring, which others wait for, have their offsets: told before anything of them is written. */
  readonly onPlaced: (entries: readonly number[]) => void
  /** What became of its transactions is told before the appends that did it. */
  readonly onStability: (owned: OwnedLog, stability: Stability) => void
  readonly onJournalled: (owned: OwnedLog) => void
  /** It has been written to: its file is open. */
  readonly onWritten: (owned: OwnedLog) => void
  /** Whether nothing may be appended now, for want of room: asked once a group. */
  readonly refuses: () => boolean
  /** Why the journal cannot be used any more, or null. */
  readonly journalFailure: () => string | null
  readonly onFailure: (owned: OwnedLog, error: unknown) => void
  readonly onJournalFailure: (error: unknown) => void
}

/**
 * Takes the batches that wait in the ring, gives them offsets, writes them all, flushes once, and only then reports
 * them. Small shares go to the journal, flushed there, and to the segment's page cache; a large share goes to its
 * segment only, which is flushed itself, and leaves a mark in the journal.
 */
export class GroupCommit {
  readonly #o: GroupCommitOptions
  /** Positions of the group's entries, in order, the rings in which they are, and their logs (null: the handle is unknown). */
  readonly #entries: number[] = []
  readonly #from: Ring[] = []
  readonly #owners: (OwnedLog | null)[] = []
  /** Of the first ring: others want to know of them before they are flushed. */
  readonly #placed: number[] = []
  readonly #touched: OwnedLog[] = []
  readonly #marks: Buffer[] = []
  readonly #bytesMax: number
  /** Whether nothing may be appended now, for want of room; null before it is asked, once a group. */
  #isRefused: boolean | null = null

  constructor(options: GroupCommitOptions) {
    this.#o = options
    // The last entry may exceed this: it either bypasses the journal or is smaller than that threshold.
    const fits = options.journalFileBytes - options.bypassBytes - JOURNAL_SPARE_BYTES
    assert(fits > 0, 'a journal file is larger than the share that bypasses it')
    this.#bytesMax = Math.min(GROUP_BYTES_MAX, fits)
  }

  /**
   * Gathers up to one group of appends; where several rings have some, each has its share of it.
   * @returns the position in the first ring of a command that stopped its gathering, to be run after the commit, or -1.
   */
  gather(): number {
    const { rings } = this.#o
    let filled = rings.length
    if (filled > 1) {
      filled = 0
      for (const ring of rings) if (!ring.isEmpty) filled++
    }
    let command = -1
    this.#isRefused = null
    for (const ring of rings) {
      const stop = this.#gatherFrom(ring, this.#bytesMax / Math.max(1, filled))
      if (stop !== -1) command = stop
    }
    return command
  }

  #gatherFrom(ring: Ring, bytesMax: number): number {
    const now = this.#o.now()
    const monotonic = this.#o.monotonic()
    let bytes = 0
    while (bytes < bytesMax) {
      const at = ring.next()
      if (at === -1) break
      if (ring.words[(at >> 2) + ENTRY_KIND] === KIND_COMMAND) return at
      this.#isRefused ??= this.#o.refuses()
      this.#append(ring, at, now, monotonic)
      bytes += ring.words[(at >> 2) + ENTRY_BYTES]!
    }
    return -1
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  #append(ring: Ring, at: number, now: number, monotonic: number): void {
    const { words, doubles, bytes } = ring
    const word = at >> 2
    const double = at >> 3
    const owned = this.#o.logs.get(words[word + ENTRY_HANDLE]!) ?? null
    this.#entries.push(at)
    this.#from.push(ring)
    this.#owners.push(owned)
    doubles[double + ENTRY_BASE_OFFSET_F64] = -1
    doubles[double + ENTRY_APPEND_TIME_F64] = -1
    words[word + ENTRY_POSITION] = -1
    const kind = words[word + ENTRY_KIND]
    const replicates = kind === KIND_REPLICATE
    const epoch = words[word + ENTRY_EPOCH]!
    const refusal = this.#refusal(owned, replicates, epoch)
    if (owned === null || refusal !== ErrorCode.NONE) {
      words[word + ENTRY_ERROR] = refusal
      return
    }
    const size = words[word + ENTRY_PAYLOAD]!
    const version = words[word + ENTRY_TRANSACTION_VERSION]!
    const start = at + ENTRY_HEADER_BYTES
    const payload = bytes.subarray(start, start + size)
    try {
      const result = replicates
        ? owned.log.appendAsFollower(payload, now, monotonic)
        : owned.log.append(payload, epoch, now, monotonic, version)
      words[word + ENTRY_KIND] = KIND_APPEND
      words[word + ENTRY_ERROR] = result.errorCode
      words[word + ENTRY_LAST_DELTA] = batch.lastOffsetDelta(payload)
      words[word + ENTRY_POSITION] = result.duplicate ? -1 : result.position
      doubles[double + ENTRY_APPEND_TIME_F64] = result.appendTime
      if (result.errorCode !== ErrorCode.NONE) return
      doubles[double + ENTRY_BASE_OFFSET_F64] = result.baseOffset
      doubles[double + ENTRY_SEGMENT_F64] = result.duplicate ? -1 : result.segmentBase
      if (result.duplicate) return
      if (kind === KIND_APPEND_SHARED) this.#placed.push(at)
    } catch (error) {
      words[word + ENTRY_ERROR] = ErrorCode.KAFKA_STORAGE_ERROR
      this.#o.onFailure(owned, error)
      return
    }
    if (owned.groupBytes === 0) this.#touched.push(owned)
    owned.groupBytes += size
  }

  /**
   * Here is where a leader is fenced: what was sent under another epoch than that in which the partition is led or follows now
   * changes nothing, however late it comes.
   */
  #refusal(owned: OwnedLog | null, replicates: boolean, epoch: number): ErrorCode {
    if (owned === null) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (this.#isRefused) return ErrorCode.KAFKA_STORAGE_ERROR
    const { role } = owned.log
    const isItsOwn = role !== null && role.epoch === epoch && role.leads !== replicates
    return isItsOwn ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** Makes the gathered group as durable as its topics ask, then reports each entry through `post`. */
  commit(post: (ring: Ring, entry: number) => void): void {
    if (this.#placed.length > 0) this.#o.onPlaced(this.#placed)
    for (const owned of this.#touched) {
      if (!this.#goesToJournal(owned)) this.#writeDirectly(owned)
    }
    this.#writeJournal()
    for (const owned of this.#touched) {
      this.#guard(owned, () => {
        owned.log.write()
        for (const stability of owned.log.takeStability()) this.#o.onStability(owned, stability)
      })
    }
    this.#report(post)
    for (const owned of this.#touched) {
      owned.groupBytes = 0
      this.#o.onWritten(owned)
    }
    this.#entries.length = 0
    this.#from.length = 0
    this.#owners.length = 0
    this.#placed.length = 0
    this.#touched.length = 0
    this.#marks.length = 0
  }

  #goesToJournal(owned: OwnedLog): boolean {
    const { log, groupBytes } = owned
    return log.isDurable && log.offline === null && groupBytes < this.#o.bypassBytes
  }

  #guard(owned: OwnedLog, action: () => void): void {
    if (owned.log.offline !== null) return
    try {
      action()
    } catch (error) {
      this.#o.onFailure(owned, error)
    }
  }

  #writeDirectly(owned: OwnedLog): void {
    const { log } = owned
    this.#guard(owned, () => {
      log.write()
      if (log.isDurable) {
        log.flush()
        this.#marks.push(markOf(owned))
      } else if (log.unflushedRecords >= log.config.flushMessages) {
        log.flush()
      }
    })
  }

  #writeJournal(): void {
    const { journal } = this.#o
    let runs = this.#runs()
    if (runs.length === 0) return
    try {
      const failure = this.#o.journalFailure()
      if (failure !== null) throw new Error(`journal: ${failure}`)
      if (journal.needsTurn(sizeOf(runs))) {
        this.#o.beforeTurn()
        journal.turn()
        runs = this.#runs() // the flushes before the turn may have taken a log offline
      }
      // Marks alone need no flush: they only tell recovery what is on disk already.
      journal.append(runs, runs.length > this.#marks.length)
      for (const owned of this.#touched) {
        if (this.#goesToJournal(owned)) this.#o.onJournalled(owned)
      }
    } catch (error) {
      for (const owned of this.#touched) {
        if (this.#goesToJournal(owned)) this.#o.onFailure(owned, error)
      }
      this.#o.onJournalFailure(error)
    }
  }

  /** The pieces of the ring to journal, neighbouring entries in one piece, then the marks. */
  #runs(): Buffer[] {
    const runs: Buffer[] = []
    let ring = this.#from[0]
    let start = -1
    let end = -1
    for (let i = 0; i < this.#entries.length; i++) {
      const at = this.#entries[i]!
      const from = this.#from[i]!
      const { words } = from
      const owned = this.#owners[i]
      const word = at >> 2
      const isNew =
        words[word + ENTRY_ERROR] === ErrorCode.NONE && words[word + ENTRY_POSITION] !== -1
      if (!isNew || owned == null || !this.#goesToJournal(owned)) continue
      if (at !== end || from !== ring) {
        if (end !== -1) runs.push(ring!.bytes.subarray(start, end))
        start = at
        ring = from
      }
      end = at + words[word + ENTRY_BYTES]!
    }
    if (end !== -1) runs.push(ring!.bytes.subarray(start, end))
    runs.push(...this.#marks)
    return runs
  }

  #report(post: (ring: Ring, entry: number) => void): void {
    for (let i = 0; i < this.#entries.length; i++) {
      const at = this.#entries[i]!
      const ring = this.#from[i]!
      const { words, doubles } = ring
      const offline = this.#owners[i]?.log.offline ?? null
      if (offline !== null) {
        words[(at >> 2) + ENTRY_ERROR] = ErrorCode.KAFKA_STORAGE_ERROR
        doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64] = -1
      }
      post(ring, at)
    }
  }
}

function sizeOf(buffers: readonly Buffer[]): number {
  let bytes = 0
  for (const buffer of buffers) bytes += buffer.length
  return bytes
}

/** A journal entry without payload: everything of the partition up to its log's end is flushed. */
function markOf(owned: OwnedLog): Buffer {
  const { log } = owned
  const mark = Buffer.alloc(ENTRY_HEADER_BYTES)
  mark.writeUInt32LE(ENTRY_HEADER_BYTES, ENTRY_BYTES * 4)
  mark.writeUInt32LE(KIND_MARK, ENTRY_KIND * 4)
  mark.writeUInt32LE(owned.partition, ENTRY_PARTITION * 4)
  mark.writeUInt32LE(log.active.size, ENTRY_POSITION * 4)
  owned.topicId.copy(mark, ENTRY_TOPIC_ID * 4)
  mark.writeDoubleLE(log.nextOffset, ENTRY_BASE_OFFSET_F64 * 8)
  mark.writeDoubleLE(log.active.baseOffset, ENTRY_SEGMENT_F64 * 8)
  mark.writeInt32LE(-1, ENTRY_LAST_DELTA * 4) // the end offset is the base offset
  return mark
}
