import type { CoordinatorLog } from '../coordination/coordinator-log.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import type { Deadlines, Timed } from './clock.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import type { Group, GroupContext, GroupSettings, TopicsView } from './group.ts'
import type { GroupMemory } from './memory.ts'
import { GroupOffsets } from './offsets.ts'
import { encodeRecord, type GroupRecord } from './records.ts'
import type { Shard } from './shard.ts'

export interface ShardOptions {
  readonly log: CoordinatorLog
  readonly deadlines: Deadlines
  /** Of members, and of groups with what they have committed. */
  readonly memory: GroupMemory
  readonly offsetMemory: GroupMemory
  readonly topics: TopicsView
  settingsOf(groupId: string): GroupSettings
  /** Broker time in ms. */
  now(): number
  wallClock(): number
  newUuid(): string
  /** Finds the topics that match, elsewhere, and calls back unless the pattern cannot be matched. */
  resolvePattern(pattern: string, done: (topics: readonly string[]) => void): void
  readonly logger: GroupContext['log'] & { error(fields: object, message: string): void }
}

/** What a group has of its shard. */
export interface EntryOwner {
  contextOf(entry: GroupEntry): GroupContext
  onTime(entry: GroupEntry, now: number): void
  onFailure(entry: GroupEntry, error: unknown): void
}

/** A group with its offsets, and how far the log must be flushed before an answer about it may be given. */
export class GroupEntry implements Timed {
  readonly id: string
  group: Group
  readonly offsets: GroupOffsets
  readonly context: GroupContext
  /** Of the last record written for it. */
  ticket = 0
  /** Whether the log knows of it. */
  isStored = false
  /** Nothing that it does is written: it is being loaded. */
  isLoading = false
  /** It has failed: nothing that it says counts any more. */
  isClosed = false
  /** What is counted of it in GroupMemory. */
  heldBytes = 0
  /** Who waits for an answer of the group: told if it is closed without one. */
  readonly parked = new Set<(errorCode: ErrorCode) => void>()
  readonly #owner: EntryOwner

  constructor(id: string, owner: EntryOwner) {
    this.id = id
    this.#owner = owner
    this.offsets = new GroupOffsets(id)
    this.context = owner.contextOf(this)
    this.group = new ClassicGroup(this.context)
  }

  get deadline(): number {
    return this.isClosed ? Number.POSITIVE_INFINITY : this.group.deadline
  }

  onTime(now: number): void {
    this.#owner.onTime(this, now)
  }

  /** What nobody expected has happened with its deadline. */
  fail(error: unknown): void {
    this.#owner.onFailure(this, error)
  }

  /** Who is still parked when the group is closed. */
  refuseParked(errorCode: ErrorCode): void {
    for (const refuse of [...this.parked]) refuse(errorCode)
  }
}

/** What a group has of its surroundings. There are as many as groups: all of them share the methods. */
export class EntryContext implements GroupContext {
  readonly groupId: string
  readonly #entry: GroupEntry
  readonly #shard: Shard
  readonly #o: ShardOptions

  constructor(entry: GroupEntry, shard: Shard, options: ShardOptions) {
    this.groupId = entry.id
    this.#entry = entry
    this.#shard = shard
    this.#o = options
  }

  get settings(): GroupSettings {
    return this.#o.settingsOf(this.groupId)
  }

  get topics(): TopicsView {
    return this.#o.topics
  }

  get log(): GroupContext['log'] {
    return this.#o.logger
  }

  now(): number {
    return this.#o.now()
  }

  wallClock(): number {
    return this.#o.wallClock()
  }

  newUuid(): string {
    return this.#o.newUuid()
  }

  write(records: readonly GroupRecord[]): void {
    this.#shard.write(this.#entry, records)
  }

  fits(record: GroupRecord): boolean {
    return this.#shard.log.fits(encodeRecord(record))
  }

  get recordBytesMax(): number {
    return this.#shard.log.recordBytesMax
  }

  hasRoomFor(bytes: number): boolean {
    return this.#o.memory.hasRoomFor(bytes)
  }

  resolvePattern(pattern: string): void {
    this.#o.resolvePattern(pattern, topics => {
      const { group } = this.#entry
      const isThere = this.#shard.find(this.groupId) === this.#entry
      if (!(group instanceof ConsumerGroup) || !isThere) return
      this.#shard.run(this.#entry, () => group.resolved(pattern, topics))
    })
  }
}
