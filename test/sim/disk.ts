import type { BatchFacts } from '../../src/replication/follower-effects.ts'
import type { LogFacts } from '../../src/replication/log-facts.ts'
import type { EpochStart } from '../../src/shared/epochs.ts'
import type { Bugs } from './bugs.ts'
import { Violation, type World } from './world.ts'

/** A batch of a producer; `value` is another one for each that was ever sent. */
export interface Batch extends BatchFacts {
  readonly pid: number
  readonly seq: number
  readonly value: number
}

/** One partition's log: what has a place in it, how much of that a dead process cannot take, and how much no power cut. */
export class SimLog {
  readonly key: string
  start = 0
  batches: Batch[] = []
  /** What is behind it lies in the process's memory only. */
  written = 0
  flushed = 0
  epochs: EpochStart[] = []
  /** What the checkpoint says; a lower bound. */
  savedHw = 0
  /** Of the running process's worker. */
  role: 'leader' | 'follower' | null = null
  roleEpoch = -1
  readonly #seqs = new Map<number, number>()
  /** Of batches that are deleted, as the snapshots of producers have them. */
  readonly #deletedSeqs = new Map<number, number>()
  /** With a planted bug: where a replay cuts again. */
  #cutAgain: number | null = null

  constructor(key: string) {
    this.key = key
  }

  get end(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.start : last.lastOffset + 1
  }

  facts(isDurable: boolean): LogFacts {
    const end = isDurable ? this.flushed : this.end
    const hw = Math.min(this.savedHw, end)
    return { start: this.start, end, hw, hwEpoch: -1, epochs: [...this.epochs] }
  }

  /** The batch that holds the offset. */
  at(offset: number): Batch | null {
    let lo = 0
    let hi = this.batches.length
    while (lo < hi) {
      const mid = (lo + hi) >> 1
      if (this.batches[mid]!.lastOffset < offset) lo = mid + 1
      else hi = mid
    }
    const batch = this.batches[lo]
    return batch !== undefined && batch.baseOffset <= offset ? batch : null
  }

  /** Whole batches from the offset on, up to an end. */
  read(from: number, end: number, max: number): Batch[] {
    const found: Batch[] = []
    let batch = this.at(from)
    while (batch !== null && batch.lastOffset < end && found.length < max) {
      found.push(batch)
      batch = this.at(batch.lastOffset + 1)
    }
    return found
  }

  lastSeq(pid: number): number {
    return this.#seqs.get(pid) ?? -1
  }

  original(pid: number, seq: number): Batch | null {
    return this.batches.findLast(batch => batch.pid === pid && batch.seq === seq) ?? null
  }

  note(epoch: number, startOffset: number): void {
    const last = this.epochs.at(-1)
    if (last !== undefined && epoch <= last.epoch) return
    this.epochs = this.epochs.filter(e => e.startOffset < startOffset)
    this.epochs.push({ epoch, startOffset })
  }

  push(batch: Batch): void {
    if (batch.baseOffset !== this.end) throw new Violation(`${this.key} has a gap at ${this.end}`)
    const last = this.batches.at(-1)
    if (last !== undefined && batch.epoch < last.epoch) {
      throw new Violation(`I6: epoch ${batch.epoch} after ${last.epoch} in ${this.key}`)
    }
    if (batch.seq <= this.lastSeq(batch.pid)) {
      throw new Violation(`I9: producer ${batch.pid} sequence ${batch.seq} twice in ${this.key}`)
    }
    this.note(batch.epoch, batch.baseOffset)
    this.batches.push(batch)
    this.#seqs.set(batch.pid, batch.seq)
  }

  cut(offset: number, bugs: Bugs): void {
    this.#replace(this.batches.filter(batch => batch.lastOffset < offset))
    if (bugs.cutAgainAtReplay) this.#cutAgain = offset
    this.epochs = this.epochs.filter(e => e.startOffset < offset)
  }

  /** Deletes whole batches below. */
  trim(offset: number): void {
    if (offset <= this.start) return
    const kept = this.batches.filter(batch => batch.baseOffset >= offset)
    for (const { pid, seq } of this.batches.slice(0, this.batches.length - kept.length)) {
      this.#deletedSeqs.set(pid, seq)
    }
    this.batches = kept
    this.start = offset
    const after = this.epochs.filter(e => e.startOffset > offset)
    const holding = this.epochs.findLast(e => e.startOffset <= offset)
    if (holding !== undefined) after.unshift({ epoch: holding.epoch, startOffset: offset })
    this.epochs = after
  }

  /** All that has a place is flushed. */
  settle(): void {
    this.flushed = this.end
    this.written = this.end
  }

  beginAt(offset: number): void {
    this.start = offset
    this.epochs = []
    this.#deletedSeqs.clear()
    this.savedHw = Math.max(this.savedHw, offset)
    this.#replace([])
    this.settle()
  }

  /** The process is gone, and with it what was not written, or its end; with a power cut, what was not flushed. */
  crash(isPowerCut: boolean, world: World): void {
    const kept = isPowerCut ? this.flushed : Math.max(this.written, this.flushed)
    const safe = this.batches.filter(batch => batch.lastOffset < kept).length
    const count = safe + world.random.below(this.batches.length - safe + 1)
    this.#replace(this.batches.slice(0, count))
    const again = this.#cutAgain
    if (again !== null) this.#replace(this.batches.filter(batch => batch.lastOffset < again))
    this.#cutAgain = null
    this.role = null
    this.roleEpoch = -1
  }

  /** At the next start: what is found is flushed, and epochs are learnt from it. */
  recover(): void {
    this.settle()
    const first = this.epochs.findLast(e => e.startOffset <= this.start)
    this.epochs = first === undefined || this.start === 0 ? [] : [first]
    for (const { epoch, baseOffset } of this.batches) this.note(epoch, baseOffset)
  }

  #replace(batches: Batch[]): void {
    this.batches = batches
    this.flushed = Math.min(this.flushed, this.end)
    this.written = Math.min(this.written, this.end)
    this.#seqs.clear()
    for (const [pid, seq] of this.#deletedSeqs) this.#seqs.set(pid, seq)
    for (const { pid, seq } of batches) this.#seqs.set(pid, seq)
  }
}
