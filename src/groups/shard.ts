import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import { upgradeFrom } from './consumer/classic-bridge.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import { EntryContext, GroupEntry, type ShardOptions } from './entry.ts'
import type { GroupLog } from './group-log.ts'
import { GroupLogCompaction } from './log-compaction.ts'
import { isExpired, isSameTopic } from './offsets.ts'
import type { GroupRecord } from './records.ts'

/**
 * The groups of one partition of __consumer_offsets. Everything that happens to a group passes through `run`, which comes
 * back for its deadlines, and everything that is told about it through `answer`, which waits for the log.
 */
export class Shard {
  readonly log: GroupLog
  readonly compaction: GroupLogCompaction
  readonly #o: ShardOptions
  readonly #groups = new Map<string, GroupEntry>()
  #isLoading = false

  constructor(options: ShardOptions) {
    this.#o = options
    this.log = options.log
    this.compaction = new GroupLogCompaction(options, this.#groups)
  }

  get entries(): Iterable<GroupEntry> {
    return this.#groups.values()
  }

  find(groupId: string): GroupEntry | undefined {
    return this.#groups.get(groupId)
  }

  /** The group, made if it is not there: an empty one of the classic protocol, which anything may become. */
  ensure(groupId: string): GroupEntry {
    const known = this.#groups.get(groupId)
    if (known !== undefined) return known
    const entry = new GroupEntry(
      groupId,
      made => new EntryContext(made, this, this.#o),
      (due, now) => this.run(due, () => due.group.onTime(now)),
    )
    this.#groups.set(groupId, entry)
    return entry
  }

  /** The group as one that classic members can join: an empty one of the consumer protocol becomes one. */
  ensureClassic(groupId: string): GroupEntry {
    const entry = this.ensure(groupId)
    const { group } = entry
    if (group.type === 'consumer' && group.isEmpty) {
      this.write(entry, group.tombstones())
      entry.group = new ClassicGroup(entry.context)
    }
    return entry
  }

  /**
   * The group as one of the consumer protocol. One with classic members moves to it as it is, if the migration policy allows.
   * @throws BrokerError GROUP_ID_NOT_FOUND
   */
  ensureConsumer(groupId: string): GroupEntry {
    const entry = this.ensure(groupId)
    const { group, context } = entry
    if (group instanceof ClassicGroup) {
      const isStored = group.snapshot().length > 0
      const next = group.isEmpty ? new ConsumerGroup(context) : upgradeFrom(group.export(), context)
      if (isStored) this.write(entry, group.tombstones())
      entry.group = next
      group.close(ErrorCode.REBALANCE_IN_PROGRESS)
    }
    return entry
  }

  /** Lets something happen to a group, then looks at when it wants to be called next. */
  run<T>(entry: GroupEntry, action: () => T): T {
    try {
      return action()
    } finally {
      const state = entry.group instanceof ConsumerGroup ? entry.group.downgrade() : null
      if (state !== null) entry.group = ClassicGroup.takingOver(state, entry.context)
      if (isUnused(entry)) {
        this.#forget(entry)
      } else {
        this.#o.memory.set(entry, entry.group.heldBytes)
        this.#o.deadlines.watch(entry)
      }
    }
  }

  write(entry: GroupEntry, records: readonly GroupRecord[]): void {
    if (records.length === 0 || this.#isLoading) return
    entry.ticket = this.log.write(records, this.#o.wallClock())
    entry.isStored = true
    this.compaction.runIfDue()
  }

  /** Gives an answer about a group once all that it rests on is flushed. */
  answer<R>(entry: GroupEntry, send: (failure: ErrorCode) => R): Promise<R> {
    return new Promise(resolve => {
      this.log.after(entry.ticket, failure => resolve(send(failure)))
    })
  }

  /** Resolves when all that is known of a group is flushed. @throws BrokerError COORDINATOR_NOT_AVAILABLE */
  settled(entry: GroupEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.log.after(entry.ticket, failure => {
        if (failure === ErrorCode.NONE) resolve()
        else reject(new BrokerError(failure, 'The log of this group cannot be written.'))
      })
    })
  }

  commit(entry: GroupEntry, records: readonly GroupRecord[]): void {
    for (const record of records) if (record.kind === 'offsetCommit') entry.offsets.apply(record)
    this.write(entry, records)
  }

  /** Removes an empty group with its offsets. */
  delete(entry: GroupEntry): void {
    this.commit(entry, entry.offsets.tombstones())
    this.write(entry, entry.group.tombstones())
    this.#forget(entry)
  }

  #forget(entry: GroupEntry): void {
    this.#groups.delete(entry.id)
    this.#o.deadlines.forget(entry)
    this.#o.memory.set(entry, 0)
    entry.group.close(ErrorCode.UNKNOWN_MEMBER_ID)
  }

  /** Drops offsets that are past their time, and groups that have nothing left. */
  expire(retentionMs: number): void {
    if (this.log.failure !== ErrorCode.NONE) return
    const now = this.#o.wallClock()
    for (const entry of [...this.#groups.values()]) {
      const { group, offsets } = entry
      const from = group.offsetsExpireFrom
      if (from !== 'never') {
        const gone = offsets.tombstones(
          (topic, offset) =>
            !group.isSubscribedTo(topic) && isExpired(offset, from, now, retentionMs),
        )
        this.commit(entry, gone)
      }
      // A group that members are about to join has a deadline.
      const isIdle = group.isEmpty && group.deadline === Number.POSITIVE_INFINITY
      if (offsets.isEmpty && isIdle) this.delete(entry)
    }
  }

  /** The topic is gone, and with it what was committed to it. */
  forgetTopic(name: string, id: string): void {
    if (this.log.failure !== ErrorCode.NONE) return
    for (const entry of this.#groups.values()) {
      const gone = entry.offsets.tombstones(
        (topic, offset) => topic === name && isSameTopic(offset.topicId, id),
      )
      this.commit(entry, gone)
    }
  }

  // Loading.

  /** Brings the groups back as the log has them. */
  async load(): Promise<void> {
    this.#isLoading = true
    let replayed = 0
    for await (const record of this.log.read()) {
      this.#replay(record)
      replayed++
    }
    for (const entry of [...this.#groups.values()]) {
      const { group } = entry
      entry.isStored = group.snapshot().length > 0 || !entry.offsets.isEmpty
      if (group instanceof ClassicGroup || group instanceof ConsumerGroup) {
        this.run(entry, () => group.loaded())
      }
    }
    this.#isLoading = false
    let live = 0
    for (const { group, offsets } of this.#groups.values()) {
      live += group.snapshot().length + offsets.size
    }
    this.compaction.loaded(replayed === 0 ? 0 : Math.min(1, live / replayed))
  }

  #replay(record: GroupRecord): void {
    const groupId = 'groupId' in record.key ? record.key.groupId : record.key.group
    if (record.value === null && !this.#groups.has(groupId)) return
    const entry = this.ensure(groupId)
    if (record.kind === 'offsetCommit') {
      entry.offsets.apply(record)
    } else if (record.kind === 'groupMetadata') {
      this.#replayClassic(entry, record.value)
    } else {
      this.#replayConsumer(entry, record)
    }
  }

  #replayClassic(
    entry: GroupEntry,
    value: Extract<GroupRecord, { kind: 'groupMetadata' }>['value'],
  ): void {
    if (value === null) {
      if (entry.group.type === 'classic') this.#replayGone(entry)
      return
    }
    if (!(entry.group instanceof ClassicGroup)) entry.group = new ClassicGroup(entry.context)
    ;(entry.group as ClassicGroup).replay(value)
  }

  #replayConsumer(
    entry: GroupEntry,
    record: Exclude<GroupRecord, { kind: 'offsetCommit' | 'groupMetadata' }>,
  ): void {
    if (record.kind === 'groupEpoch' && record.value === null) {
      if (entry.group.type === 'consumer') this.#replayGone(entry)
      return
    }
    if (!(entry.group instanceof ConsumerGroup)) {
      // What is removed of a group that is none of this protocol any more.
      if (record.value === null) return
      entry.group = new ConsumerGroup(entry.context)
    }
    ;(entry.group as ConsumerGroup).replay(record)
  }

  #replayGone(entry: GroupEntry): void {
    entry.group = new ClassicGroup(entry.context)
    if (entry.offsets.isEmpty) this.#groups.delete(entry.id)
  }

  /** The broker stops: who waits for other members is told; what is being written is still answered. */
  stop(errorCode: ErrorCode): void {
    for (const entry of this.#groups.values()) {
      this.#o.deadlines.forget(entry)
      entry.group.close(errorCode)
    }
  }

  /** Nothing of it counts any more: the partition has failed or is gone. */
  close(errorCode: ErrorCode): void {
    this.log.fail(errorCode)
    this.stop(errorCode)
    for (const entry of this.#groups.values()) this.#o.memory.set(entry, 0)
    this.#groups.clear()
  }
}

/** A request that was refused has made the group: it leaves nothing behind. */
function isUnused({ isStored, group }: GroupEntry): boolean {
  return !isStored && group.isEmpty && group.deadline === Number.POSITIVE_INFINITY
}
