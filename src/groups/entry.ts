import { ClassicGroup } from './classic/classic-group.ts'
import type { Deadlines, Timed } from './clock.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import type { Group, GroupContext, GroupSettings, TopicsView } from './group.ts'
import type { GroupLog } from './group-log.ts'
import type { GroupMemory } from './memory.ts'
import { GroupOffsets } from './offsets.ts'
import type { GroupRecord } from './records.ts'
import type { Shard } from './shard.ts'

export interface ShardOptions {
  readonly log: GroupLog
  readonly deadlines: Deadlines
  readonly memory: GroupMemory
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
  /** What is counted of it in GroupMemory. */
  heldBytes = 0
  readonly #onTime: (entry: GroupEntry, now: number) => void

  constructor(
    id: string,
    make: (entry: GroupEntry) => GroupContext,
    onTime: (entry: GroupEntry, now: number) => void,
  ) {
    this.id = id
    this.offsets = new GroupOffsets(id)
    this.context = make(this)
    this.group = new ClassicGroup(this.context)
    this.#onTime = onTime
  }

  get deadline(): number {
    return this.group.deadline
  }

  onTime(now: number): void {
    this.#onTime(this, now)
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
    return this.#shard.log.fits(record)
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
