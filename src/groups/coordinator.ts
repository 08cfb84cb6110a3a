import type { CoordinatorLog } from '../coordination/coordinator-log.ts'
import { Shards, unavailable } from '../coordination/shards.ts'
import { BrokerError } from '../errors.ts'
import { every } from '../guarded.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { ConsumerGroupHeartbeatRequest } from '../protocol/messages/68-consumer-group-heartbeat.ts'
import type { Partition } from '../topics/partition.ts'
import type { Registry, Topic } from '../topics/registry.ts'
import { type TaskPool, TaskPoolFull } from '../topics/task-pool.ts'
import { randomUuid } from '../topics/uuid.ts'
import { BrokerClock, Deadlines } from './clock.ts'
import { ConsumerGroup, type HeartbeatResponse } from './consumer/consumer-group.ts'
import { checkHeartbeat } from './consumer/heartbeat-request.ts'
import type { GroupEntry, ShardOptions } from './entry.ts'
import type { ClientInfo, GroupSettings, TopicsView } from './group.ts'
import { GroupMemory } from './memory.ts'
import { Shard } from './shard.ts'

export const OFFSETS_TOPIC = '__consumer_offsets'

export interface CoordinatorOptions {
  readonly registry: Registry
  readonly tasks: TaskPool
  /** Bytes of a batch that a worker takes. */
  readonly batchBytesMax: number
  /** Of what members of all groups say and have. */
  readonly groupBytesMax: number
  readonly offsetBytesMax: number
  /** Why nothing may be appended now, or null. */
  readonly refusesAppends: () => string | null
  readonly settingsOf: (groupId: string) => GroupSettings
  /** Of the offsets topic when it is made. */
  readonly offsetsTopic: () => {
    partitions: number
    replicationFactor: number
    configs: Readonly<Record<string, string>>
  }
  /** Who leads a partition; -1: nobody. */
  readonly leaderOf: (topic: Topic, index: number) => number
  readonly retention: () => { retentionMs: number; checkIntervalMs: number }
  readonly log: ShardOptions['logger']
  readonly clock?: BrokerClock
}

/**
 * Coordinates the groups of those partitions of __consumer_offsets that are led here (coordination/shards.ts). What happens to groups
 * is in classic/ and consumer/, what is kept of them in shard.ts.
 */
export class GroupCoordinator {
  readonly #o: CoordinatorOptions
  readonly #clock: BrokerClock
  readonly #deadlines: Deadlines
  readonly #topics: TopicsView
  readonly memory: GroupMemory
  readonly offsetMemory: GroupMemory
  readonly #shards: Shards<Shard>
  #expiry: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(options: CoordinatorOptions) {
    this.#o = options
    this.#clock = options.clock ?? new BrokerClock()
    this.#deadlines = new Deadlines(this.#clock, (error, timed) =>
      (timed as GroupEntry).fail(error),
    )
    this.#topics = viewOf(options.registry)
    this.memory = new GroupMemory(options.groupBytesMax, usedBytes =>
      this.#o.log.error(
        { usedBytes },
        'the members of all groups take as much memory as they may: new ones are told to come again',
      ),
    )
    this.offsetMemory = new GroupMemory(options.offsetBytesMax, usedBytes =>
      this.#o.log.error(
        { usedBytes },
        'all groups with their offsets take as much memory as they may: commits of new ones are told to come again',
      ),
    )
    const { offsetsTopic: newTopic } = options
    this.#shards = new Shards({
      ...{ ...options, newTopic, topic: OFFSETS_TOPIC, what: 'groups', one: 'group' },
      newShard: log => this.#newShard(log),
    })
    options.registry.whenDeleted(topic => this.#onDeleted(topic))
  }

  /** Loads what the log has, before anybody can ask for it. */
  async load(): Promise<void> {
    await this.#shards.load()
    const { checkIntervalMs } = this.#o.retention()
    const expire = (): void => this.expire()
    this.#expiry = every(checkIntervalMs, this.#o.log, 'offsets were not expired', expire)
  }

  /** The shards there are; none before the first group. */
  get shards(): readonly Shard[] {
    return this.#shards.all
  }

  /** Whether the partition is led here has changed: its groups are loaded, or left to whoever leads them. */
  led(partition: Partition): Promise<void> {
    return this.#shards.led(partition)
  }

  /** The shard of a group, for reading; undefined if there has never been a group. @throws BrokerError */
  find(groupId: string): Shard | undefined {
    return this.#shards.find(groupId)
  }

  /** The group, if there is one. @throws BrokerError COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR */
  entry(groupId: string): { shard: Shard; entry: GroupEntry } | undefined {
    const shard = this.find(groupId)
    const entry = shard?.find(groupId)
    return shard === undefined || entry === undefined ? undefined : { shard, entry }
  }

  /** The shard of a group, for changing it; the offsets topic is made if it is missing. @throws BrokerError */
  shardFor(groupId: string): Promise<Shard> {
    return this.#shards.shardFor(groupId)
  }

  /** The same without a promise where none is needed, as always but for the very first group. */
  shardNow(groupId: string): Shard | Promise<Shard> {
    return this.#shards.shardNow(groupId)
  }

  /** The broker that coordinates groups of this id; the offsets topic is made if it is missing. @throws BrokerError */
  coordinatorOf(groupId: string): Promise<number> {
    return this.#shards.coordinatorOf(groupId)
  }

  /** Resolves when what this broker knows of the group is not older than the question. @throws BrokerError NOT_COORDINATOR */
  confirm(shard: Shard): Promise<void> {
    return this.#shards.confirm(shard)
  }

  /** Of __consumer_offsets. */
  partitionFor(groupId: string): number {
    return this.#shards.partitionFor(groupId)
  }

  /** Makes the offsets topic if it is missing. @throws BrokerError */
  prepare(): Promise<void> {
    return this.#shards.prepare()
  }

  #newShard(log: CoordinatorLog): Shard {
    return new Shard({
      log,
      deadlines: this.#deadlines,
      memory: this.memory,
      offsetMemory: this.offsetMemory,
      topics: this.#topics,
      settingsOf: this.#o.settingsOf,
      now: () => this.#clock.now(),
      wallClock: () => Date.now(),
      newUuid: randomUuid,
      resolvePattern: (pattern, done) => this.#resolve(pattern, done),
      logger: this.#o.log,
    })
  }

  /**
   * One heartbeat of the consumer protocol (KIP-848). Resolves when what it answers is flushed. A regular expression that the
   * group has not seen is checked by a task worker first: no pattern can hold up the broker.
   * @throws BrokerError
   */
  async consumerHeartbeat(
    request: ConsumerGroupHeartbeatRequest,
    client: ClientInfo,
  ): Promise<HeartbeatResponse> {
    const { groupId, memberEpoch, subscribedTopicRegex } = request
    // Before anything is made or moved for it.
    checkHeartbeat(request, client.version, this.#o.settingsOf(groupId).consumerAssignors)
    await this.#checkPattern(groupId, subscribedTopicRegex)
    const shard = await this.shardFor(groupId)
    const isJoining = memberEpoch === 0
    const entry = isJoining ? shard.ensureConsumer(groupId) : shard.find(groupId)
    const group = entry?.group
    if (entry === undefined || !(group instanceof ConsumerGroup)) {
      throw new BrokerError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${groupId} not found.`)
    }
    const answer = shard.run(entry, () => group.heartbeat(request, client))
    await shard.settled(entry)
    return answer
  }

  async #checkPattern(groupId: string, pattern: string | null): Promise<void> {
    if (pattern === null || pattern === '') return
    const group = this.entry(groupId)?.entry.group
    if (group instanceof ConsumerGroup && group.knowsPattern(pattern)) return
    let problem: string | null
    try {
      problem = await this.#o.tasks.run('checkPattern', { pattern })
    } catch (error) {
      if (!(error instanceof TaskPoolFull)) throw error
      throw unavailable('Too many regular expressions are being checked.')
    }
    if (problem !== null) throw new BrokerError(ErrorCode.INVALID_REGULAR_EXPRESSION, problem)
  }

  newMemberId(): string {
    return randomUuid()
  }

  #resolve(pattern: string, done: (topics: readonly string[]) => void): void {
    const names = [...this.#topics.names()]
    this.#o.tasks.run('matchTopics', { pattern, names }).then(done, err => {
      if (!this.#isClosed) this.#o.log.error({ err, pattern }, 'topics could not be matched')
    })
  }

  /** Drops offsets past offsets.retention.minutes, and groups that nothing is known of any more. */
  expire(): void {
    const { retentionMs } = this.#o.retention()
    this.#shards.each(
      shard => shard.expire(retentionMs),
      'the offsets of this partition could not be expired',
    )
  }

  #onDeleted(topic: Topic): void {
    if (this.#shards.forget(topic)) return
    this.#shards.each(
      shard => shard.forgetTopic(topic.name, topic.id),
      'offsets of a deleted topic could not be removed from this partition',
    )
  }

  /** Answers what is parked; nothing is coordinated any more. */
  close(): void {
    this.#isClosed = true
    if (this.#expiry !== null) clearInterval(this.#expiry)
    this.#shards.close()
    this.#deadlines.close()
  }
}

function viewOf(registry: Registry): TopicsView {
  const info = (topic: Topic | undefined) =>
    topic && { name: topic.name, id: topic.id, partitions: topic.partitionCount }
  return {
    get revision() {
      return registry.revision
    },
    byName: name => info(registry.topic(name)),
    byId: id => info(registry.topicById(id)),
    *names() {
      for (const { name } of registry.topics) yield name
    },
  }
}
