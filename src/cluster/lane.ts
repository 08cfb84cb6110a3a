import { Client } from '../client/client.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { fetchApi, type fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Decoded } from '../protocol/schema.ts'
import type { FetchAnswer, FollowerEffect } from '../replication/follower-effects.ts'
import { cutBatches, type FetchedBatch } from './batches.ts'
import type { HostedReplica } from './hosted-replica.ts'

export type FetchWish = Extract<FollowerEffect<FetchedBatch>, { kind: 'fetch' }>

/** A partition that is to be asked for. */
interface Wished {
  readonly replica: HostedReplica
  readonly wish: FetchWish
}

const FETCH_VERSION = 17
/** replica.fetch.response.max.bytes and replica.fetch.max.bytes of Kafka. */
const ANSWER_BYTES_MAX = 10 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024
/** replica.fetch.wait.max.ms */
const WAIT_MS = 500
/** What may pass until an answer is there: past it the connection is taken for dead. */
const ANSWER_MS_MAX = WAIT_MS + 10_000
const CONNECT_MS_MAX = 2_000
/** Others of the same answer are waited for so long, until they are flushed. */
const FLUSH_MS_MAX = 20
const BACKOFF_MS = 100
/** One as a rule; others for partitions that come later, while a fetch waits for news. */
const CONNECTIONS_MAX = 3

export interface LaneOptions {
  readonly me: number
  readonly peer: number
  /** Where the peer is reached now; null: nobody knows. */
  readonly address: () => { readonly host: string; readonly port: number } | null
  /** Under which this broker is registered. */
  readonly brokerEpoch: () => number
  readonly clientId: string
  readonly onError: (error: unknown) => void
}

/** A connection, with at most one fetch under way. */
interface Connection {
  client: Client | null
  /** What the fetch under way asks for; null: there is none. */
  asked: readonly Wished[] | null
}

/**
 * The fetches of this broker from one other: as a rule all partitions that it follows there are in one Fetch, and the next one
 * leaves when all of the answer before is flushed.
 */
export class Lane {
  readonly #o: LaneOptions
  /** Partitions that can be asked for, by key. */
  readonly #wishes = new Map<string, Wished>()
  /** Partitions of which something is on its way to the disk. */
  readonly #flushing = new Set<string>()
  readonly #connections: Connection[] = Array.from({ length: CONNECTIONS_MAX }, () => ({
    client: null,
    asked: null,
  }))
  #timer: NodeJS.Timeout | null = null
  #isSoon = false
  #quietUntil = 0
  #isClosed = false

  constructor(options: LaneOptions) {
    this.#o = options
  }

  wish(replica: HostedReplica, wish: FetchWish): void {
    this.#wishes.set(replica.key, { replica, wish })
    this.#flushing.delete(replica.key)
    if (this.#flushing.size === 0) this.#soon()
    else this.#timer ??= setTimeout(() => this.#act(), FLUSH_MS_MAX)
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
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#wishes.size === 0 || this.#isClosed) return
    const rest = this.#quietUntil - performance.now()
    if (rest > 0) {
      this.#timer = setTimeout(() => this.#act(), rest)
      return
    }
    const free = this.#connections.find(({ asked }) => asked === null)
    // None: the first answer makes room.
    if (free !== undefined) void this.#fetch(free)
  }

  async #fetch(connection: Connection): Promise<void> {
    const asked = [...this.#wishes.values()]
    this.#wishes.clear()
    this.#flushing.clear()
    connection.asked = asked
    try {
      connection.client ??= await this.#connect()
      const answer = await connection.client.send(fetchApi, FETCH_VERSION, this.#request(asked))
      connection.asked = null
      this.#take(asked, answer)
    } catch (error) {
      if (!this.#isClosed) this.#o.onError(error)
      this.#quietUntil = performance.now() + BACKOFF_MS
      void connection.client?.close()
      connection.client = null
      connection.asked = null
      for (const { replica, wish } of asked) {
        replica.tell(({ follower }, now) => follower?.disconnected(wish.id, now))
      }
    }
    if (this.#wishes.size > 0) this.#soon()
  }

  #connect(): Promise<Client> {
    const { address, peer, clientId } = this.#o
    const at = address()
    if (at === null || this.#isClosed) throw new Error(`broker ${peer} cannot be reached now`)
    return Client.connect({
      ...{ host: at.host, port: at.port, clientId },
      connectTimeoutMs: CONNECT_MS_MAX,
      requestTimeoutMs: ANSWER_MS_MAX,
    })
  }

  #request(asked: readonly Wished[]) {
    const topics = new Map<string, ReturnType<typeof partitionOf>[]>()
    for (const wished of asked) {
      const { topicId } = wished.replica.partition
      const known = topics.get(topicId)
      if (known === undefined) topics.set(topicId, [partitionOf(wished)])
      else known.push(partitionOf(wished))
    }
    return {
      replicaState: { replicaId: this.#o.me, replicaEpoch: this.#o.brokerEpoch() },
      ...{ maxWaitMs: WAIT_MS, minBytes: 1, maxBytes: ANSWER_BYTES_MAX },
      topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData: [],
    }
  }

  #take(asked: readonly Wished[], answer: Decoded<typeof fetchResponse>): void {
    const answers = new Map<string, FetchAnswer<FetchedBatch>>()
    for (const { topicId, partitions } of answer.responses) {
      for (const one of partitions) answers.set(`${topicId}/${one.partitionIndex}`, answerOf(one))
    }
    for (const { replica } of asked) {
      const of = answers.get(nameOf(replica))
      if (of !== undefined && 'batches' in of && of.batches.length > 0) {
        this.#flushing.add(replica.key)
      }
    }
    for (const { replica, wish } of asked) {
      const of = answers.get(nameOf(replica))
      replica.tell(({ follower }, now) => {
        if (of === undefined) follower?.disconnected(wish.id, now)
        else follower?.fetched(wish.id, of, now)
      })
    }
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const { client } of this.#connections) void client?.close()
  }
}

const nameOf = ({ partition: { topicId, index } }: HostedReplica): string => `${topicId}/${index}`

function partitionOf({ replica, wish }: Wished) {
  return {
    partition: replica.partition.index,
    currentLeaderEpoch: wish.epoch,
    fetchOffset: wish.offset,
    lastFetchedEpoch: wish.lastEpoch,
    logStartOffset: wish.logStart,
    partitionMaxBytes: PARTITION_BYTES_MAX,
  }
}

type PartitionAnswer = Decoded<typeof fetchResponse>['responses'][number]['partitions'][number]

function answerOf(one: PartitionAnswer): FetchAnswer<FetchedBatch> {
  const { errorCode: error, logStartOffset: logStart, divergingEpoch: diverging } = one
  if (error !== ErrorCode.NONE) return { error, logStart }
  if (diverging.endOffset >= 0 || diverging.epoch >= 0) return { diverging }
  const batches = one.records === null ? [] : cutBatches(one.records)
  return { hw: one.highWatermark, logStart, batches }
}
