import { Client } from '../client/client.ts'
import type { Endpoint } from '../endpoint.ts'
import { groupBy } from '../group-by.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { fetchApi, type fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Decoded } from '../protocol/schema.ts'
import type { FetchAnswer, FollowerEffect } from '../replication/follower-effects.ts'
import { partitionKey } from '../replication/partition-state.ts'
import { cutBatches, type FetchedBatch } from './batches.ts'
import type { Dial } from './dial.ts'
import type { HostedReplica } from './hosted-replica.ts'
import type { Throttle } from './throttle.ts'

export type FetchWish = Extract<FollowerEffect<FetchedBatch>, { kind: 'fetch' }>

/** A partition that is to be asked for. */
interface Wished {
  readonly replica: HostedReplica
  readonly wish: FetchWish
}

const FETCH_VERSION = 18
/** replica.fetch.response.max.bytes and replica.fetch.max.bytes of Kafka. */
const ANSWER_BYTES_MAX = 10 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024
/** replica.fetch.wait.max.ms */
const WAIT_MS = 500
/** What may pass until an answer is there: past it the connection is taken for dead. */
const ANSWER_MS_MAX = WAIT_MS + 10_000
const CONNECT_MS_MAX = 2_000
const BACKOFF_MS = 100
/** Until a rate that has been changed is seen. */
const LOOK_MS_MAX = 1_000
/** One as a rule; others for partitions that come to be followed while a fetch waits for news. */
const CONNECTIONS_MAX = 8

export interface LaneOptions {
  readonly me: number
  readonly peer: number
  /** Where the peer is reached now; null: nobody knows. */
  readonly address: () => Endpoint | null
  readonly dial: Dial
  /** Under which this broker is registered. */
  readonly brokerEpoch: () => number
  readonly clientId: string
  /** Of all lanes of this broker. */
  readonly throttle: Throttle
  readonly onError: (error: unknown) => void
}

/** A connection, with at most one fetch under way. */
interface Connection {
  client: Client | null
  isBusy: boolean
  /** What its last answer was about, as long as some of that is on its way to the disk: they are asked for together. */
  group: ReadonlySet<string>
  readonly flushing: Set<string>
}

/**
 * The fetches of this broker from one other: as a rule all partitions that it follows there are in one Fetch, and the next one
 * leaves when all of the answer before is flushed: a fetch that waits for news has reported all there was to report.
 */
export class Lane {
  readonly #o: LaneOptions
  /** Partitions that can be asked for, by key. */
  readonly #wishes = new Map<string, Wished>()
  readonly #connections: Connection[] = Array.from({ length: CONNECTIONS_MAX }, () => ({
    client: null,
    isBusy: false,
    group: new Set(),
    flushing: new Set(),
  }))
  #timer: NodeJS.Timeout | null = null
  #throttled: NodeJS.Timeout | null = null
  #isSoon = false
  #quietUntil = 0
  #isClosed = false

  constructor(options: LaneOptions) {
    this.#o = options
  }

  wish(replica: HostedReplica, wish: FetchWish): void {
    this.#wishes.set(replica.key, { replica, wish })
    this.#settle(replica.key)
    this.#soon()
  }

  /** Nothing of it is on its way to the disk any more; or it is not followed any more. */
  #settle(key: string): void {
    for (const { flushing } of this.#connections) flushing.delete(key)
  }

  forget(replica: HostedReplica): void {
    this.#wishes.delete(replica.key)
    this.#settle(replica.key)
    this.#soon()
  }

  /** In this turn of the event loop: the wishes of one flush come together. */
  #soon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    setImmediate(() => {
      this.#isSoon = false
      this.#act()
    })
  }

  #act(): void {
    if (this.#wishes.size === 0 || this.#isClosed || this.#timer !== null) return
    const rest = this.#quietUntil - performance.now()
    if (rest > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null
        this.#act()
      }, rest)
      return
    }
    const waits = (key: string): boolean =>
      this.#connections.some(({ flushing, group }) => flushing.size > 0 && group.has(key))
    const ready = [...this.#wishes.values()].filter(({ replica }) => !waits(replica.key))
    const asked = this.#unthrottled(ready)
    const free = this.#connections.find(({ isBusy, flushing }) => !isBusy && flushing.size === 0)
    // None: the first answer makes room.
    if (asked.length === 0 || free === undefined) return
    for (const { replica } of asked) this.#wishes.delete(replica.key)
    void this.#fetch(free, asked)
  }

  /** Those that may be asked for at this rate; the others when there is room for them. */
  #unthrottled(ready: readonly Wished[]): readonly Wished[] {
    const { throttle, me } = this.#o
    const free = ready.filter(({ replica }) => !throttle.isFor(replica, me))
    const waitMs = free.length < ready.length ? throttle.waitMs : 0
    if (waitMs === 0) return ready
    const look = (): void => {
      this.#throttled = null
      this.#act()
    }
    this.#throttled ??= setTimeout(look, Math.min(waitMs, LOOK_MS_MAX))
    return free
  }

  async #fetch(connection: Connection, asked: readonly Wished[]): Promise<void> {
    connection.isBusy = true
    try {
      connection.client ??= await this.#connect()
      const answer = await connection.client.send(fetchApi, FETCH_VERSION, this.#request(asked))
      connection.isBusy = false
      this.#take(connection, asked, answer)
    } catch (error) {
      if (!this.#isClosed) this.#o.onError(error)
      this.#quietUntil = performance.now() + BACKOFF_MS
      void connection.client?.close()
      connection.client = null
      connection.isBusy = false
      for (const { replica, wish } of asked) {
        replica.tell(({ follower }, now) => follower?.disconnected(wish.id, now))
      }
    }
    if (this.#wishes.size > 0) this.#soon()
  }

  #connect(): Promise<Client> {
    const { address, dial, peer, clientId } = this.#o
    const at = address()
    if (at === null || this.#isClosed) throw new Error(`broker ${peer} cannot be reached now`)
    return Client.connect({
      ...{ host: at.host, port: at.port, clientId },
      dial: () => dial(peer, at),
      connectTimeoutMs: CONNECT_MS_MAX,
      requestTimeoutMs: ANSWER_MS_MAX,
    })
  }

  #request(asked: readonly Wished[]) {
    const byTopic = groupBy(asked, ({ replica }) => replica.partition.topicId)
    return {
      replicaState: { replicaId: this.#o.me, replicaEpoch: this.#o.brokerEpoch() },
      ...{ maxWaitMs: WAIT_MS, minBytes: 1, maxBytes: ANSWER_BYTES_MAX },
      topics: [...byTopic].map(([topicId, some]) => ({
        topicId,
        partitions: some.map(partitionOf),
      })),
      forgottenTopicsData: [],
    }
  }

  #take(
    connection: Connection,
    asked: readonly Wished[],
    answer: Decoded<typeof fetchResponse>,
  ): void {
    const answers = new Map<string, FetchAnswer<FetchedBatch>>()
    for (const { topicId, partitions } of answer.responses) {
      for (const one of partitions) {
        answers.set(partitionKey(topicId, one.partitionIndex), answerOf(one))
      }
    }
    connection.group = new Set(asked.map(({ replica }) => replica.key))
    const { throttle, me } = this.#o
    for (const { replica } of asked) {
      const of = answers.get(replica.key)
      if (of === undefined || !('batches' in of) || of.batches.length === 0) continue
      connection.flushing.add(replica.key)
      if (throttle.isFor(replica, me)) throttle.passed(bytesIn(of.batches))
    }
    for (const { replica, wish } of asked) {
      const of = answers.get(replica.key)
      replica.tell(({ follower }, now) => {
        if (of === undefined) follower?.disconnected(wish.id, now)
        else follower?.fetched(wish.id, of, now)
        // It has taken nothing: there is nothing to wait for.
        if (follower === null || follower.flushedEnd === follower.end) this.#settle(replica.key)
      })
    }
  }

  close(): void {
    this.#isClosed = true
    for (const timer of [this.#timer, this.#throttled]) if (timer !== null) clearTimeout(timer)
    for (const { client } of this.#connections) void client?.close()
  }
}

function partitionOf({ replica, wish }: Wished) {
  return {
    partition: replica.partition.index,
    currentLeaderEpoch: wish.epoch,
    fetchOffset: wish.offset,
    lastFetchedEpoch: wish.lastEpoch,
    logStartOffset: wish.logStart,
    highWatermark: replica.machine.hw,
    partitionMaxBytes: PARTITION_BYTES_MAX,
  }
}

const bytesIn = (batches: readonly FetchedBatch[]): number =>
  batches.reduce((sum, { bytes }) => sum + bytes.length, 0)

type PartitionAnswer = Decoded<typeof fetchResponse>['responses'][number]['partitions'][number]

function answerOf(one: PartitionAnswer): FetchAnswer<FetchedBatch> {
  const { errorCode: error, logStartOffset: logStart, divergingEpoch: diverging } = one
  if (error !== ErrorCode.NONE) return { error, logStart }
  if (diverging.endOffset >= 0 || diverging.epoch >= 0) return { diverging }
  const batches = one.records === null ? [] : cutBatches(one.records)
  return { hw: one.highWatermark, logStart, batches }
}
