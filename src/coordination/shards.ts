import { BrokerError } from '../errors.ts'
import { guarded } from '../guarded.ts'
import type { Logger } from '../logger.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Partition } from '../topics/partition.ts'
import type { Registry, Topic } from '../topics/registry.ts'
import { CoordinatorLog } from './coordinator-log.ts'

/** What a partition has is loaded again after this time, in ms, when its log has failed; after twice as long each time that it fails. */
const REOPEN_MS_MIN = 1_000
const REOPEN_MS_MAX = 60_000
/** What a partition has is waited for by so many ms at a time. */
const COMMIT_MS = 5_000

/** What is coordinated in one partition. */
export interface CoordinatedShard {
  readonly log: CoordinatorLog
  /** Brings it back as the log has it. */
  load(): Promise<void>
  /** @throws BrokerError if what is kept under this key has failed */
  throwIfClosed(key: string): void
  /** The broker stops: who waits is told; what is being written is still answered. */
  stop(errorCode: ErrorCode): void
  /** Nothing of it counts any more: the partition has failed, is gone, or is led elsewhere. */
  close(errorCode: ErrorCode): void
}

export interface ShardsOptions<S> {
  readonly registry: Registry
  /** Name of the internal topic, and how it is made. */
  readonly topic: string
  readonly newTopic: () => {
    partitions: number
    replicationFactor: number
    configs: Readonly<Record<string, string>>
  }
  /** What is coordinated, in words for the log: `groups`, and one of them. */
  readonly what: string
  readonly one: string
  /** Bytes of a batch that a worker takes. */
  readonly batchBytesMax: number
  /** Why nothing may be appended now, or null. */
  readonly refusesAppends: () => string | null
  /** Who leads a partition; -1: nobody. */
  readonly leaderOf: (topic: Topic, index: number) => number
  readonly newShard: (log: CoordinatorLog) => S
  readonly log: Pick<Logger, 'info' | 'error'>
}

/**
 * What is coordinated here: of an internal topic those partitions that are led here (on a broker alone that is all of them). It makes
 * that topic when something needs it, loads a partition when it comes to be led here (alone: before the listeners open), and finds
 * the shard of a key.
 */
export class Shards<S extends CoordinatedShard> {
  readonly #o: ShardsOptions<S>
  #topic: Topic | null = null
  /** By partition; none where another broker coordinates, or where it is being loaded. */
  #shards: (S | undefined)[] = []
  /** Partitions that are being loaded, and for which leader epoch. */
  readonly #loading = new Map<number, number>()
  #creating: Promise<void> | null = null
  /** Why there is no topic, as the log says it: clients ask again and again. */
  #told = ''
  #isClosed = false

  constructor(options: ShardsOptions<S>) {
    this.#o = options
  }

  /** Loads what the log has, before anybody can ask for it. */
  async load(): Promise<void> {
    const topic = this.#o.registry.topic(this.#o.topic)
    if (topic === undefined) return
    this.#topic = topic
    await this.#leadOwn(topic)
  }

  /** On a broker alone; in a cluster it is told what it leads, and may wait for others. */
  async #leadOwn(topic: Topic): Promise<void> {
    const own = topic.partitions.filter(({ replication }) => replication === null)
    await Promise.all(own.map(partition => this.led(partition)))
  }

  /** Those there are; none before the first key. */
  get all(): readonly S[] {
    return this.#shards.filter(shard => shard !== undefined)
  }

  /** Whether the partition is led here has changed: what is in it is loaded, or left to whoever leads it. */
  async led(partition: Partition): Promise<void> {
    if (partition.topic !== this.#o.topic || this.#isClosed) return
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

  /** The shard of a key, for reading; undefined if there has never been one. @throws BrokerError */
  find(key: string): S | undefined {
    if (this.#isClosed) throw unavailable('The broker is stopping.')
    if (this.#topic === null && !this.#isElsewhere()) return undefined
    const shard = this.#shards[this.partitionFor(key)]
    if (shard === undefined) throw this.#notHere(key)
    if (shard.log.failure !== ErrorCode.NONE) shard.log.throwIfClosed()
    shard.throwIfClosed(key)
    return shard
  }

  /** Whether there is such a topic, of which this broker has had nothing so far. */
  #isElsewhere(): boolean {
    if (this.#creating !== null) return false
    this.#topic = this.#o.registry.topic(this.#o.topic) ?? null
    return this.#topic !== null
  }

  #notHere(key: string): BrokerError {
    const { what, one } = this.#o
    return this.#loading.has(this.partitionFor(key))
      ? new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, `The ${what} are being loaded.`)
      : new BrokerError(ErrorCode.NOT_COORDINATOR, `Another broker coordinates this ${one}.`)
  }

  /** The shard of a key, for changing what is in it; the topic is made if it is missing. @throws BrokerError */
  async shardFor(key: string): Promise<S> {
    if (this.#topic === null) await this.prepare()
    const shard = this.find(key)
    if (shard === undefined) throw unavailable(`${this.#o.topic} is not there.`)
    shard.log.throwIfClosed()
    return shard
  }

  /** The same without a promise where none is needed, as always but for the very first key. */
  shardNow(key: string): S | Promise<S> {
    if (this.#topic === null) return this.shardFor(key)
    const shard = this.find(key)!
    shard.log.throwIfClosed()
    return shard
  }

  /** The broker that coordinates what is under this key; the topic is made if it is missing. @throws BrokerError */
  async coordinatorOf(key: string): Promise<number> {
    if (this.#isClosed) throw unavailable('The broker is stopping.')
    if (this.#topic === null) await this.prepare()
    const index = this.partitionFor(key)
    this.#shards[index]?.log.throwIfClosed()
    const broker = this.#o.leaderOf(this.#topic!, index)
    if (broker === -1) throw unavailable(`Nobody leads the partition of this ${this.#o.one} now.`)
    return broker
  }

  /** Resolves when what this broker knows of it is not older than the question. @throws BrokerError NOT_COORDINATOR */
  async confirm(shard: S): Promise<void> {
    const { partition } = shard.log
    if (partition.replication === null) return
    if (await partition.replication.confirm()) return
    const message = `Another broker may coordinate this ${this.#o.one}.`
    throw new BrokerError(ErrorCode.NOT_COORDINATOR, message)
  }

  /** As in Kafka: the hash of a Java string. */
  partitionFor(key: string): number {
    const count = this.#topic?.partitionCount ?? 0
    return count === 0 ? 0 : (javaHash(key) & 0x7fffffff) % count
  }

  /** Makes the topic if it is missing. @throws BrokerError */
  prepare(): Promise<void> {
    if (this.#topic !== null) return Promise.resolve()
    this.#creating ??= this.#create().finally(() => {
      this.#creating = null
    })
    return this.#creating
  }

  async #create(): Promise<void> {
    const topic = this.#o.registry.topic(this.#o.topic) ?? (await this.#make())
    if (this.#isClosed || this.#topic !== null) return
    this.#topic = topic
    await this.#leadOwn(topic)
  }

  async #make(): Promise<Topic> {
    const { registry, topic: name } = this.#o
    const { partitions, configs, replicationFactor } = this.#o.newTopic()
    const to = { replicationFactor, assignments: null }
    try {
      return await registry.create(name, partitions, configs, '', undefined, to)
    } catch (error) {
      // Another broker was faster.
      const made = registry.topic(name)
      if (made !== undefined) return made
      if (!(error instanceof BrokerError)) throw error
      const why = `${name} cannot be made: ${error.message}`
      if (why !== this.#told) {
        this.#o.log.error({}, `no ${this.#o.one} has a coordinator: ${why}`)
      }
      this.#told = why
      throw unavailable(why)
    }
  }

  #newShard(partition: Partition): S {
    const { registry, what } = this.#o
    const log: CoordinatorLog = new CoordinatorLog({
      partition,
      pool: registry.replicas.pool,
      appendBytesMax: this.#o.batchBytesMax,
      refusal: this.#o.refusesAppends,
      onFailure: err => {
        const message = `an append has failed: the ${what} of this partition are offline until they can be loaded again`
        this.#o.log.error({ err, partition: partition.name }, message)
        shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        this.#reopenLater(shard, REOPEN_MS_MIN)
      },
      onUnreadable: (offset, reason) =>
        this.#o.log.error(
          { partition: partition.name, offset, reason },
          'a batch that no coordinator has written cannot be read and is passed over',
        ),
      truncate: offset => registry.replicas.deleteRecords(partition, offset),
    })
    const shard: S = this.#o.newShard(log)
    return shard
  }

  /**
   * Without its log nothing is known of what is in a shard: better no answer than a wrong one. It is tried again after so
   * many ms.
   */
  async #load(shard: S, retryMs = REOPEN_MS_MIN): Promise<void> {
    try {
      await shard.load()
    } catch (err) {
      const fields = { err, partition: shard.log.partition.name }
      this.#o.log.error(fields, `the ${this.#o.what} of this partition cannot be loaded`)
      shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      this.#reopenLater(shard, retryMs)
    }
  }

  #reopenLater(closed: S, ms: number): void {
    const timer = setTimeout(() => {
      this.#reopen(closed, ms).catch(err => {
        const { name } = closed.log.partition
        const message = `bug: ${this.#o.what} could not be loaded again`
        this.#o.log.error({ err, partition: name }, message)
      })
    }, ms)
    timer.unref()
  }

  /** Loads what is in a partition whose log had failed, once it can be written again. */
  async #reopen(closed: S, ms: number): Promise<void> {
    const { partition } = closed.log
    const isWanted = (): boolean => !this.#isClosed && this.#shards.includes(closed)
    if (!isWanted()) return
    if (!closed.log.isReady) return this.#reopenLater(closed, REOPEN_MS_MIN)
    const shard = this.#newShard(partition)
    await this.#load(shard, Math.min(2 * ms, REOPEN_MS_MAX))
    if (!isWanted()) return shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    this.#shards[this.#shards.indexOf(closed)] = shard
    if (shard.log.failure !== ErrorCode.NONE) return
    const message = `the ${this.#o.what} of this partition are loaded again`
    this.#o.log.info({ partition: partition.name }, message)
  }

  /** The topic is gone, and with its log all that it had; the next key makes a new one. @returns whether it was this one */
  forget(topic: Topic): boolean {
    if (topic !== this.#topic) return false
    const shards = this.#shards
    this.#topic = null
    this.#shards = []
    for (const shard of shards) shard?.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return true
  }

  /** What nobody expected in one of them keeps it from none of the others, nor from whoever asks. */
  each(action: (shard: S) => void, failed: string): void {
    for (const shard of this.all) {
      const { name: partition } = shard.log.partition
      guarded(this.#o.log, failed, { partition }, () => action(shard))
    }
  }

  /** Answers what waits; nothing is coordinated any more. */
  close(): void {
    this.#isClosed = true
    for (const shard of this.all) shard.stop(ErrorCode.NOT_COORDINATOR)
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

export const unavailable = (message: string): BrokerError =>
  new BrokerError(ErrorCode.COORDINATOR_NOT_AVAILABLE, message)

/** java.lang.String.hashCode. */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}
