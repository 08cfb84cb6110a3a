import { BrokerError } from '../../errors.ts'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { listOffsetsApi } from '../../protocol/messages/02-list-offsets.ts'
import type { NewRecord } from '../../protocol/records.ts'
import { Listeners } from '../../topics/listeners.ts'
import type { Partition } from '../../topics/partition.ts'
import type { Topic } from '../../topics/registry.ts'
import { replicaOf } from '../../topics/topic-table.ts'
import type { Found, PartitionAccess, Range } from '../access.ts'
import { nothingAt, rangeOf, readHere } from '../partition-here.ts'
import { isPassing, RETRY_MS } from '../patience.ts'
import { type ClusterAccess, codeThere } from './access.ts'
import type { Fetched } from './fetches.ts'

const LIST_OFFSETS_VERSION = 11
const LATEST = -1
const EARLIEST = -2

/**
 * A partition of a cluster, for one reader, wherever its leader is and goes. What a replica here has that is in sync is read here;
 * where records end and begin the leader says.
 */
export class ClusterPartition implements PartitionAccess {
  readonly #access: ClusterAccess
  readonly #topic: Topic
  readonly index: number
  readonly #listeners: Listeners
  /** What the leader has answered, and from which offset on it was asked; not read yet. */
  #fetched: { readonly offset: number; readonly answer: Fetched } | null = null
  #isAsked = false

  constructor(access: ClusterAccess, topic: Topic, index: number) {
    this.#access = access
    this.#topic = topic
    this.index = index
    this.#listeners = new Listeners(err =>
      access.broker.log.error({ err, partition: this.name }, 'bug: a reader failed'),
    )
  }

  get topic(): string {
    return this.#topic.name
  }

  get topicId(): string {
    return this.#topic.id
  }

  get name(): string {
    return `${this.#topic.name}-${this.index}`
  }

  get isDeleted(): boolean {
    return this.#access.broker.registry.topicById(this.#topic.id) === undefined
  }

  append(records: readonly NewRecord[]): Promise<number> {
    return this.#access.writer(this.#topic, this.index).append(records)
  }

  /** Where it is led here, and is sure to be. */
  get #led(): Partition | null {
    const found = this.#access.broker.registry.led(this.#topic, this.index)
    if (typeof found === 'number' || found.offline !== null || found.isDeleted) return null
    return found.refusal(false) === ErrorCode.NONE ? found : null
  }

  /** A replica here that is in sync, the leader's or another: others may be far behind. */
  get #here(): Partition | null {
    const { registry, cluster, nodeId } = this.#access.broker
    if (this.#led !== null) return this.#led
    const found = registry.readable(this.#topic, this.index)
    if (typeof found === 'number' || found.leads || found.offline !== null) return null
    return cluster.place(this.#topic, this.index).isr.includes(nodeId) ? found : null
  }

  get tellsAll(): boolean {
    return this.#led?.replication?.knowsHighWatermark === true
  }

  async range(): Promise<Range> {
    this.#throwIfGone()
    const led = this.#led
    if (led === null) {
      const [start, end] = await Promise.all([this.#listOffset(EARLIEST), this.#listOffset(LATEST)])
      return { start, end }
    }
    if (led.replication?.knowsHighWatermark) return rangeOf(led)
    throw this.#error(ErrorCode.OFFSET_NOT_AVAILABLE)
  }

  async #listOffset(timestamp: number): Promise<number> {
    const leader = this.#access.leaderOf(this.#topic, this.index)
    if (leader === -1) throw this.#error(ErrorCode.LEADER_NOT_AVAILABLE)
    const { calls } = this.#access.peers.of(leader)
    const partitions = [{ partitionIndex: this.index, timestamp }]
    const { topics } = await calls.send(listOffsetsApi, LIST_OFFSETS_VERSION, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: this.#topic.name, partitions }],
    })
    const { errorCode, offset } = topics[0]!.partitions[0]!
    if (errorCode !== ErrorCode.NONE) throw this.#error(codeThere(errorCode as ErrorCode))
    return offset
  }

  async read(offset: number, end: number): Promise<Found> {
    this.#throwIfGone()
    const here = this.#here
    if (here !== null) {
      const found = await readHere(this.#access.broker, here, offset, end)
      // What is sure to be there, and has not come here yet, the leader has.
      const isOnItsWay = !here.leads && end !== Number.POSITIVE_INFINITY && found.offset < end
      if (found.records.length > 0 || !isOnItsWay) {
        this.#fetched = null
        return found
      }
    }
    return this.#readThere(offset)
  }

  async #readThere(offset: number): Promise<Found> {
    const fetched = this.#fetched
    this.#fetched = null
    if (fetched?.offset !== offset) {
      this.#ask(offset)
      return nothingAt(offset)
    }
    const { errorCode, records } = fetched.answer
    if (errorCode === ErrorCode.NONE && records !== null && records.length > 0) {
      return { offset, records, release: () => {} }
    }
    const from =
      errorCode === ErrorCode.OFFSET_OUT_OF_RANGE ? await this.#behindGone(offset) : offset
    if (errorCode === ErrorCode.NONE) this.#ask(offset)
    return nothingAt(from)
  }

  /** Where it goes on if records have been deleted meanwhile. */
  async #behindGone(offset: number): Promise<number> {
    try {
      return Math.max(offset, (await this.range()).start)
    } catch (error) {
      if (!isPassing(error)) throw error
      return offset
    }
  }

  /** Asks the leader, once at a time; who listens is told when it has answered. */
  #ask(offset: number): void {
    if (this.#isAsked) return
    this.#isAsked = true
    const { topicId, index } = this
    const done = (answer: Fetched | null): void => this.#answered(offset, answer)
    const leader = this.#access.leaderOf(this.#topic, index)
    if (leader === -1) done(null)
    else this.#access.peers.of(leader).fetches.wish({ topicId, index, offset, done })
  }

  #answered(offset: number, answer: Fetched | null): void {
    const told = (): void => {
      this.#isAsked = false
      this.#fetched = answer && { offset, answer }
      this.#listeners.wake()
    }
    if (answer?.errorCode === ErrorCode.NONE) told()
    else setTimeout(told, RETRY_MS).unref()
  }

  isBehind(offset: number): boolean {
    const here = this.#here
    if (this.#fetched !== null) return true
    return here === null ? !this.#isAsked : offset < here.lastStableOffset
  }

  listen(onNews: () => void): { end(): void } {
    const own = this.#listeners.add(onNews)
    const replica = replicaOf(this.#topic, this.index)?.listen(onNews)
    const end = (): void => {
      own.end()
      replica?.end()
    }
    return { end }
  }

  epochAt(offset: number): number {
    return this.#here?.epochAt(offset) ?? -1
  }

  #throwIfGone(): void {
    if (!this.isDeleted) return
    const message = `${this.name} is deleted.`
    throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }

  #error(code: ErrorCode): BrokerError {
    return new BrokerError(code, `${this.name} cannot be read now: ${errorName(code)}.`)
  }
}
