import { assert } from '../assert.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { Confirmations } from './confirmations.ts'
import type { FetchVerdict, LeaderEffect, ReplicaFetch } from './leader-effects.ts'
import { divergence, type LogFacts } from './log-facts.ts'
import {
  isEligible,
  isRefusal,
  nextState,
  type Proposal,
  transactionOf,
  type View,
} from './next-state.ts'
import { effectiveMin, type PartitionState } from './partition-state.ts'
import { Pending } from './pending.ts'
import { ReplicaProgress } from './progress.ts'
import type { Outbox, Outcome } from './types.ts'
import { Waiters } from './waiters.ts'

/** While the lease may be over: so recently must every other member of the ISR have followed. */
export const FOLLOWED_MS_MAX = 1_500
/** After a refused change of the ISR, until the next is planned; and until one without an outcome is sent again. */
const AGAIN_MS = 200

/** Of the cluster's image: the newest that is known. */
export interface Brokers {
  broker(id: number): { readonly epoch: number } | null
  view(key: string): View
}

export interface LeaderOptions<W> {
  readonly me: number
  /** Of the record. */
  readonly key: string
  readonly record: PartitionState
  readonly log: LogFacts
  readonly brokers: Brokers
  /** replica.lag.time.max.ms */
  readonly lagTimeMs: number
  readonly now: number
  /** Where effects go, in order: an array that the shell empties after each call. */
  readonly out: Outbox<LeaderEffect<W>>
}

/**
 * The leader of one partition in one leader epoch (Partition.scala): made when the worker has taken over its log for that
 * epoch and the record names this broker's incarnation, and of no use after `resign`. Knows what each replica has flushed,
 * moves the high watermark, keeps the ISR. Pure: what the shell has to do goes to `out`.
 * All times are monotonic ms.
 */
export class LeaderReplica<W> {
  readonly epoch: number
  /** Where the log ended when this epoch began: below it, others may not have what is here. */
  readonly epochStart: number
  readonly #me: number
  readonly #out: Outbox<LeaderEffect<W>>
  readonly #key: string
  readonly #brokers: Brokers
  readonly #view: View
  readonly #lagTimeMs: number
  readonly #waiters = new Waiters<W>()
  readonly #confirmations = new Confirmations()
  readonly #progress = new Map<number, ReplicaProgress>()
  readonly #log: LogFacts
  #committed: PartitionState
  #pending: Pending | null = null
  #proposals = 0
  #planAgainAt = Number.NEGATIVE_INFINITY
  #start: number
  /** What is flushed. */
  #end: number
  /** What has a place in the log, and may be fetched: never below `#end`. A follower may have flushed it before it is flushed here. */
  #placed: number
  #hw: number
  #isLeaseHeld = true
  #hasResigned = false

  constructor({ me, key, record, log, brokers, lagTimeMs, now, out }: LeaderOptions<W>) {
    assert(record.leader === me && record.isr.includes(me), 'a leader is in its ISR')
    this.#me = me
    this.#out = out
    this.#key = key
    this.#brokers = brokers
    this.#view = brokers.view(key)
    this.#lagTimeMs = lagTimeMs
    this.#committed = record
    this.#log = log
    this.epoch = record.epoch
    this.epochStart = log.end
    this.#start = log.start
    this.#end = log.end
    this.#placed = log.end
    this.#hw = Math.min(log.hw, log.end)
    this.#follow(record, now)
    this.#tryHw(now)
  }

  get hw(): number {
    return this.#hw
  }

  /** Replicas may fetch up to here. */
  get end(): number {
    return this.#placed
  }

  get logStart(): number {
    return this.#start
  }

  get record(): PartitionState {
    return this.#committed
  }

  /** Committed and proposed ISR together (KIP-497): whoever may be in the record, whichever way the proposal goes. */
  get maximalIsr(): readonly number[] {
    const { isr } = this.#committed
    const added = this.#pending?.isr.filter(id => !isr.includes(id)) ?? []
    return added.length === 0 ? isr : [...isr, ...added]
  }

  /** NONE, or why an acks=all append is refused before anything is appended. */
  get appendError(): number {
    if (this.#hasResigned) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return this.#isUnderMin ? ErrorCode.NOT_ENOUGH_REPLICAS : ErrorCode.NONE
  }

  /**
   * Whether consumers, acks=0 and acks=1 are served. Always while the lease is held; else while nobody else can have been
   * elected, or all who could be followed a moment ago.
   */
  mayServe(now: number): boolean {
    if (this.#hasResigned) return false
    const others = this.#others(this.maximalIsr)
    if (this.#isLeaseHeld || (others.length === 0 && this.#committed.elr.length === 0)) return true
    return (
      others.length > 0 &&
      others.every(id => now - this.#progress.get(id)!.followedAt <= FOLLOWED_MS_MAX)
    )
  }

  /** Others that are in sync and have what is committed at this offset, those with most first: a consumer may read there (KIP-392). */
  readersAt(offset: number): readonly number[] {
    const { isr } = this.#committed
    return [...this.#progress.values()]
      .filter(
        ({ id, logStart, flushed }) => isr.includes(id) && logStart <= offset && offset <= flushed,
      )
      .sort((a, b) => b.flushed - a.flushed)
      .map(({ id }) => id)
  }

  /** Appends up to here have offsets, in this epoch for good, and will be flushed: replicas may have them at once. */
  placed(end: number, now: number): void {
    if (this.#hasResigned || end <= this.#placed) return
    for (const progress of this.#progress.values()) progress.grows(this.#placed, now)
    this.#placed = end
    this.#out.push({ kind: 'readable', end })
  }

  /** The log has been flushed (written, if not durable) up to here. */
  appended(end: number, now: number): void {
    if (this.#hasResigned || end <= this.#end) return
    // Who could not read it before, where it was only placed, can now.
    if (end <= this.#placed) this.#out.push({ kind: 'readable', end })
    else this.placed(end, now)
    this.#end = end
    this.#tryHw(now)
  }

  /** Records below this are gone (retention, DeleteRecords). */
  startMoved(start: number): void {
    if (start <= this.#start) return
    this.#start = start
    this.#out.push({ kind: 'wake' })
  }

  /**
   * An acks=all append that ends at `end` wants to know when it is committed; a duplicate gives the end of its original.
   * Answered by `settle`, at the latest at the deadline.
   */
  wait(end: number, slot: W, deadline: number): void {
    if (end <= this.#hw) this.#settle([slot], ErrorCode.NONE)
    else if (this.#hasResigned) this.#settle([slot], ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    else this.#waiters.add({ end, slot, deadline })
  }

  fetch(request: ReplicaFetch, now: number): FetchVerdict {
    const { from, session, brokerEpoch, epoch, offset } = request
    if (this.#hasResigned) return this.#error(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    if (epoch < this.epoch) return this.#error(ErrorCode.FENCED_LEADER_EPOCH)
    if (epoch > this.epoch) return this.#error(ErrorCode.UNKNOWN_LEADER_EPOCH)
    const progress = this.#progress.get(from)
    if (progress === undefined) return this.#error(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    const newest = Math.max(this.#brokers.broker(from)?.epoch ?? -1, progress.brokerEpoch)
    if (brokerEpoch < newest) return this.#error(ErrorCode.STALE_BROKER_EPOCH)
    const diverging = divergence(this.#log.epochs, this.#placed, request.lastEpoch, offset)
    if (diverging !== null) return { diverging }
    if (offset < this.#start || offset > this.#placed)
      return this.#error(ErrorCode.OFFSET_OUT_OF_RANGE)
    progress.fetched(request, this.#placed, now)
    this.#heard(progress, session)
    this.#tryHw(now)
    this.#tryExpand(now)
    return { hw: this.#hw, logStart: this.#start, end: this.#placed }
  }

  /** A fetch of this replica was answered, whatever with. */
  fetchAnswered(replica: number, session: number, now: number): void {
    this.#progress.get(replica)?.answered(session, now)
    this.#confirmations.answered(replica, session)
  }

  /** Asks whether this broker still leads; the answer is a `confirmed` with the ticket. */
  confirm(ticket: number): void {
    // Below the minimum nothing can be committed, and the ELR, which does not fetch, may be elected.
    if (this.#hasResigned || (this.#isUnderMin && !this.#isLeaseHeld)) {
      this.#confirmed([ticket], ErrorCode.NOT_LEADER_OR_FOLLOWER)
    } else if (this.#isUnderMin) {
      this.#confirmed([ticket], ErrorCode.NONE)
    } else {
      this.#confirmations.ask(ticket)
      this.#askAll()
    }
  }

  /** The record has been written, by whomever. */
  recordChanged(record: PartitionState, by: string, now: number): void {
    if (this.#hasResigned || record.revision <= this.#committed.revision) return
    if (record.leader !== this.#me || record.epoch !== this.epoch || record.by !== by) {
      this.resign(`epoch ${record.epoch} is led by ${record.leader}`)
      return
    }
    // It can no longer be applied, or was.
    this.#pending = null
    const { isr } = this.#committed
    this.#committed = record
    this.#follow(record, now)
    for (const id of record.isr) if (!isr.includes(id)) this.#progress.get(id)?.joined(now)
    this.#tryHw(now)
    this.#provenNow()
  }

  /** The outcome of a proposal; what it says of the record has been told before (`recordChanged`). */
  answered(id: number, outcome: Outcome, now: number): void {
    const pending = this.#pending
    if (pending === null || pending.id !== id) return
    if (pending.isSettledBy(outcome)) {
      this.#pending = null
      this.#planAgainAt = now + AGAIN_MS
      this.#tryHw(now)
    } else pending.sendAgainAt = now + AGAIN_MS
  }

  /** Whether this broker's lease certainly still lasts. */
  lease(isHeld: boolean): void {
    this.#isLeaseHeld = isHeld
    if (isHeld || this.#hasResigned) return
    if (this.#isUnderMin) this.#refuseConfirmations()
    this.#hearFollowers()
  }

  #refuseConfirmations(): void {
    this.#confirmed(this.#confirmations.all(), ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  /** A fetch may wait for news for long: who still follows says so when it is answered. */
  #hearFollowers(): void {
    const replicas = this.#others(this.maximalIsr)
    if (replicas.length > 0) this.#out.push({ kind: 'answerNow', replicas })
  }

  /** To be called at least every half second. */
  tick(now: number): void {
    if (this.#hasResigned) return
    if (!this.#isLeaseHeld) this.#hearFollowers()
    const overdue = this.#waiters.expired(now)
    this.#settle(
      overdue,
      this.#isUnderMin ? ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND : ErrorCode.REQUEST_TIMED_OUT,
    )
    if (this.#pending !== null) {
      if (this.#pending.isDue(now)) this.#out.push(this.#pending.send())
      return
    }
    this.#tryHw(now)
    this.#tryShrink(now)
    for (const id of this.#committed.replicas) this.#tryExpandBy(id, now)
  }

  /** Nobody who waits is told 6: that would say that nothing was appended. */
  resign(reason: string): void {
    if (this.#hasResigned) return
    this.#hasResigned = true
    this.#settle(this.#waiters.all(), ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    this.#confirmed(this.#confirmations.all(), ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.#out.push({ kind: 'resign', reason })
  }

  #error(error: number): FetchVerdict {
    return { error, logStart: this.#start }
  }

  get #isUnderMin(): boolean {
    return this.#committed.isr.length < effectiveMin(this.#committed)
  }

  #others(ids: readonly number[]): number[] {
    return ids.filter(id => id !== this.#me)
  }

  #follow(record: PartitionState, now: number): void {
    for (const id of this.#progress.keys()) {
      if (!record.replicas.includes(id)) this.#progress.delete(id)
    }
    for (const id of this.#others(record.replicas)) {
      if (this.#progress.has(id)) continue
      const since = record.isr.includes(id) ? now : Number.NEGATIVE_INFINITY
      this.#progress.set(id, new ReplicaProgress(id, since))
    }
  }

  /**
   * Moves the high watermark to what all of the maximal ISR have flushed, if the committed ISR is as large as it has to be
   * (KIP-966); not past a replica that is about to join, or it never could (shouldWaitForReplicaToJoinIsr).
   */
  #tryHw(now: number): void {
    if (this.#isUnderMin) return
    const isr = this.maximalIsr
    let hw = this.#end
    for (const [id, progress] of this.#progress) {
      if (isr.includes(id) || this.#isJoining(id, progress, now))
        hw = Math.min(hw, progress.flushed)
    }
    if (hw <= this.#hw) return
    this.#hw = hw
    this.#out.push({ kind: 'advance', hw })
    this.#settle(this.#waiters.upTo(hw), ErrorCode.NONE)
  }

  #isJoining(id: number, progress: ReplicaProgress, now: number): boolean {
    return (
      progress.flushed >= 0 &&
      progress.isCaughtUp(this.#placed, now, this.#lagTimeMs) &&
      this.#mayJoin(id, progress)
    )
  }

  #mayJoin(id: number, { brokerEpoch }: ReplicaProgress): boolean {
    return this.#view.unfenced(id)?.epoch === brokerEpoch && isEligible(id, this.#view)
  }

  #tryExpand(now: number): void {
    if (this.#pending !== null || this.maximalIsr.length === this.#committed.replicas.length) return
    for (const id of this.#committed.replicas) this.#tryExpandBy(id, now)
  }

  /** It must have all that is committed, and all that was here when this epoch began: some of that may be. */
  #tryExpandBy(id: number, now: number): void {
    if (this.#pending !== null || this.#committed.isr.includes(id)) return
    const progress = this.#progress.get(id)
    if (progress === undefined || now < this.#planAgainAt) return
    const isBehind = progress.flushed < this.#hw || progress.flushed < this.epochStart
    if (isBehind || !this.#mayJoin(id, progress)) return
    const isr = this.#committed.isr.map(member => ({ id: member, brokerEpoch: -1 }))
    this.#propose({ isr: [...isr, { id, brokerEpoch: progress.brokerEpoch }] })
  }

  #tryShrink(now: number): void {
    if (now < this.#planAgainAt) return
    const { isr } = this.#committed
    const stays = isr.filter(
      id =>
        id === this.#me || this.#progress.get(id)!.isCaughtUp(this.#placed, now, this.#lagTimeMs),
    )
    if (stays.length < isr.length) {
      this.#propose({ isr: stays.map(id => ({ id, brokerEpoch: -1 })) })
    }
  }

  #propose(proposal: Proposal): void {
    const next = nextState(this.#committed, proposal, this.#view)
    if (isRefusal(next)) return
    const { compares, change } = transactionOf(this.#key, next)
    this.#pending = new Pending(++this.#proposals, next.state.isr, compares, change)
    this.#out.push(this.#pending.send())
  }

  #heard(progress: ReplicaProgress, session: number): void {
    progress.heard(session)
    if (this.#confirmations.isEmpty) return
    this.#confirmations.heard(progress.id, session)
    this.#provenNow()
    if (!this.#confirmations.isEmpty) {
      this.#out.push({ kind: 'answerNow', replicas: [progress.id] })
    }
  }

  #provenNow(): void {
    if (this.#confirmations.isEmpty) return
    if (this.#isUnderMin && !this.#isLeaseHeld) this.#refuseConfirmations()
    else {
      const proven = this.#confirmations.provenBy(this.#others(this.maximalIsr))
      this.#confirmed(proven, ErrorCode.NONE)
    }
  }

  #askAll(): void {
    this.#provenNow()
    if (this.#confirmations.isEmpty) return
    this.#out.push({ kind: 'answerNow', replicas: this.#others(this.maximalIsr) })
  }

  #settle(slots: readonly W[], error: number): void {
    if (slots.length > 0) this.#out.push({ kind: 'settle', slots, error })
  }

  #confirmed(tickets: readonly number[], error: number): void {
    if (tickets.length > 0) this.#out.push({ kind: 'confirmed', tickets, error })
  }
}
