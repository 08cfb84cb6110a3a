import { FollowerReplica } from './follower.ts'
import type { BatchFacts, FollowerEffect } from './follower-effects.ts'
import { type Brokers, LeaderReplica } from './leader.ts'
import type { LeaderEffect } from './leader-effects.ts'
import type { LogFacts } from './log-facts.ts'
import type { PartitionState } from './partition-state.ts'
import type { Outbox } from './types.ts'

/** While a damaged replica is still counted on: between two tries to have it struck off. */
const LOSE_AGAIN_MS = 1_000

export type Role = 'leader' | 'follower'

export type ReplicaEffect<W, B extends BatchFacts> =
  | LeaderEffect<W>
  | FollowerEffect<B>
  /**
   * Command `lead` or `follow` to the worker: from now on it takes entries of this role and epoch only. A leader's epoch is
   * noted as beginning at the log's end. Its answer goes to `opened(epoch)` or, if the log cannot be opened, `damaged`.
   */
  | { readonly kind: 'role'; readonly role: Role; readonly epoch: number }
  /** Not a replica any more: command `stop`, then the folder may go. */
  | { readonly kind: 'stop' }
  /** Publish the partition as failed, and stop serving it: its log is damaged or its disk has failed. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Propose {lost: [me]} by compare-and-set. What comes of it is seen in the record. */
  | { readonly kind: 'lose' }
  /** Nobody counts on this log: move it aside, take it from what is published as failed, call `refilled`. */
  | { readonly kind: 'refill' }

export interface ReplicaOptions<W, B extends BatchFacts> {
  readonly me: number
  readonly incarnation: string
  readonly key: string
  readonly brokers: Brokers
  readonly lagTimeMs: number
  readonly hasGaps: () => boolean
  /** Where effects go, in order: an array that the shell empties after each call. */
  readonly out: Outbox<ReplicaEffect<W, B>>
}

/**
 * One partition of which this broker is or may be a replica: which role its record gives this incarnation, and the machine
 * of that role. A role begins when the worker has answered, so nothing of an earlier one is under way then that could change
 * the log.
 */
export class PartitionReplica<W, B extends BatchFacts> {
  leader: LeaderReplica<W> | null = null
  follower: FollowerReplica<B> | null = null
  readonly #options: ReplicaOptions<W, B>
  #record: PartitionState | null = null
  #isLeaseHeld = true
  #role: Role | null = null
  /** Of the role that was asked of the worker; -1: none. */
  #epoch = -1
  #isOpening = false
  /** What the last machine knew: the worker's checkpoint may be older. */
  #hw = 0
  #hwEpoch = -1
  /** The log is damaged since this epoch; null: it is not. */
  #damagedIn: number | null = null
  #isRefilling = false
  #loseAgainAt = 0

  constructor(options: ReplicaOptions<W, B>) {
    this.#options = options
  }

  get record(): PartitionState | null {
    return this.#record
  }

  /** Whether others could lead with all that is committed. */
  get isSpare(): boolean {
    const counted = [...(this.#record?.isr ?? []), ...(this.#record?.elr ?? [])]
    return counted.some(id => id !== this.#options.me)
  }

  /** High watermark of what is here. */
  get hw(): number {
    return this.leader?.hw ?? this.follower?.hw ?? this.#hw
  }

  /** The record as the image has it now; null: there is none, or the topic is gone. */
  recordChanged(record: PartitionState | null, now: number): void {
    const { me, incarnation, out } = this.#options
    if (record !== null && record.revision <= (this.#record?.revision ?? 0)) return
    this.#record = record
    if (record === null || !record.replicas.includes(me)) {
      this.#leave('not a replica any more')
      if (this.#role !== null) out.push({ kind: 'stop' })
      this.#role = null
      this.#epoch = -1
      return
    }
    if (this.#damagedIn !== null) {
      this.#mend(now)
      return
    }
    // What an earlier life of this broker was elected for, it must not lead: it may have lost what it had sent.
    const role: Role = record.leader === me && record.by === incarnation ? 'leader' : 'follower'
    if (role !== this.#role || record.epoch !== this.#epoch) this.#begin(role, record.epoch)
    else {
      this.leader?.recordChanged(record, incarnation, now)
      this.follower?.recordChanged(record, now)
    }
  }

  /** The worker has taken the role over; `log` is what it has. */
  opened(epoch: number, log: LogFacts, now: number): void {
    const record = this.#record
    if (!this.#isOpening || epoch !== this.#epoch || record === null) return
    this.#isOpening = false
    const { me, key, brokers, lagTimeMs, hasGaps, out } = this.#options
    const facts = this.#newest(log)
    if (this.#role === 'leader') {
      this.leader = new LeaderReplica({ me, key, record, log: facts, brokers, lagTimeMs, now, out })
      this.leader.lease(this.#isLeaseHeld)
    } else this.follower = new FollowerReplica({ me, record, log: facts, hasGaps, now, out })
  }

  /** The log cannot be read, or its disk has failed. */
  damaged(reason: string, now: number): void {
    if (this.#damagedIn !== null) return
    this.#options.out.push({ kind: 'failed', reason })
    this.#damagedIn = this.#record?.epoch ?? -1
    this.#leave(reason)
    this.#mend(now)
  }

  /** The log is a new one, and empty. */
  refilled(now: number): void {
    this.#damagedIn = null
    this.#isRefilling = false
    this.#hw = 0
    this.#hwEpoch = -1
    const record = this.#record
    this.#record = null
    this.recordChanged(record, now)
  }

  lease(isHeld: boolean): void {
    this.#isLeaseHeld = isHeld
    this.leader?.lease(isHeld)
  }

  /** To be called at least every half second. */
  tick(now: number): void {
    if (this.#damagedIn !== null) this.#mend(now)
    this.leader?.tick(now)
    this.follower?.tick(now)
  }

  #begin(role: Role, epoch: number): void {
    this.#leave(`epoch ${epoch} begins`)
    this.#role = role
    this.#epoch = epoch
    this.#isOpening = true
    this.#options.out.push({ kind: 'role', role, epoch })
  }

  #leave(reason: string): void {
    if (this.leader !== null) {
      this.#hw = this.leader.hw
      this.#hwEpoch = this.leader.epoch
      this.leader.resign(reason)
    }
    if (this.follower !== null) {
      this.#hw = this.follower.hw
      this.#hwEpoch = this.follower.hwEpoch
    }
    this.leader = null
    this.follower = null
    this.#isOpening = false
  }

  #newest(log: LogFacts): LogFacts {
    if (log.hw >= this.#hw) return log
    return { ...log, hw: Math.min(this.#hw, log.end), hwEpoch: this.#hwEpoch }
  }

  /**
   * A damaged log is moved aside only when the record counts on it no more, in an epoch of which this replica has reported
   * nothing: a fetch that is still on its way must not speak for the empty log. The last one that has the records stays
   * what it is, for an operator.
   */
  #mend(now: number): void {
    const { me, out } = this.#options
    const record = this.#record
    if (record === null || this.#damagedIn === null || this.#isRefilling) return
    const counted = [...record.isr, ...record.elr]
    if (record.epoch > this.#damagedIn && !counted.includes(me)) {
      this.#epoch = -1
      this.#isRefilling = true
      out.push({ kind: 'refill' })
    } else if (now >= this.#loseAgainAt && counted.some(id => id !== me)) {
      this.#loseAgainAt = now + LOSE_AGAIN_MS
      out.push({ kind: 'lose' })
    }
  }
}
