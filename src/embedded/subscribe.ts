import { BrokerError } from '../errors.ts'
import { byTopicId } from '../group-by.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { hasPartition } from '../topics/topic-table.ts'
import type { Access, Consumed, GroupAccess } from './access.ts'
import { checkCommitted, checkSubscribe } from './arguments.ts'
import { isPassing, patiently, WAIT_MS_MAX } from './patience.ts'
import {
  type Position,
  type ReadRecord,
  readSome,
  somethingNew,
  type UnreadableBatch,
} from './read.ts'

/** A member that does not ask for its next record for so long loses what it is to give up (max.poll.interval.ms). */
const REBALANCE_TIMEOUT_MS = 300_000
/** After a failed heartbeat the next one comes after so many ms; so does the next look at a partition that cannot be begun. */
const RETRY_MS = 500

const JOINING = 0
const LEAVING = -1

export interface SubscribeOptions {
  readonly group: string
  readonly topics: readonly string[]
  /** Where to start in partitions for which the group has committed nothing: 'earliest' (the default) or 'latest'. */
  readonly from?: 'earliest' | 'latest'
  /** group.instance.id: with it, a member that comes back within the session timeout gets what it had (KIP-345). */
  readonly instanceId?: string
  /** Ends the subscription when aborted, without an error. */
  readonly signal?: AbortSignal
  /** Called for what is passed over; the broker's log has a warning of it, too. */
  readonly onUnreadable?: (batch: UnreadableBatch) => void
}

interface Owned extends Position {
  /** After the last record that was handed out; -1: none was. */
  handedOut: number
}

/**
 * A member of a consumer group inside the process: the broker shares the topics' partitions among all members, embedded and
 * remote ones alike (KIP-848). Records are handed out by iterating; nothing is committed unless `commit` is
 * called. What a rebalance takes away is given up between two records, never while one is being worked on.
 */
export class Subscription implements AsyncIterable<ReadRecord>, AsyncDisposable {
  readonly #access: Access
  readonly #group: GroupAccess
  readonly #options: SubscribeOptions
  readonly #stop: AbortSignal
  readonly #own = new AbortController()
  readonly #owned = new Map<string, Owned>()
  #memberId = ''
  #epoch = JOINING
  /** What the coordinator wants this member to have; null: as it is. */
  #target: ReadonlySet<string> | null = null
  /** What it is to have, and cannot begin yet: nobody can say now where. */
  #missing: ReadonlySet<string> = new Set()
  #missingAt = 0
  /** The coordinator may not have what was said last: all is said again. */
  #isUnsure = false
  /** One heartbeat after the other. */
  #beating: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | null = null
  #wake: () => void = () => {}
  #isRead = false
  #closing: Promise<void> | null = null
  #failure: unknown = null

  /** @internal */
  constructor(access: Access, options: SubscribeOptions, closed: AbortSignal) {
    checkSubscribe(options)
    this.#access = access
    this.#group = access.group(options.group)
    this.#options = options
    const signals = options.signal === undefined ? [closed] : [closed, options.signal]
    this.#stop = AbortSignal.any([...signals, this.#own.signal])
    // Not of its own signal, which `close` aborts: it would leave twice, and the second time end before the first is flushed.
    const outer = AbortSignal.any(signals)
    outer.addEventListener('abort', () => void this.close(), { once: true })
    access.broker.guests.add(this)
  }

  /** The partitions that this member has now. */
  get assignment(): readonly { readonly topic: string; readonly partition: number }[] {
    return [...this.#owned.values()].map(({ partition }) => ({
      topic: partition.topic,
      partition: partition.index,
    }))
  }

  /**
   * Commits, durably, that everything up to this record of its partition is done; without one, everything handed out so far.
   * In a cluster it waits up to 30 s for the group's coordinator.
   * @throws TypeError for what is no record, BrokerError OFFSET_OUT_OF_RANGE for one that is not there, BrokerError if a partition is not this member's any more (STALE_MEMBER_EPOCH): another one works on it
   */
  async commit(record?: ReadRecord): Promise<void> {
    const offsets = record === undefined ? this.#handedOut : [await this.#upTo(record)]
    const { instanceId = null } = this.#options
    const member = { memberId: this.#memberId, instanceId, epoch: this.#epoch }
    if (offsets.length > 0) await this.#group.commit(member, offsets)
  }

  get #handedOut(): Consumed[] {
    return [...this.#owned.values()]
      .filter(({ handedOut }) => handedOut !== -1)
      .map(({ partition, handedOut: offset }) => ({ partition, offset }))
  }

  async #upTo(record: ReadRecord): Promise<Consumed> {
    checkCommitted(record)
    const topic = this.#access.broker.registry.topic(record.topic)
    const owned = topic && this.#owned.get(keyOf(topic.id, record.partition))
    if (owned === undefined) throw lost(record)
    const { partition } = owned
    if (record.offset >= owned.offset) {
      const { end } = await patiently(() => partition.range(), WAIT_MS_MAX, this.#stop)
      if (record.offset >= end) {
        const message = `${partition.name} has offsets up to ${end - 1}, not ${record.offset}.`
        throw new BrokerError(ErrorCode.OFFSET_OUT_OF_RANGE, message)
      }
    }
    return { partition, offset: record.offset + 1 }
  }

  /** Joins the group and hands out records until the signal is aborted, the loop is left or the broker is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReadRecord, void, undefined> {
    if (this.#isRead) throw new Error('A subscription is iterated once.')
    this.#isRead = true
    try {
      await this.#beat()
      while (!this.#stop.aborted) {
        await this.#reconcile()
        let any = false
        for (const owned of [...this.#owned.values()]) {
          for (const record of await this.#readSome(owned)) {
            if (this.#stop.aborted || !this.#isOwned(owned)) break
            any = true
            owned.handedOut = record.offset + 1
            yield record
            await this.#reconcile()
          }
        }
        if (!any && !this.#stop.aborted) await this.#somethingNew()
      }
    } finally {
      await this.close()
    }
  }

  /** Leaves the group; idempotent. A static member keeps its place for the session timeout. */
  close(): Promise<void> {
    this.#closing ??= this.#leave().finally(() => this.#access.broker.guests.delete(this))
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #leave(): Promise<void> {
    this.#own.abort()
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#owned.clear()
    if (this.#memberId === '' || this.#options.instanceId !== undefined) return
    this.#epoch = LEAVING
    try {
      await this.#heartbeat()
    } catch (error) {
      // The group has forgotten this member already, or the broker is stopping: there is nothing to leave.
      if (!(error instanceof BrokerError)) throw error
    }
  }

  #isOwned(owned: Owned): boolean {
    const { topicId, index } = owned.partition
    return this.#owned.get(keyOf(topicId, index)) === owned
  }

  async #readSome(owned: Owned): Promise<ReadRecord[]> {
    try {
      return await readSome(this.#access.broker, owned)
    } catch (error) {
      // A topic that was deleted leaves the assignment with the next heartbeat.
      if (owned.partition.isDeleted) return []
      throw error
    }
  }

  /** Resolves when there is something to read, the assignment changes, or it is to stop. */
  async #somethingNew(): Promise<void> {
    const changed = new AbortController()
    this.#wake = () => changed.abort()
    if (this.#target !== null || this.#failure !== null) changed.abort()
    const positions = [...this.#owned.values()].filter(({ partition }) => !partition.isDeleted)
    const again = this.#missing.size > 0 ? [AbortSignal.timeout(RETRY_MS)] : []
    await somethingNew(positions, AbortSignal.any([this.#stop, changed.signal, ...again]))
    this.#wake = () => {}
  }

  // The group.

  #heartbeat() {
    const { topics, instanceId = null } = this.#options
    const saysAll = this.#epoch === JOINING || (this.#isUnsure && this.#epoch !== LEAVING)
    if (this.#memberId === '') this.#memberId = this.#access.broker.groups.newMemberId()
    return this.#group.heartbeat({
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      instanceId,
      rackId: null,
      rebalanceTimeoutMs: saysAll ? REBALANCE_TIMEOUT_MS : -1,
      subscribedTopicNames: saysAll ? [...topics] : null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: byTopicId(
        this.#owned.values(),
        ({ partition }) => partition.topicId,
        ({ partition }) => partition.index,
      ),
    })
  }

  /** Sends a heartbeat and sees to it that the next one follows. */
  #beat(): Promise<void> {
    this.#beating = this.#beating.then(() => this.#beatNow())
    return this.#beating
  }

  async #beatNow(): Promise<void> {
    if (this.#closing !== null) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    let nextMs = RETRY_MS
    try {
      const answer = await this.#heartbeat()
      this.#isUnsure = false
      if (this.#closing !== null) return
      this.#epoch = answer.memberEpoch
      nextMs = answer.heartbeatIntervalMs
      if (answer.assignment !== null) {
        this.#target = new Set(
          answer.assignment.topicPartitions.flatMap(({ topicId, partitions }) =>
            partitions.map(index => keyOf(topicId, index)),
          ),
        )
      }
    } catch (error) {
      if (this.#closing !== null) return
      this.#isUnsure = true
      if (!this.#recover(error)) this.#failure = error
    }
    if (this.#target !== null || this.#failure !== null) this.#wake()
    if (this.#failure !== null) return
    this.#timer = setTimeout(() => void this.#beat(), nextMs)
    this.#timer.unref()
  }

  /** @returns whether the member may go on after this error: it joins again, or tries again */
  #recover(error: unknown): boolean {
    if (!(error instanceof BrokerError)) return false
    switch (error.errorCode) {
      case ErrorCode.FENCED_MEMBER_EPOCH:
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.GROUP_ID_NOT_FOUND:
        this.#epoch = JOINING
        this.#target = new Set()
        return true
      case ErrorCode.UNRELEASED_INSTANCE_ID:
        return true
      default:
        return isPassing(error)
    }
  }

  /** Takes over the assignment between two records: gives up what it lost, tells so, begins what it got. */
  async #reconcile(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const target = this.#target
    const isDue = this.#missing.size > 0 && performance.now() >= this.#missingAt
    if ((target === null && !isDue) || this.#closing !== null) return
    this.#target = null
    if (target !== null) {
      for (const key of [...this.#owned.keys()]) if (!target.has(key)) this.#owned.delete(key)
    }
    const wanted = [...(target ?? this.#missing)].filter(key => !this.#owned.has(key))
    const begun = await Promise.all(wanted.map(key => this.#begin(key)))
    this.#missing = new Set(wanted.filter((_, i) => !begun[i]))
    this.#missingAt = performance.now() + RETRY_MS
    if (target !== null || begun.includes(true)) await this.#beat()
  }

  /** Begins a partition where the group has committed, or where the options say. @returns whether that is known */
  async #begin(key: string): Promise<boolean> {
    const [topicId, index] = key.split(' ') as [string, string]
    const { registry } = this.#access.broker
    const topic = registry.topicById(topicId)
    if (topic === undefined || !hasPartition(topic, Number(index))) return false
    const partition = this.#access.partition(topic, Number(index))
    try {
      const [committed, { start, end: latest }] = await Promise.all([
        this.#group.committed(partition),
        partition.range(),
      ])
      const isThere = committed !== undefined && committed >= start && committed <= latest
      const offset = isThere ? committed : this.#options.from === 'latest' ? latest : start
      const end = Number.POSITIVE_INFINITY
      const { onUnreadable } = this.#options
      this.#owned.set(key, { partition, offset, end, handedOut: -1, onUnreadable })
      return true
    } catch (error) {
      if (!isPassing(error)) throw error
      return false
    }
  }
}

const keyOf = (topicId: string, partition: number): string => `${topicId} ${partition}`

function lost({ topic, partition }: ReadRecord): BrokerError {
  const message = `Partition ${topic}-${partition} is not this member's any more.`
  return new BrokerError(ErrorCode.STALE_MEMBER_EPOCH, message)
}
