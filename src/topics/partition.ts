import type { TopicConfig } from '../configs/topic.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_BATCH_BYTES,
  ENTRY_BATCH_EPOCH,
  ENTRY_COUNT_F64,
  ENTRY_ERROR,
  ENTRY_LAST_DELTA,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
} from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { LogView } from '../storage/commands.ts'
import { type EpochStart, endOffsetFor } from '../storage/leader-epochs.ts'
import { Listeners, type Listening } from './listeners.ts'
import type { LogReader } from './log-reader.ts'
import type { AppendTarget, AppendWaiter, WorkerLink } from './worker-link.ts'

/** Who waits for records to be committed: answered once. */
export interface CommitWaiter {
  /** NONE, or why it is not known to be committed. */
  onCommitted(slot: number, errorCode: ErrorCode): void
}

/** What becomes of a partition's log in a cluster, where others have it too. */
export interface Replication {
  /** Others fetch from here, if it is led here. */
  readonly hasFollowers: boolean
  /** The log will be flushed up to here: others may have it. */
  placed(end: number): void
  /** The log has been flushed up to here (written, if it is not durable). */
  appended(end: number): void
  /** A batch of the leader's could not be appended. */
  appendFailed(): void
  /** NONE, or why nothing may be appended now, or asked of its leader. */
  refusal(needsAll: boolean): ErrorCode
  /** Whether consumers may read here what is committed, though another leads. */
  readonly follows: boolean
  /** Other brokers at which what is committed can be read from this offset on, the best first; if it is led here. */
  readersAt(offset: number): readonly number[]
  /** Answers the waiter when all in-sync replicas have everything below `end`, at the latest after so many ms. */
  whenCommitted(end: number, waiter: CommitWaiter, slot: number, timeoutMs: number): void
  /** Whether all that had been committed when it came to be led here is known to be (OFFSET_NOT_AVAILABLE until then). */
  readonly knowsHighWatermark: boolean
  /** Records below this are gone. */
  startMoved(start: number): void
  /** Whether it is certain that it was still led here after the question came: nobody else has answered meanwhile. */
  confirm(): Promise<boolean>
  /** Its log cannot be used any more. */
  lost(reason: string): void
}

/**
 * The main thread's handle of one partition: submits appends to the worker that owns its log, follows what the worker
 * completes, and wakes the fetches that wait for it. On a broker alone its high watermark is its log's end; in a cluster
 * that is told (`advance`).
 */
export class Partition implements AppendTarget {
  readonly topic: string
  readonly topicId: string
  readonly topicIdWords: Int32Array
  readonly index: number
  readonly handle: number
  readonly worker: WorkerLink
  readonly reader: LogReader
  /** In which it is led, here or elsewhere. */
  leaderEpoch: number
  /** Whether it is led here. */
  leads: boolean
  config: TopicConfig
  /** Its log may lack offsets: the topic is compacted, or was once. */
  hasGaps: boolean
  logStartOffset = 0
  logEndOffset = 0
  highWatermark = 0
  /** Bytes that became readable since the start of the broker. */
  appendedBytes = 0
  /** Why the log is offline, or null. */
  offline: string | null = null
  isDeleted = false
  /** Null on a broker alone. */
  replication: Replication | null = null
  /** Up to here appends have been told of when they were placed. */
  #placedEnd = 0
  /** End and bytes of each batch above the high watermark, in order. */
  #uncommitted: { readonly end: number; readonly bytes: number }[] = []
  #epochs: EpochStart[] = []
  /** Where the first open transaction begins. */
  #undecided = Number.POSITIVE_INFINITY
  readonly #listeners: Listeners

  constructor(options: {
    topic: string
    topicId: string
    index: number
    handle: number
    worker: WorkerLink
    reader: LogReader
    /** -1: what it is to do comes later. */
    leaderEpoch: number
    config: TopicConfig
    hasGaps: boolean
    onBadListener: (error: unknown) => void
  }) {
    this.topic = options.topic
    this.#listeners = new Listeners(options.onBadListener)
    this.topicId = options.topicId
    const id = Buffer.from(options.topicId, 'base64url')
    this.topicIdWords = Int32Array.from([0, 4, 8, 12], at => id.readInt32LE(at))
    this.index = options.index
    this.handle = options.handle
    this.worker = options.worker
    this.reader = options.reader
    this.leaderEpoch = options.leaderEpoch
    this.leads = options.leaderEpoch >= 0
    this.config = options.config
    this.hasGaps = options.hasGaps
  }

  get name(): string {
    return `${this.topic}-${this.index}`
  }

  /**
   * Below it, read_committed consumers may read: what is committed and of no transaction that is open at the log's end. A marker that
   * is not committed yet counts: what it says was decided for good before it was written.
   */
  get lastStableOffset(): number {
    return Math.min(this.highWatermark, Math.max(this.#undecided, this.logStartOffset))
  }

  /** Takes over what the worker says of the log as a whole. */
  update(view: LogView): void {
    this.offline = view.offline
    this.#epochs = [...view.epochs]
    this.#undecided = view.undecided ?? Number.POSITIVE_INFINITY
    this.logStartOffset = view.logStartOffset
    this.logEndOffset = view.nextOffset
    if (this.replication === null) this.highWatermark = this.logEndOffset
    else {
      // What was placed before this has been completed before it.
      this.#placedEnd = this.logEndOffset
      this.highWatermark = Math.min(this.highWatermark, this.logEndOffset)
      this.#uncommitted = this.#uncommitted.filter(({ end }) => end <= this.logEndOffset)
      this.replication.startMoved(this.logStartOffset)
    }
    this.reader.replace(view)
  }

  /** Where each leader epoch begins that has records here. */
  get epochs(): readonly EpochStart[] {
    return this.#epochs
  }

  /**
   * Submits a checked batch; its place among all appends to the partition is fixed when this returns.
   * @param version of its transaction; 0: it is of none
   * @returns false if the worker's ring is full: wait for `worker.space()` and submit again
   */
  append(records: Buffer, waiter: AppendWaiter | null, slot: number, version = 0): boolean {
    return this.worker.append(this, records, waiter, slot, version)
  }

  /** What has become of its transactions; the records and markers that did it are completed after this. */
  onStability(ring: Ring, at: number): void {
    this.#undecided = ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!
    const bytes = ring.words[(at >> 2) + ENTRY_POSITION]!
    this.reader.noteAborted(ring.doubles[(at >> 3) + ENTRY_SEGMENT_F64]!, bytes)
  }

  get hasFollowers(): boolean {
    return this.replication?.hasFollowers ?? false
  }

  /** An append has its offset; it is not flushed yet, and not in its segment. */
  onPlaced(ring: Ring, at: number): void {
    const word = at >> 2
    const double = at >> 3
    const baseOffset = ring.doubles[double + ENTRY_BASE_OFFSET_F64]!
    const lastOffset = baseOffset + ring.words[word + ENTRY_LAST_DELTA]!
    const bytes = ring.words[word + ENTRY_BATCH_BYTES]!
    this.reader.noteTail(baseOffset, lastOffset, ring.doubles[double + ENTRY_COUNT_F64]!, bytes)
    this.#placedEnd = lastOffset + 1
    this.replication?.placed(this.#placedEnd)
  }

  /** The worker has completed an append to this partition. */
  onCompletion(ring: Ring, at: number): void {
    const word = at >> 2
    const position = ring.words[word + ENTRY_POSITION]!
    if (ring.words[word + ENTRY_ERROR] !== ErrorCode.NONE) {
      if (!this.leads) this.replication?.appendFailed()
      return
    }
    // A duplicate was there before: position -1.
    if (position === -1) return
    const double = at >> 3
    const baseOffset = ring.doubles[double + ENTRY_BASE_OFFSET_F64]!
    const bytes = ring.words[word + ENTRY_BATCH_BYTES]!
    const lastOffset = baseOffset + ring.words[word + ENTRY_LAST_DELTA]!
    this.reader.appended(ring.doubles[double + ENTRY_SEGMENT_F64]!, baseOffset, position, bytes)
    const count = ring.doubles[double + ENTRY_COUNT_F64]!
    if (count !== -1 && lastOffset >= this.#placedEnd) {
      this.reader.noteTail(baseOffset, lastOffset, count, bytes)
    }
    const epoch = ring.words[word + ENTRY_BATCH_EPOCH]!
    const lastEpoch = this.#epochs[this.#epochs.length - 1]
    if (lastEpoch === undefined || lastEpoch.epoch < epoch) {
      this.#epochs.push({ epoch, startOffset: baseOffset })
    }
    this.logEndOffset = lastOffset + 1
    if (this.replication === null) {
      this.highWatermark = this.logEndOffset
      this.appendedBytes += bytes
      this.#listeners.wake()
      return
    }
    this.#uncommitted.push({ end: this.logEndOffset, bytes })
    this.replication.appended(this.logEndOffset)
  }

  /** Everything below is committed: in a cluster, where that is not the log's end. */
  advance(highWatermark: number): void {
    if (highWatermark <= this.highWatermark) return
    this.highWatermark = highWatermark
    let count = 0
    for (const { end, bytes } of this.#uncommitted) {
      if (end > highWatermark) break
      this.appendedBytes += bytes
      count++
    }
    this.#uncommitted.splice(0, count)
    this.#listeners.wake()
  }

  /**
   * Tells the waiter when what this completion is about is committed: on a broker alone that is now. Of a duplicate, too: what
   * it is one of may not be committed yet.
   */
  afterCommit(ring: Ring, at: number, waiter: CommitWaiter, slot: number, timeoutMs: number): void {
    if (this.replication === null) {
      waiter.onCommitted(slot, ErrorCode.NONE)
      return
    }
    const baseOffset = ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!
    const end = baseOffset + ring.words[(at >> 2) + ENTRY_LAST_DELTA]! + 1
    this.replication.whenCommitted(end, waiter, slot, timeoutMs)
  }

  /** It is led here from now on, or elsewhere: who waits for it looks again. */
  setLeads(leads: boolean): void {
    this.leads = leads
    this.#listeners.wake()
  }

  /** NONE, or why nothing may be appended here now, or asked of it as of its leader: on a broker alone nothing is in the way. */
  refusal(needsAll: boolean): ErrorCode {
    return this.replication?.refusal(needsAll) ?? ErrorCode.NONE
  }

  /** Submits a batch as its leader has it. @returns false if the worker's ring is full */
  replicate(records: Buffer, epoch: number): boolean {
    return this.worker.replicate(this, records, epoch)
  }

  /** OffsetForLeaderEpoch's answer: -1 for both if the epoch is unknown. */
  endOffsetFor(epoch: number): { epoch: number; endOffset: number } {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.logEndOffset }
    return endOffsetFor(this.#epochs, epoch, this.logEndOffset)
  }

  /** The epoch of the record at the offset, -1 if unknown. */
  epochAt(offset: number): number {
    return this.#epochs.findLast(e => e.startOffset <= offset)?.epoch ?? -1
  }

  goOffline(reason: string): void {
    this.offline ??= reason
    this.#listeners.wake()
    this.replication?.lost(reason)
  }

  markDeleted(): void {
    this.isDeleted = true
    this.reader.close()
    this.#listeners.wake()
  }

  /** Tells when there is more to read, or never will be. Whoever waits for that is going to read it at once. */
  listen(onAdvance: () => void): Listening {
    this.reader.keepTail()
    return this.#listeners.add(onAdvance)
  }
}
