import type { CoordinatorLog } from '../coordination/coordinator-log.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import { ClosedGroups, type DeletedTopic } from './closed-groups.ts'
import { upgradeFrom } from './consumer/classic-bridge.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import { EntryContext, type EntryOwner, GroupEntry, type ShardOptions } from './entry.ts'
import { readGroups, readStored } from './loading.ts'
import { GroupLogCompaction } from './log-compaction.ts'
import { GROUP_BYTES } from './memory.ts'
import { isExpired, isSameTopic } from './offsets.ts'
import { encodeRecord, type GroupRecord, type RecordOf } from './records.ts'

/**
 * The groups of one partition of __consumer_offsets. Everything that happens to a group passes through `run`, which comes
 * back for its deadlines, and everything that is told about it through `answer`, which waits for the log.
 */
export class Shard {
  readonly log: CoordinatorLog
  readonly compaction: GroupLogCompaction
  readonly #o: ShardOptions
  readonly #groups = new Map<string, GroupEntry>()
  readonly closed: ClosedGroups

  constructor(options: ShardOptions) {
    this.#o = options
    this.log = options.log
    this.closed = new ClosedGroups(
      groupIds => this.#reload(groupIds),
      err => {
        const { name: partition } = this.log.partition
        options.logger.error({ err, partition }, 'closed groups could not be loaded again')
      },
    )
    this.compaction = new GroupLogCompaction(options, this)
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
    const entry = this.#newEntry(groupId)
    this.#groups.set(groupId, entry)
    return entry
  }

  /** The group as one that classic members can join: an empty one of the consumer protocol becomes one. */
  ensureClassic(groupId: string): GroupEntry {
    const entry = this.ensure(groupId)
    this.#guard(entry, () => {
      const { group } = entry
      if (group.type !== 'consumer' || !group.isEmpty) return
      this.write(entry, group.tombstones())
      entry.group = new ClassicGroup(entry.context)
    })
    return entry
  }

  /**
   * The group as one of the consumer protocol. One with classic members moves to it as it is, if the migration policy allows.
   * @throws BrokerError GROUP_ID_NOT_FOUND
   */
  ensureConsumer(groupId: string): GroupEntry {
    const entry = this.ensure(groupId)
    this.#guard(entry, () => {
      const { group, context } = entry
      if (!(group instanceof ClassicGroup)) return
      const isStored = group.snapshot().length > 0
      const next = group.isEmpty ? new ConsumerGroup(context) : upgradeFrom(group.export(), context)
      if (isStored) this.write(entry, group.tombstones())
      entry.group = next
      group.close(ErrorCode.REBALANCE_IN_PROGRESS)
    })
    return entry
  }

  /**
   * Lets something happen to a group, then looks at when it wants to be called next. What nobody expected closes the group.
   * @throws BrokerError what the action throws, or NOT_COORDINATOR
   */
  run<T>(entry: GroupEntry, action: () => T): T {
    return this.#guard(entry, () => {
      try {
        return action()
      } finally {
        this.#afterwards(entry)
      }
    })
  }

  #afterwards(entry: GroupEntry): void {
    const state = entry.group instanceof ConsumerGroup ? entry.group.downgrade() : null
    if (state !== null) entry.group = ClassicGroup.takingOver(state, entry.context)
    if (isUnused(entry)) {
      this.#forget(entry)
    } else {
      this.#o.memory.set(entry, entry.group.heldBytes)
      this.#countOffsets(entry)
      this.#o.deadlines.watch(entry)
    }
  }

  #guard<T>(entry: GroupEntry, action: () => T): T {
    try {
      return action()
    } catch (error) {
      if (error instanceof BrokerError) throw error
      throw this.#fail(entry, error)
    }
  }

  /** For what nobody has asked for: if the group fails, that has been said. */
  #quietly(entry: GroupEntry, action: () => void): void {
    try {
      this.#guard(entry, action)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
    }
  }

  /** Nobody knows what state it is in: only what the log says of it can be trusted. */
  #fail(entry: GroupEntry, err: unknown): BrokerError {
    const fields = { err, group: entry.id, partition: this.log.partition.name }
    this.#o.logger.error(fields, 'bug: a group has failed: it is closed, and loaded again')
    if (this.#groups.get(entry.id) === entry) {
      this.#drop(entry)
      this.closed.add(entry.id)
    }
    return closedError(entry.id)
  }

  #drop(entry: GroupEntry): void {
    entry.isClosed = true
    this.#groups.delete(entry.id)
    this.#o.deadlines.forget(entry)
    this.#uncount(entry)
    this.#close(entry, ErrorCode.NOT_COORDINATOR)
  }

  /** All that is parked is answered with this error, whatever state the group is in. */
  #close(entry: GroupEntry, errorCode: ErrorCode): void {
    try {
      entry.group.close(errorCode)
    } catch (err) {
      this.#o.logger.error({ err, group: entry.id }, 'bug: a group cannot be closed in order')
    }
    entry.refuseParked(errorCode)
  }

  /** @throws BrokerError NOT_COORDINATOR, on which clients of every API come again */
  throwIfClosed(groupId: string): void {
    if (this.closed.has(groupId)) throw closedError(groupId)
  }

  write(entry: GroupEntry, records: readonly GroupRecord[]): void {
    if (records.length === 0 || entry.isLoading || entry.isClosed) return
    entry.ticket = this.log.write(records.map(encodeRecord), this.#o.wallClock())
    entry.isStored = true
    this.compaction.runIfDue()
  }

  /** Gives an answer about a group once all that it rests on is flushed. */
  answer<R>(entry: GroupEntry, send: (failure: ErrorCode) => R): Promise<R> {
    const settled = new Promise<ErrorCode>(resolve => this.log.after(entry.ticket, resolve))
    // Not in the log's call: what it throws is its own affair.
    return settled.then(send)
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

  /** @throws BrokerError COORDINATOR_LOAD_IN_PROGRESS if there is no memory for it: nothing is committed then */
  commit(entry: GroupEntry, records: readonly RecordOf<'offsetCommit'>[]): void {
    this.#guard(entry, () => {
      this.#checkRoom(entry, records)
      for (const record of records) entry.offsets.apply(record)
      this.#countOffsets(entry)
      this.write(entry, records)
    })
  }

  #checkRoom({ offsets, isStored }: GroupEntry, records: readonly RecordOf<'offsetCommit'>[]) {
    let bytes = isStored ? 0 : GROUP_BYTES
    for (const { key, value } of records) bytes += offsets.growth(key.topic, key.partition, value)
    if (this.#o.offsetMemory.hasRoomFor(bytes)) return
    const message = 'All groups with their offsets take as much memory as they may.'
    throw new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, message)
  }

  #countOffsets({ offsets }: GroupEntry): void {
    this.#o.offsetMemory.set(offsets, GROUP_BYTES + offsets.bytes)
  }

  #uncount(entry: GroupEntry): void {
    this.#o.memory.set(entry, 0)
    this.#o.offsetMemory.set(entry.offsets, 0)
  }

  /** Removes an empty group with its offsets. */
  delete(entry: GroupEntry): void {
    this.#guard(entry, () => {
      this.commit(entry, entry.offsets.tombstones())
      this.write(entry, entry.group.tombstones())
      this.#forget(entry)
    })
  }

  /** Writes what brings a group back as it is, with its offsets. */
  rewrite(entry: GroupEntry): void {
    this.#quietly(entry, () => {
      const records = [...entry.group.snapshot(), ...entry.offsets.snapshot()]
      if (records.length > 0)
        entry.ticket = this.log.write(records.map(encodeRecord), this.#o.wallClock())
    })
  }

  #forget(entry: GroupEntry): void {
    this.#groups.delete(entry.id)
    this.#o.deadlines.forget(entry)
    this.#uncount(entry)
    entry.group.close(ErrorCode.UNKNOWN_MEMBER_ID)
  }

  /** Drops offsets that are past their time, and groups that have nothing left. */
  expire(retentionMs: number): void {
    if (this.log.failure !== ErrorCode.NONE) return
    const now = this.#o.wallClock()
    for (const entry of [...this.#groups.values()]) {
      this.#quietly(entry, () => this.#expire(entry, now, retentionMs))
    }
  }

  #expire(entry: GroupEntry, now: number, retentionMs: number): void {
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

  /** The topic is gone, and with it what was committed to it. */
  forgetTopic(name: string, id: string): void {
    if (this.log.failure !== ErrorCode.NONE) return
    for (const entry of [...this.#groups.values()]) this.#forgetTopicOf(entry, { name, id })
    this.closed.noteDeleted({ name, id })
  }

  #forgetTopicOf(entry: GroupEntry, { name, id }: DeletedTopic): void {
    this.#quietly(entry, () => {
      const gone = entry.offsets.tombstones(
        (topic, offset) => topic === name && isSameTopic(offset.topicId, id),
      )
      this.commit(entry, gone)
    })
  }

  // Loading.

  readonly #newEntry = (groupId: string): GroupEntry => new GroupEntry(groupId, this.#owner)

  /** Brings the groups back as the log has them. */
  async load(): Promise<void> {
    const { groups, broken, count } = await readGroups(this.log, this.#newEntry)
    for (const entry of groups.values()) this.#tryToOpen(entry, broken)
    await this.#keep(broken)
    let live = this.closed.records.length
    for (const { group, offsets } of this.#groups.values()) {
      live += group.snapshot().length + offsets.size
    }
    this.compaction.loaded(count === 0 ? 0 : Math.min(1, live / count))
  }

  /** The same with groups that were closed. */
  async #reload(groupIds: ReadonlySet<string>): Promise<void> {
    // What it does not know of is lost when the log is written anew: not meanwhile, then.
    await this.compaction.idle()
    await this.log.flushed()
    if (this.log.failure !== ErrorCode.NONE) return this.closed.stop()
    const { groups, broken } = await readGroups(this.log, this.#newEntry, id => groupIds.has(id))
    if (this.log.failure !== ErrorCode.NONE) return this.closed.stop()
    for (const entry of groups.values()) this.#tryToOpen(entry, broken)
    await this.#keep(broken)
    for (const groupId of groupIds) {
      if (broken.has(groupId)) continue
      const deleted = this.closed.opened(groupId)
      this.#o.logger.info({ group: groupId }, 'the group is loaded again')
      const entry = this.#groups.get(groupId)
      if (entry !== undefined) for (const topic of deleted) this.#forgetTopicOf(entry, topic)
    }
  }

  readonly #owner: EntryOwner = {
    contextOf: entry => new EntryContext(entry, this, this.#o),
    onTime: (entry, now) =>
      this.#quietly(entry, () => this.run(entry, () => entry.group.onTime(now))),
    onFailure: (entry, error) => void this.#fail(entry, error),
  }

  #tryToOpen(entry: GroupEntry, broken: Map<string, unknown>): void {
    try {
      const { group } = entry
      entry.isStored = group.snapshot().length > 0 || !entry.offsets.isEmpty
      this.#groups.set(entry.id, entry)
      entry.isLoading = true
      if (group instanceof ClassicGroup || group instanceof ConsumerGroup) group.loaded()
      this.#afterwards(entry)
      entry.isLoading = false
    } catch (error) {
      this.#drop(entry)
      broken.set(entry.id, error)
    }
  }

  /** They stay closed; others go on. */
  async #keep(broken: ReadonlyMap<string, unknown>): Promise<void> {
    if (broken.size === 0) return
    const stored = await readStored(this.log, new Set(broken.keys()))
    for (const [group, err] of broken) {
      const message =
        'bug: a group cannot be loaded: it is closed until the next start, and its records are kept'
      this.#o.logger.error({ err, group, partition: this.log.partition.name }, message)
      this.closed.keep(group, stored.get(group)!)
    }
  }

  /** The broker stops: who waits for other members is told; what is being written is still answered. */
  stop(errorCode: ErrorCode): void {
    this.closed.stop()
    for (const entry of this.#groups.values()) {
      this.#o.deadlines.forget(entry)
      this.#close(entry, errorCode)
    }
  }

  /** Nothing of it counts any more: the partition has failed or is gone. */
  close(errorCode: ErrorCode): void {
    this.log.end(errorCode)
    this.stop(errorCode)
    for (const entry of this.#groups.values()) this.#uncount(entry)
    this.#groups.clear()
  }
}

const closedError = (groupId: string): BrokerError =>
  new BrokerError(ErrorCode.NOT_COORDINATOR, `Group ${groupId} has failed and is closed.`)

/** A request that was refused has made the group: it leaves nothing behind. */
function isUnused({ isStored, group }: GroupEntry): boolean {
  return !isStored && group.isEmpty && group.deadline === Number.POSITIVE_INFINITY
}
