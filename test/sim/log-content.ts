import type { BatchFacts } from '../../src/replication/follower-effects.ts'
import type { EpochStart } from '../../src/shared/epochs.ts'
import { Violation } from './world.ts'

/** A batch of a producer; `value` is another one for each that was ever sent. */
export interface Batch extends BatchFacts {
  readonly pid: number
  /** Sequence of its first record. */
  readonly seq: number
  readonly value: number
  /** As it lies in a log of storage; null in a modelled one. */
  readonly bytes: Buffer | null
}

export const lastSeqOf = ({ seq, baseOffset, lastOffset }: Batch): number =>
  seq + lastOffset - baseOffset

const KEYS = 6

/** Of its records, for compaction. */
export const keyOf = ({ value }: Batch): number => value % KEYS

/** What is in one partition's log on one disk, and how far its worker has reported that. */
export class LogContent {
  readonly key: string
  start = 0
  batches: Batch[] = []
  /** What is behind it lies in the process's memory only, as far as anybody was told. */
  written = 0
  flushed = 0
  epochs: EpochStart[] = []
  /** What the checkpoint says; a lower bound. */
  savedHw = 0
  protected readonly seqs = new Map<number, number>()

  /** Whether offsets may be missing between batches. */
  readonly #hasGaps: boolean

  constructor(key: string, hasGaps: boolean) {
    this.key = key
    this.#hasGaps = hasGaps
  }

  get end(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.start : last.lastOffset + 1
  }

  /** The batch that holds the offset. */
  at(offset: number): Batch | null {
    const batch = this.batches[this.#indexOf(offset)]
    return batch !== undefined && batch.baseOffset <= offset ? batch : null
  }

  /** Of the first batch that ends behind the offset. */
  #indexOf(offset: number): number {
    let lo = 0
    let hi = this.batches.length
    while (lo < hi) {
      const mid = (lo + hi) >> 1
      if (this.batches[mid]!.lastOffset < offset) lo = mid + 1
      else hi = mid
    }
    return lo
  }

  /** Where the first batch begins that does not end before the offset; the end if there is none. */
  nextAt(offset: number): number {
    return this.batches[this.#indexOf(offset)]?.baseOffset ?? this.end
  }

  /** Its key comes again behind it. */
  hasLater(batch: Batch): boolean {
    const at = this.#indexOf(batch.lastOffset + 1)
    return this.batches.some((later, i) => i >= at && keyOf(later) === keyOf(batch))
  }

  /** Whole batches from the offset on, up to an end. */
  read(from: number, end: number, max: number): Batch[] {
    const first = this.#indexOf(from)
    let last = first
    while (last < first + max && (this.batches[last]?.lastOffset ?? end) < end) last++
    return this.batches.slice(first, last)
  }

  /** The newest sequence of a producer. */
  lastSeq(pid: number): number {
    return this.seqs.get(pid) ?? -1
  }

  note(epoch: number, startOffset: number): void {
    const last = this.epochs.at(-1)
    if (last !== undefined && epoch <= last.epoch) return
    this.epochs = this.epochs.filter(e => e.startOffset < startOffset)
    this.epochs.push({ epoch, startOffset })
  }

  push(batch: Batch): void {
    const isNext = this.#hasGaps ? batch.baseOffset >= this.end : batch.baseOffset === this.end
    if (!isNext) throw new Violation(`${this.key} has a gap at ${this.end}`)
    const last = this.batches.at(-1)
    if (last !== undefined && batch.epoch < last.epoch) {
      throw new Violation(`I6: epoch ${batch.epoch} after ${last.epoch} in ${this.key}`)
    }
    if (batch.seq <= this.lastSeq(batch.pid) && this.#has(batch)) {
      throw new Violation(`I9: producer ${batch.pid} sequence ${batch.seq} twice in ${this.key}`)
    }
    this.note(batch.epoch, batch.baseOffset)
    this.batches.push(batch)
    this.seqs.set(batch.pid, lastSeqOf(batch))
  }

  /**
   * Who has begun anew behind what was deleted knows nothing of who sent it, and takes a retry of that (as Kafka does): then it is once in
   * the log, though not for the first time.
   */
  #has({ pid, seq }: Batch): boolean {
    return this.batches.some(batch => batch.pid === pid && lastSeqOf(batch) >= seq)
  }

  /** Its worker says that all up to there is on the disk, if it was not cut meanwhile. */
  reported(end: number): void {
    this.flushed = Math.max(this.flushed, Math.min(end, this.end))
    this.written = Math.max(this.written, this.flushed)
  }
}
