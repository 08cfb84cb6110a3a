import { BrokerError } from '../errors.ts'
import { every, guarded } from '../guarded.ts'
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
import { GroupLog } from './group-log.ts'
import { GroupMemory } from './memory.ts'
import { Shard } from './shard.ts'

export const OFFSETS_TOPIC = '__consumer_offsets'

/** Groups of a partition whose log has failed are loaded again after this time, in ms; after twice as long each time that it fails. */
const REOPEN_MS_MIN = 1_000
const REOPEN_MS_MAX = 60_000
/** What a partition has is waited for by so many ms at a time. */
const COMMIT_MS = 5_000

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
 * Coordinates the groups of those partitions of __consumer_offsets that are led here; on a broker alone that is all of them. It
 * makes that topic when the first group needs it, loads a partition when it comes to lead it (alone: before the
 * listeners open), and finds the shard of a group. What happens to groups is in classic/ and consumer/, what is kept of them in
 * shard.ts and group-log.ts.
 */
export class GroupCoordinator {
  readonly #o: CoordinatorOptions
  readonly #clock: BrokerClock
  readonly #deadlines: Deadlines
  readonly #topics: TopicsView
  readonly memory: GroupMemory
  readonly offsetMemory: GroupMemory
  #topic: Topic | null = null
  /** By partition; none where another broker coordinates, or where groups are being loaded. */
  #shards: (Shard | undefined)[] = []
  /** Partitions that are being loaded, and for which leader epoch. */
  readonly #loading = new Map<number, number>()
  #creating: Promise<void> | null = null
  #expiry: NodeJS.Timeout | null = null
  /** Why there is no topic of offsets, as the log says it: clients ask again and again. */
  #told = ''
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
    options.registry.onDeleted = topic => this.#onDeleted(topic)
  }

  /** Loads what the log has, before anybody can ask for it. */
  async load(): Promise<void> {
    const topic = this.#o.registry.topic(OFFSETS_TOPIC)
    if (topic !== undefined) {
      this.#topic = topic
      const own = topic.partitions.filter(({ replication }) => replication === null)
      await Promise.all(own.map(partition => this.led(partition)))
    }
    const { checkIntervalMs } = this.#o.retention()
    const expire = (): void => this.expire()
    this.#expiry = every(checkIntervalMs, this.#o.log, 'offsets were not expired', expire)
  }

  /**
   * Without its log nothing is known of a shard's groups: better no answer than one that sends consumers to the beginning.
   * It is tried again after so many ms.
   */
  async #load(shard: Shard, retryMs = REOPEN_MS_MIN): Promise<void> {
    try {
      await shard.load()
    } catch (err) {
      const fields = { err, partition: shard.log.partition.name }
      this.#o.log.error(fields, 'the groups of this partition cannot be loaded')
      shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      this.#reopenLater(shard, retryMs)
    }
  }

  /** The shards there are; none before the first group. */
  get shards(): readonly Shard[] {
    return this.#shards.filter(shard => shard !== undefined)
  }

  /** Whether the partition is led here has changed: its groups are loaded, or left to whoever leads them. */
  async led(partition: Partition): Promise<void> {
    if (partition.topic !== OFFSETS_TOPIC || this.#isClosed) return
    const { index, leaderEpoch } = partition
    this.#loading.delete(index)
    this.#shards[index]?.close(ErrorCode.NOT_COORDINATOR)
    this.#shards[index] = undefined
    if (!partition.leads) return
    this.#loading.set(index, leaderEpoch)
    const isWanted = (): boolean => this.#loading.get(index) === leaderEpoch && !this.#isClosed
    // All that was there at the election: some of it may be known to be committed only now.
    await committed(partition)
    if (!isWanted()) return
    const shard = this.#newShard(partition)
    await this.#load(shard)
    if (!isWanted()) return shard.close(ErrorCode.NOT_COORDINATOR)
    this.#loading.delete(index)
    this.#shards[index] = shard
  }

  /** The shard of a group, for reading; undefined if there has never been a group. @throws BrokerError */
  find(groupId: string): Shard | undefined {
    if (this.#isClosed) throw unavailable('The broker is stopping.')
    if (this.#topic === null && !this.#isElsewhere()) return undefined
    const shard = this.#shards[this.partitionFor(groupId)]
    if (shard === undefined) throw this.#notHere(groupId)
    if (shard.log.failure !== ErrorCode.NONE) shard.log.throwIfClosed()
    shard.throwIfClosed(groupId)
    return shard
  }

  /** Whether there are groups, of which this broker has had none so far. */
  #isElsewhere(): boolean {
    if (this.#creating !== null) return false
    this.#topic = this.#o.registry.topic(OFFSETS_TOPIC) ?? null
    return this.#topic !== null
  }

  #notHere(groupId: string): BrokerError {
    return this.#loading.has(this.partitionFor(groupId))
      ? new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, 'The groups are being loaded.')
      : new BrokerError(ErrorCode.NOT_COORDINATOR, 'Another broker coordinates this group.')
  }

  /** The group, if there is one. @throws BrokerError COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR */
  entry(groupId: string): { shard: Shard; entry: GroupEntry } | undefined {
    const shard = this.find(groupId)
    const entry = shard?.find(groupId)
    return shard === undefined || entry === undefined ? undefined : { shard, entry }
  }

  /** The shard of a group, for changing it; the offsets topic is made if it is missing. @throws BrokerError */
  async shardFor(groupId: string): Promise<Shard> {
    if (this.#topic === null) await this.prepare()
    const shard = this.find(groupId)
    if (shard === undefined) throw unavailable(`${OFFSETS_TOPIC} is not there.`)
    shard.log.throwIfClosed()
    return shard
  }

  /** The broker that coordinates groups of this id; the offsets topic is made if it is missing. @throws BrokerError */
  async coordinatorOf(groupId: string): Promise<number> {
    if (this.#isClosed) throw unavailable('The broker is stopping.')
    if (this.#topic === null) await this.prepare()
    const index = this.partitionFor(groupId)
    this.#shards[index]?.log.throwIfClosed()
    const broker = this.#o.leaderOf(this.#topic!, index)
    if (broker === -1) throw unavailable('Nobody leads the partition of this group now.')
    return broker
  }

  /** The same without a promise where none is needed, as always but for the very first group. */
  shardNow(groupId: string): Shard | Promise<Shard> {
    if (this.#topic === null) return this.shardFor(groupId)
    const shard = this.find(groupId)!
    shard.log.throwIfClosed()
    return shard
  }

  /** Resolves when what this broker knows of the group is not older than the question. @throws BrokerError NOT_COORDINATOR */
  async confirm(shard: Shard): Promise<void> {
    const { partition } = shard.log
    if (partition.replication === null) return
    if (await partition.replication.confirm()) return
    throw new BrokerError(ErrorCode.NOT_COORDINATOR, 'Another broker may coordinate this group.')
  }

  /** Of __consumer_offsets, as in Kafka: the hash of a Java string. */
  partitionFor(groupId: string): number {
    const count = this.#topic?.partitionCount ?? 0
    return count === 0 ? 0 : (javaHash(groupId) & 0x7fffffff) % count
  }

  /** Makes the offsets topic if it is missing. @throws BrokerError */
  prepare(): Promise<void> {
    if (this.#topic !== null) return Promise.resolve()
    this.#creating ??= this.#create().finally(() => {
      this.#creating = null
    })
    return this.#creating
  }

  async #create(): Promise<void> {
    const topic = this.#o.registry.topic(OFFSETS_TOPIC) ?? (await this.#make())
    if (this.#isClosed || this.#topic !== null) return
    this.#topic = topic
    // In a cluster that has been told before, and may take as long as others are away.
    const own = topic.partitions.filter(({ replication }) => replication === null)
    await Promise.all(own.map(partition => this.led(partition)))
  }

  async #make(): Promise<Topic> {
    const { registry } = this.#o
    const { partitions, configs, replicationFactor } = this.#o.offsetsTopic()
    const to = { replicationFactor, assignments: null }
    try {
      return await registry.create(OFFSETS_TOPIC, partitions, configs, '', undefined, to)
    } catch (error) {
      // Another broker was faster.
      const made = registry.topic(OFFSETS_TOPIC)
      if (made !== undefined) return made
      if (!(error instanceof BrokerError)) throw error
      const why = `${OFFSETS_TOPIC} cannot be made: ${error.message}`
      if (why !== this.#told) this.#o.log.error({}, `no group has a coordinator: ${why}`)
      this.#told = why
      throw unavailable(why)
    }
  }

  #newShard(partition: Partition): Shard {
    const { registry } = this.#o
    const log: GroupLog = new GroupLog({
      partition,
      pool: registry.replicas.pool,
      appendBytesMax: this.#o.batchBytesMax,
      refusal: this.#o.refusesAppends,
      onFailure: err => {
        const message =
          'an append has failed: the groups of this partition are offline until they can be loaded again'
        this.#o.log.error({ err, partition: partition.name }, message)
        this.#closeForNow(shard)
      },
      onUnreadable: (offset, reason) =>
        this.#o.log.error(
          { partition: partition.name, offset, reason },
          'a batch that no coordinator has written cannot be read and is passed over',
        ),
      truncate: offset => registry.replicas.deleteRecords(partition, offset),
    })
    const shard: Shard = new Shard({
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
    return shard
  }

  #closeForNow(shard: Shard): void {
    shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    this.#reopenLater(shard, REOPEN_MS_MIN)
  }

  #reopenLater(closed: Shard, ms: number): void {
    const timer = setTimeout(() => {
      this.#reopen(closed, ms).catch(err => {
        const { name } = closed.log.partition
        this.#o.log.error({ err, partition: name }, 'bug: groups could not be loaded again')
      })
    }, ms)
    timer.unref()
  }

  /** Loads the groups of a partition whose log had failed, once it can be written again. */
  async #reopen(closed: Shard, ms: number): Promise<void> {
    const { partition } = closed.log
    const isWanted = (): boolean => !this.#isClosed && this.#shards.includes(closed)
    if (!isWanted()) return
    if (!closed.log.isReady) return this.#reopenLater(closed, REOPEN_MS_MIN)
    const shard = this.#newShard(partition)
    await this.#load(shard, Math.min(2 * ms, REOPEN_MS_MAX))
    if (!isWanted()) return shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    this.#shards[this.#shards.indexOf(closed)] = shard
    if (shard.log.failure !== ErrorCode.NONE) return
    this.#o.log.info({ partition: partition.name }, 'the groups of this partition are loaded again')
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
    this.#eachShard(
      shard => shard.expire(retentionMs),
      'the offsets of this partition could not be expired',
    )
  }

  #onDeleted(topic: Topic): void {
    if (topic === this.#topic) {
      // With its log go all groups; the next one makes a new topic.
      const shards = this.#shards
      this.#topic = null
      this.#shards = []
      for (const shard of shards) shard?.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      return
    }
    this.#eachShard(
      shard => shard.forgetTopic(topic.name, topic.id),
      'offsets of a deleted topic could not be removed from this partition',
    )
  }

  /** What nobody expected in one of them keeps it from none of the others, nor from whoever asks. */
  #eachShard(action: (shard: Shard) => void, failed: string): void {
    for (const shard of this.shards) {
      const { name: partition } = shard.log.partition
      guarded(this.#o.log, failed, { partition }, () => action(shard))
    }
  }

  /** Answers what is parked; nothing is coordinated any more. */
  close(): void {
    this.#isClosed = true
    if (this.#expiry !== null) clearInterval(this.#expiry)
    for (const shard of this.shards) shard.stop(ErrorCode.NOT_COORDINATOR)
    this.#deadlines.close()
  }
}

/** Until all that the partition has is committed, or it is led elsewhere. */
async function committed(partition: Partition): Promise<void> {
  const { replication, logEndOffset, leaderEpoch } = partition
  const isItsTurn = (): boolean => partition.leads && partition.leaderEpoch === leaderEpoch
  while (replication !== null && isItsTurn()) {
    const error = await new Promise<ErrorCode>(resolve => {
      const onCommitted = (_slot: number, errorCode: ErrorCode): void => resolve(errorCode)
      replication.whenCommitted(logEndOffset, { onCommitted }, 0, COMMIT_MS)
    })
    if (error === ErrorCode.NONE) return
  }
}

const unavailable = (message: string) =>
  new BrokerError(ErrorCode.COORDINATOR_NOT_AVAILABLE, message)

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

/** java.lang.String.hashCode. */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}
