import type { BrokerContext } from '../broker-context.ts'
import { BrokerError } from '../errors.ts'
import { type CommittedOffset, NO_EXPIRY } from '../groups/offsets.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Partition } from '../topics/partition.ts'
import { ledHere } from '../topics/registry.ts'
import { hasPartition } from '../topics/topic-table.ts'
import { checkCommitted, checkSubscribe } from './arguments.ts'
import {
  type Position,
  type ReadRecord,
  readSome,
  somethingNew,
  type UnreadableBatch,
} from './read.ts'

/** The newest OffsetCommit and ConsumerGroupHeartbeat: what embedded members speak. */
const COMMIT_VERSION = 10
const HEARTBEAT_VERSION = 1
/** A member that does not ask for its next record for so long loses what it is to give up (max.poll.interval.ms). */
const REBALANCE_TIMEOUT_MS = 300_000
/** After a failed heartbeat the next one comes after so many ms. */
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
  readonly topicId: string
  /** After the last record that was handed out; -1: none was. */
  handedOut: number
}

/**
 * A member of a consumer group inside the process: the broker shares the topics' partitions among all members, embedded and
 * remote ones alike (KIP-848). Records are handed out by iterating; nothing is committed unless `commit` is
 * called. What a rebalance takes away is given up between two records, never while one is being worked on.
 */
export class Subscription implements AsyncIterable<ReadRecord>, AsyncDisposable {
  readonly #broker: BrokerContext
  readonly #options: SubscribeOptions
  readonly #stop: AbortSignal
  readonly #own = new AbortController()
  readonly #owned = new Map<string, Owned>()
  #memberId = ''
  #epoch = JOINING
  /** What the coordinator wants this member to have; null: as it is. */
  #target: ReadonlySet<string> | null = null
  #timer: NodeJS.Timeout | null = null
  #wake: () => void = () => {}
  #isRead = false
  #closing: Promise<void> | null = null
  #failure: unknown = null

  /** @internal */
  constructor(broker: BrokerContext, options: SubscribeOptions, closed: AbortSignal) {
    checkSubscribe(options)
    this.#broker = broker
    this.#options = options
    const signals = options.signal === undefined ? [closed] : [closed, options.signal]
    this.#stop = AbortSignal.any([...signals, this.#own.signal])
    // Not of its own signal, which `close` aborts: it would leave twice, and the second time end before the first is flushed.
    const outer = AbortSignal.any(signals)
    outer.addEventListener('abort', () => void this.close(), { once: true })
    broker.guests.add(this)
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
   * @throws TypeError for what is no record, BrokerError OFFSET_OUT_OF_RANGE for one that is not there, BrokerError if a partition is not this member's any more (STALE_MEMBER_EPOCH): another one works on it
   */
  async commit(record?: ReadRecord): Promise<void> {
    const offsets: { partition: Partition; offset: number }[] = []
    if (record === undefined) {
      for (const { partition, handedOut } of this.#owned.values()) {
        if (handedOut !== -1) offsets.push({ partition, offset: handedOut })
      }
    } else {
      checkCommitted(record)
      const partition = this.#broker.registry.partition(record.topic, record.partition)
      const owned = partition && this.#owned.get(keyOf(partition.topicId, partition.index))
      if (owned === undefined) throw lost(record)
      const { name, highWatermark } = owned.partition
      if (record.offset >= highWatermark) {
        const message = `${name} has offsets up to ${highWatermark - 1}, not ${record.offset}.`
        throw new BrokerError(ErrorCode.OFFSET_OUT_OF_RANGE, message)
      }
      offsets.push({ partition: owned.partition, offset: record.offset + 1 })
    }
    if (offsets.length > 0) await this.#commit(offsets)
  }

  async #commit(positions: readonly { partition: Partition; offset: number }[]): Promise<void> {
    const { group } = this.#options
    const shard = await this.#broker.groups.shardFor(group)
    const entry = shard.find(group)
    if (entry === undefined)
      throw new BrokerError(ErrorCode.GROUP_ID_NOT_FOUND, `No group ${group}.`)
    shard.run(entry, () => {
      const { instanceId = null } = this.#options
      const check = entry.group.validateCommit(
        this.#memberId,
        instanceId,
        this.#epoch,
        COMMIT_VERSION,
      )
      const commitTimestamp = Date.now()
      const records = positions.map(({ partition, offset }) => {
        const { topic, topicId, index } = partition
        check?.(topicId, index)
        const leaderEpoch = partition.epochAt(offset - 1)
        const times = { commitTimestamp, expireTimestamp: NO_EXPIRY }
        const value: CommittedOffset = { offset, leaderEpoch, metadata: '', topicId, ...times }
        return entry.offsets.record(topic, index, value)
      })
      shard.commit(entry, records)
    })
    await shard.settled(entry)
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
    this.#closing ??= this.#leave().finally(() => this.#broker.guests.delete(this))
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
    return this.#owned.get(keyOf(owned.topicId, owned.partition.index)) === owned
  }

  async #readSome(owned: Owned): Promise<ReadRecord[]> {
    try {
      return await readSome(this.#broker, owned)
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
    await somethingNew(positions, AbortSignal.any([this.#stop, changed.signal]))
    this.#wake = () => {}
  }

  // The group.

  #heartbeat() {
    const { group, topics, instanceId = null } = this.#options
    const isJoining = this.#epoch === JOINING
    const byTopic = new Map<string, number[]>()
    for (const { topicId, partition } of this.#owned.values()) {
      const partitions = byTopic.get(topicId)
      if (partitions === undefined) byTopic.set(topicId, [partition.index])
      else partitions.push(partition.index)
    }
    if (this.#memberId === '') this.#memberId = this.#broker.groups.newMemberId()
    return this.#broker.groups.consumerHeartbeat(
      {
        groupId: group,
        memberId: this.#memberId,
        memberEpoch: this.#epoch,
        instanceId,
        rackId: null,
        rebalanceTimeoutMs: isJoining ? REBALANCE_TIMEOUT_MS : -1,
        subscribedTopicNames: isJoining ? [...topics] : null,
        subscribedTopicRegex: null,
        serverAssignor: null,
        topicPartitions: [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions })),
      },
      { clientId: 'odradek-embedded', clientHost: '/embedded', version: HEARTBEAT_VERSION },
    )
  }

  /** Sends a heartbeat and sees to it that the next one follows. */
  async #beat(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    let nextMs = RETRY_MS
    try {
      const answer = await this.#heartbeat()
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
      case ErrorCode.COORDINATOR_NOT_AVAILABLE:
      case ErrorCode.NOT_COORDINATOR:
      case ErrorCode.UNRELEASED_INSTANCE_ID:
        return true
      default:
        return false
    }
  }

  /** Takes over the assignment between two records: gives up what it lost, tells so, begins what it got. */
  async #reconcile(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const target = this.#target
    if (target === null || this.#closing !== null) return
    this.#target = null
    for (const key of [...this.#owned.keys()]) if (!target.has(key)) this.#owned.delete(key)
    for (const key of target) if (!this.#owned.has(key)) await this.#begin(key)
    await this.#beat()
  }

  /** Begins a partition where the group has committed, or where the options say. */
  async #begin(key: string): Promise<void> {
    const [topicId, index] = key.split(' ') as [string, string]
    const { registry, groups } = this.#broker
    const topic = registry.topicById(topicId)
    if (topic === undefined || !hasPartition(topic, Number(index))) return
    const partition = ledHere(registry, topic, Number(index))
    const found = groups.entry(this.#options.group)
    if (found !== undefined) await found.shard.settled(found.entry)
    const committed = found?.entry.offsets.get(partition.topic, partition.index, topicId)?.offset
    const { logStartOffset, highWatermark } = partition
    const isThere =
      committed !== undefined && committed >= logStartOffset && committed <= highWatermark
    const start = this.#options.from === 'latest' ? highWatermark : logStartOffset
    const offset = isThere ? committed : start
    const end = Number.POSITIVE_INFINITY
    const { onUnreadable } = this.#options
    this.#owned.set(key, { topicId, partition, offset, end, handedOut: -1, onUnreadable })
  }
}

const keyOf = (topicId: string, partition: number): string => `${topicId} ${partition}`

function lost({ topic, partition }: ReadRecord): BrokerError {
  const message = `Partition ${topic}-${partition} is not this member's any more.`
  return new BrokerError(ErrorCode.STALE_MEMBER_EPOCH, message)
}
