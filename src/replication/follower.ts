import { ErrorCode } from '../protocol/error-codes.ts'
import { type EpochStart, endOffsetFor } from '../shared/epochs.ts'
import type { BatchFacts, FetchAnswer, FollowerEffect } from './follower-effects.ts'
import { type LogFacts, lastEpochOf } from './log-facts.ts'
import { NO_LEADER, type PartitionState } from './partition-state.ts'
import type { Outbox } from './types.ts'

/** Between two tries after an error, a damaged answer or a refused append. */
export const RETRY_MS = 1_000
/** After a cut connection, or when leader and follower know different epochs: that passes by itself. */
export const RECONNECT_MS = 100

export type FollowerPhase = 'fetching' | 'reopening' | 'failed'

export interface FollowerOptions<B extends BatchFacts> {
  readonly me: number
  readonly record: PartitionState
  readonly log: LogFacts
  /** Whether the topic was compacted at some time: offsets may be missing between batches. */
  readonly hasGaps: () => boolean
  readonly now: number
  /** Where effects go, in order: an array that the shell empties after each call. */
  readonly out: Outbox<FollowerEffect<B>>
}

/**
 * A replica that follows one leader epoch: made when the worker has taken over its log for that epoch. One fetch is under
 * way at a time, the next leaves when all of the answer is flushed, so a fetch always begins at the flushed end and says so
 * to the leader (R2). Cuts what the leader has not (KIP-595), never below its own high watermark. Pure, as LeaderReplica.
 */
export class FollowerReplica<B extends BatchFacts> {
  readonly epoch: number
  readonly #me: number
  readonly #out: Outbox<FollowerEffect<B>>
  readonly #hasGaps: () => boolean
  #record: PartitionState
  #phase: FollowerPhase = 'fetching'
  #epochs: EpochStart[] = []
  #start = 0
  /** End of what was handed to the log. */
  #end = 0
  #flushed = 0
  #hw = 0
  #hwEpoch = -1
  #leaderHw = 0
  #fetches = 0
  /** Id of the fetch under way; 0: none. */
  #fetching = 0
  #againAt: number

  constructor({ me, record, log, hasGaps, now, out }: FollowerOptions<B>) {
    this.#me = me
    this.#out = out
    this.#record = record
    this.#hasGaps = hasGaps
    this.epoch = record.epoch
    this.#againAt = now
    this.#take(log)
    this.#fetch(now)
  }

  get hw(): number {
    return this.#hw
  }

  get flushedEnd(): number {
    return this.#flushed
  }

  /** Of what was handed to the log. */
  get end(): number {
    return this.#end
  }

  get phase(): FollowerPhase {
    return this.#phase
  }

  /** In which that high watermark was learnt; -1: nobody knows. */
  get hwEpoch(): number {
    return this.#hwEpoch
  }

  /** The record was written in the same epoch: the ISR is another. */
  recordChanged(record: PartitionState, now: number): void {
    if (record.revision > this.#record.revision && record.epoch === this.epoch) {
      this.#record = record
      this.#fetch(now)
    }
  }

  fetched(id: number, answer: FetchAnswer<B>, now: number): void {
    if (id !== this.#fetching || this.#phase !== 'fetching') return
    this.#fetching = 0
    if ('error' in answer) this.#refused(answer.error, answer.logStart, now)
    else if ('diverging' in answer) this.#cut(answer.diverging)
    else if (this.#isBelow(answer.logStart)) this.#beginAt(answer.logStart)
    else if (answer.batches.length > 0) this.#append(answer.batches, now)
    if ('hw' in answer && this.#phase === 'fetching') {
      this.#leaderHw = answer.hw
      this.#learnHw()
      this.#moveStart(answer.logStart)
    }
    this.#fetch(now)
  }

  /** The fetch under way was lost with its connection. */
  disconnected(id: number, now: number): void {
    if (id !== this.#fetching) return
    this.#fetching = 0
    this.#againAt = now + RECONNECT_MS
  }

  flushed(end: number, now: number): void {
    if (this.#phase !== 'fetching' || end <= this.#flushed) return
    this.#flushed = Math.min(end, this.#end)
    this.#learnHw()
    this.#fetch(now)
  }

  /** Not all of the batches could be appended (a full disk): the log is this now. */
  appendFailed(log: LogFacts, now: number): void {
    if (this.#phase !== 'fetching') return
    this.#againAt = now + RETRY_MS
    this.#fetching = 0
    this.#take(log)
  }

  /** The log is this after `truncate` or `startAt`. */
  reopened(log: LogFacts, now: number): void {
    if (this.#phase !== 'reopening') return
    this.#phase = 'fetching'
    this.#take(log)
    this.#fetch(now)
  }

  /** To be called at least every half second. */
  tick(now: number): void {
    this.#fetch(now)
  }

  #take(log: LogFacts): void {
    this.#start = log.start
    this.#end = log.end
    this.#flushed = log.end
    this.#epochs = [...log.epochs]
    if (log.hw >= this.#hw) this.#hwEpoch = log.hwEpoch
    this.#hw = Math.min(Math.max(this.#hw, log.hw), log.end)
  }

  #fetch(now: number): void {
    const { leader } = this.#record
    if (this.#phase !== 'fetching' || this.#fetching !== 0 || now < this.#againAt) return
    if (leader === NO_LEADER || leader === this.#me || this.#flushed < this.#end) return
    this.#fetching = ++this.#fetches
    this.#out.push({
      kind: 'fetch',
      id: this.#fetching,
      leader,
      epoch: this.epoch,
      offset: this.#flushed,
      lastEpoch: lastEpochOf(this.#epochs),
      logStart: this.#start,
    })
  }

  #refused(error: number, leaderStart: number, now: number): void {
    if (error === ErrorCode.OFFSET_OUT_OF_RANGE && !this.#isCounted) {
      // What the leader begins with lies beyond what is here.
      this.#beginAt(leaderStart)
    } else if (error === ErrorCode.OFFSET_OUT_OF_RANGE) this.#againAt = now + RETRY_MS
    else this.#againAt = now + RECONNECT_MS
  }

  /**
   * All that is here lies below the leader's start: of an epoch that began below it, too, the leader only knows that it ended
   * there or before, so that nobody can say whether these records are the ones that were committed.
   */
  #isBelow(leaderStart: number): boolean {
    return !this.#isCounted && this.#start < this.#flushed && this.#flushed <= leaderStart
  }

  /** The record counts on this log, so that it has all that is committed. */
  get #isCounted(): boolean {
    const { isr, elr } = this.#record
    return isr.includes(this.#me) || elr.includes(this.#me)
  }

  #beginAt(offset: number): void {
    this.#reopen({ kind: 'startAt', epoch: this.epoch, offset })
  }

  /** Cuts to where both logs may be the same: perhaps not far enough yet, then the next fetch is told so (KIP-279). */
  #cut({ epoch, endOffset }: { readonly epoch: number; readonly endOffset: number }): void {
    const own = endOffsetFor(this.#epochs, epoch, this.#end).endOffset
    const offset = Math.min(endOffset, own === -1 ? this.#end : own)
    if (endOffset < 0) this.#fail(`the leader knows no epoch up to ${epoch}`)
    else if (offset < this.#hw && !this.#isForgiven()) {
      this.#fail(`the leader's log parts at ${offset}, below the high watermark ${this.#hw}`)
    } else {
      // A high watermark that an unclean election has taken back is no high watermark any more.
      this.#hw = Math.min(this.#hw, offset)
      this.#reopen({ kind: 'truncate', epoch: this.epoch, offset })
    }
  }

  /** Somebody was elected uncleanly after this high watermark was learnt. */
  #isForgiven(): boolean {
    const below = this.#epochs.findLast(({ startOffset }) => startOffset < this.#hw)?.epoch ?? -1
    return this.#record.unclean > Math.max(this.#hwEpoch, below)
  }

  #append(batches: readonly B[], now: number): void {
    let next = this.#end
    let last = lastEpochOf(this.#epochs)
    for (const { baseOffset, lastOffset, epoch, isWhole } of batches) {
      const isNext = baseOffset === next || (baseOffset > next && this.#hasGaps())
      if (!isWhole || !isNext || lastOffset < baseOffset || epoch < last || epoch > this.epoch) {
        this.#againAt = now + RETRY_MS
        return
      }
      next = lastOffset + 1
      last = epoch
    }
    for (const { epoch, baseOffset } of batches) {
      if (epoch > lastEpochOf(this.#epochs)) this.#note(epoch, baseOffset)
    }
    this.#end = next
    this.#out.push({ kind: 'append', epoch: this.epoch, batches })
  }

  /** An epoch of which nothing came is not remembered: its start may be another's offset. */
  #note(epoch: number, startOffset: number): void {
    this.#epochs = this.#epochs.filter(entry => entry.startOffset < startOffset)
    this.#epochs.push({ epoch, startOffset })
  }

  #learnHw(): void {
    const hw = Math.min(this.#leaderHw, this.#flushed)
    if (hw <= this.#hw) return
    this.#hw = hw
    this.#hwEpoch = this.epoch
    this.#out.push({ kind: 'hw', hw })
  }

  #moveStart(leaderStart: number): void {
    const start = Math.min(leaderStart, this.#hw)
    if (start <= this.#start) return
    this.#start = start
    this.#out.push({ kind: 'moveStart', offset: start })
  }

  #reopen(effect: FollowerEffect<B>): void {
    this.#phase = 'reopening'
    this.#out.push(effect)
  }

  #fail(reason: string): void {
    this.#phase = 'failed'
    this.#out.push({ kind: 'fail', reason })
  }
}
