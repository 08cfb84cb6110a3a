import { ErrorCode } from '../protocol/error-codes.ts'
import type { LogFacts } from '../replication/log-facts.ts'
import { PartitionReplica, type ReplicaEffect } from '../replication/replica.ts'
import type { LogView } from '../storage/commands.ts'
import type { CommitWaiter, Partition, Replication } from '../topics/partition.ts'
import type { FetchedBatch } from './batches.ts'
import type { ClusterImage } from './image.ts'

/** Who waits for a commit. */
export interface CommitSlot {
  readonly waiter: CommitWaiter
  readonly slot: number
}

export type HostedEffect = ReplicaEffect<CommitSlot, FetchedBatch>

/** What replicas share that are on this broker. */
export interface HostOptions {
  readonly me: number
  readonly incarnation: string
  readonly image: ClusterImage
  readonly lagTimeMs: () => number
  /** Monotonic, ms. */
  readonly now: () => number
  /** Whether the replica's leader has been confirmed since. */
  readonly confirm: (replica: HostedReplica) => Promise<boolean>
  /** Does what the machine wants done, in order. */
  readonly carryOut: (replica: HostedReplica, effect: HostedEffect) => void
}

/**
 * One partition of which this broker is a replica: its log (Partition), and the machine that says what becomes of it. Whatever
 * is told the machine passes through `tell`, and what it wants done is done then.
 */
export class HostedReplica implements Replication {
  readonly partition: Partition
  /** Of its record. */
  readonly key: string
  readonly machine: PartitionReplica<CommitSlot, FetchedBatch>
  readonly #o: HostOptions
  readonly #out: HostedEffect[] = []
  #isTelling = false
  /** It is in this broker's hands no more: deleted, or moved away. */
  isGone = false
  /** What its worker was told last. */
  savedHw = -1
  /** Batches of its leader have no room in the ring yet: they are still where they were received. */
  waitsForRoom = false

  constructor(partition: Partition, key: string, options: HostOptions) {
    this.partition = partition
    this.key = key
    this.#o = options
    const { me, incarnation, image } = options
    this.machine = new PartitionReplica({
      ...{ me, incarnation, key, out: this.#out },
      hasGaps: () => partition.hasGaps,
      brokers: image,
      lagTimeMs: options.lagTimeMs(),
    })
    partition.replication = this
  }

  /** Tells the machine something, and has done what it wants. */
  tell(action: (machine: HostedReplica['machine'], now: number) => void): void {
    action(this.machine, this.#o.now())
    if (this.#isTelling) return
    this.#isTelling = true
    try {
      for (let next = this.#out.shift(); next !== undefined; next = this.#out.shift()) {
        this.#o.carryOut(this, next)
      }
    } finally {
      this.#isTelling = false
    }
  }

  /** The log as the machine is told of it. */
  factsOf({ logStartOffset, nextOffset, highWatermark, epochs }: LogView): LogFacts {
    const hw = Math.min(highWatermark ?? 0, nextOffset)
    return { start: logStartOffset, end: nextOffset, hw, hwEpoch: -1, epochs }
  }

  /** The log as this thread knows it: all that has been reported of it. */
  get facts(): LogFacts {
    const { logStartOffset, logEndOffset, highWatermark, epochs } = this.partition
    return { start: logStartOffset, end: logEndOffset, hw: highWatermark, hwEpoch: -1, epochs }
  }

  get hasFollowers(): boolean {
    const { leader } = this.machine
    return leader !== null && leader.record.replicas.length > 1
  }

  placed(end: number): void {
    this.tell(({ leader }, now) => leader?.placed(end, now))
  }

  appended(end: number): void {
    this.tell(({ leader, follower }, now) => {
      leader?.appended(end, now)
      follower?.flushed(end, now)
    })
  }

  appendFailed(): void {
    this.tell(({ follower }, now) => follower?.appendFailed(this.facts, now))
  }

  refusal(needsAll: boolean): ErrorCode {
    const { leader } = this.machine
    if (leader === null || !leader.mayServe(this.#o.now())) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return needsAll ? (leader.appendError as ErrorCode) : ErrorCode.NONE
  }

  get follows(): boolean {
    return this.machine.follower !== null
  }

  readersAt(offset: number): readonly number[] {
    return this.machine.leader?.readersAt(offset) ?? []
  }

  whenCommitted(end: number, waiter: CommitWaiter, slot: number, timeoutMs: number): void {
    const { leader } = this.machine
    // Appended here, and led elsewhere by now: nobody knows whether it stays.
    if (leader === null) waiter.onCommitted(slot, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    else this.tell((_, now) => leader.wait(end, { waiter, slot }, now + Math.max(0, timeoutMs)))
  }

  get knowsHighWatermark(): boolean {
    const { leader } = this.machine
    return leader === null || leader.hw >= leader.epochStart
  }

  startMoved(start: number): void {
    this.tell(({ leader }) => leader?.startMoved(start))
  }

  confirm(): Promise<boolean> {
    return this.#o.confirm(this)
  }

  lost(reason: string): void {
    this.tell((machine, now) => machine.damaged(reason, now))
  }
}
