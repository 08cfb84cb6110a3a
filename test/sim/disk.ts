import type { LogFacts } from '../../src/replication/log-facts.ts'
import type { EpochStart } from '../../src/shared/epochs.ts'
import type { Bugs } from './bugs.ts'
import { type Batch, keyOf, LogContent, lastSeqOf } from './log-content.ts'
import type { Surroundings } from './node.ts'
import type { Process } from './process.ts'
import { SimWorker, type Worker } from './worker.ts'
import type { World } from './world.ts'

/** What a broker keeps its logs on. */
export interface Disk {
  readonly logs: ReadonlyMap<string, LogContent>
  /** A process begins, in whose memory nothing is. */
  recover(isClean: boolean): void
  worker(process: Process): Worker
  /** The process is gone, perhaps in the middle of something; with a power cut, what was not flushed is, too. */
  crash(isPowerCut: boolean): void
  /** The process ends in order. */
  stopped(): void
  /** Another one, empty. */
  replace(): void
}

/** The modelled one. */
export class SimDisk implements Disk {
  readonly logs = new Map<string, SimLog>()
  readonly #world: World

  constructor({ world }: Surroundings) {
    this.#world = world
  }

  recover(): void {
    for (const log of this.logs.values()) log.recover()
  }

  worker(process: Process): Worker {
    return new SimWorker(process, this.logs)
  }

  crash(isPowerCut: boolean): void {
    for (const log of this.logs.values()) log.crash(isPowerCut, this.#world)
  }

  stopped(): void {
    for (const log of this.logs.values()) {
      log.settle()
      log.crash(false, this.#world)
    }
  }

  replace(): void {
    this.logs.clear()
  }
}

/** One partition's log: what has a place in it, how much of that a dead process cannot take, and how much no power cut. */
export class SimLog extends LogContent {
  /** Of the running process's worker. */
  role: 'leader' | 'follower' | null = null
  roleEpoch = -1
  /** Of batches that are deleted, as the snapshots of producers have them. */
  readonly #deletedSeqs = new Map<number, number>()
  /** Compacted up to there. */
  #cleaned = 0
  /** With a planted bug: where a replay cuts again. */
  #cutAgain: number | null = null

  facts(isDurable: boolean): LogFacts {
    const end = isDurable ? this.flushed : this.end
    const hw = Math.min(this.savedHw, end)
    return { start: this.start, end, hw, hwEpoch: -1, epochs: [...this.epochs] }
  }

  original(pid: number, seq: number): Batch | null {
    return this.batches.findLast(batch => batch.pid === pid && batch.seq === seq) ?? null
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
    for (const batch of this.batches.slice(0, this.batches.length - kept.length)) {
      this.#deletedSeqs.set(batch.pid, lastSeqOf(batch))
    }
    this.batches = kept
    this.start = offset
    const after = this.epochs.filter(e => e.startOffset > offset)
    const holding = this.epochs.findLast(e => e.startOffset <= offset)
    if (holding !== undefined) after.unshift({ epoch: holding.epoch, startOffset: offset })
    this.epochs = after
  }

  /** Drops batches below whose key comes again below, but for each producer's last one, and the first of each epoch. */
  compact(offset: number): void {
    const below = this.batches.filter(({ lastOffset }) => lastOffset < offset)
    const last = new Map(below.map(batch => [keyOf(batch), batch]))
    const newest = new Map(below.map(batch => [batch.pid, batch]))
    this.batches = this.batches.filter(
      (batch, i) =>
        batch.lastOffset >= offset ||
        batch.epoch !== this.batches[i - 1]?.epoch ||
        batch === last.get(keyOf(batch)) ||
        batch === newest.get(batch.pid),
    )
    this.#cleaned = Math.max(this.#cleaned, offset)
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
    this.#cleaned = 0
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
    const isKept = (e: EpochStart) => e.startOffset < Math.min(this.#cleaned, this.end)
    // Of what is compacted the file of epochs knows more than the batches that are left.
    const kept = this.epochs.filter(e => isKept(e) && e.startOffset > this.start)
    if (first !== undefined && (this.start > 0 || isKept(first))) kept.unshift(first)
    this.epochs = kept
    for (const { epoch, baseOffset } of this.batches) this.note(epoch, baseOffset)
  }

  #replace(batches: Batch[]): void {
    this.batches = batches
    this.flushed = Math.min(this.flushed, this.end)
    this.written = Math.min(this.written, this.end)
    this.seqs.clear()
    for (const [pid, seq] of this.#deletedSeqs) this.seqs.set(pid, seq)
    for (const batch of batches) this.seqs.set(batch.pid, lastSeqOf(batch))
  }
}
