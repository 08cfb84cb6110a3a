import * as batch from '../protocol/record-batch.ts'
import type { EpochStart } from '../storage/leader-epochs.ts'
import type { WalkedBatch } from './segment-walk.ts'

/** A batch whose leader epoch cannot be right; its checksum does not cover it. */
export interface WrongEpoch {
  readonly base: number
  readonly position: number
  readonly epoch: number
  readonly expected: number
}

/** So many are kept to be patched. */
const WRONG_MAX = 10_000

/**
 * Compares the leader epochs of batches with `leader-epoch-checkpoint`: each batch has the epoch that had begun, and behind the
 * last one that the file knows they only rise, up to that of the last start.
 */
export class EpochCheck {
  readonly #entries: readonly EpochStart[]
  readonly #max: number
  #at = -1
  #before: { base: number; position: number; epoch: number; rose: boolean } | null = null
  #newest = -1
  /** Epochs in the order of the batches, each once as long as it lasts. */
  #isRising = true
  #isBeyond = false
  #last = -1
  readonly wrong: WrongEpoch[] = []

  constructor(entries: readonly EpochStart[], max: number) {
    this.#entries = entries
    this.#max = max
  }

  /** The epoch that a batch at an offset behind all others has. */
  epochAt(offset: number): number {
    const known = this.#entries.findLast(({ startOffset }) => startOffset <= offset)
    return Math.max(0, known?.epoch ?? 0, this.#newest)
  }

  /** Whether the batches alone make sense, and it is the file that does not fit them. */
  get isFileWrong(): boolean {
    return this.#isRising && !this.#isBeyond && this.wrong.length > 0
  }

  /** Whether several batches make sense that are newer than the last start: then it is the metadata that is too old. */
  get isMaxWrong(): boolean {
    return this.#isRising && this.#isBeyond && this.wrong.length > 1
  }

  visit(base: number, { position, bytes, baseOffset }: WalkedBatch): void {
    const epoch = batch.leaderEpoch(bytes)
    if (epoch < this.#last) this.#isRising = false
    if (epoch > this.#max) this.#isBeyond = true
    this.#last = epoch
    while ((this.#entries[this.#at + 1]?.startOffset ?? Infinity) <= baseOffset) this.#at++
    const known = this.#entries[this.#at]
    if (known === undefined && this.#entries.length > 0) return
    if (this.#at < this.#entries.length - 1) {
      if (epoch !== known!.epoch) this.#note(base, position, epoch, known!.epoch)
      return
    }
    this.#visitNewer(base, position, epoch, known?.epoch ?? -1)
  }

  /** Behind the last epoch that the file knows. */
  #visitNewer(base: number, position: number, epoch: number, known: number): void {
    this.#newest = Math.max(this.#newest, known)
    const { epoch: previous = -1, rose = false } = this.#before ?? {}
    if (epoch > this.#max || epoch < 0) {
      this.#note(base, position, epoch, Math.max(0, this.#newest))
      return
    }
    if (epoch < this.#newest) {
      // One alone that was ahead of what follows.
      if (rose && this.#before !== null && epoch >= known) {
        this.#note(this.#before.base, this.#before.position, previous, epoch)
        this.#newest = epoch
      } else {
        this.#note(base, position, epoch, this.#newest)
        return
      }
    }
    this.#before = { base, position, epoch, rose: epoch > this.#newest && this.#newest >= 0 }
    this.#newest = epoch
  }

  #note(base: number, position: number, epoch: number, expected: number): void {
    if (epoch !== expected && this.wrong.length < WRONG_MAX)
      this.wrong.push({ base, position, epoch, expected })
  }
}
