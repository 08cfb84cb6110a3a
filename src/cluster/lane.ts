import { Client } from '../client/client.ts'
import type { Endpoint } from '../endpoint.ts'
import { fetchApi, type fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Decoded } from '../protocol/schema.ts'
import type { FetchAnswer } from '../replication/follower-effects.ts'
import { partitionKey } from '../replication/partition-state.ts'
import { AnswerMemory } from './answer-memory.ts'
import type { FetchedBatch } from './batches.ts'
import type { Dial } from './dial.ts'
import {
  answerOf,
  FETCH_VERSION,
  FetcherSession,
  type FetchWish,
  WAIT_MS,
} from './fetcher-session.ts'
import type { HostedReplica } from './hosted-replica.ts'
import type { Throttle } from './throttle.ts'

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
  /** Of this process. */
  readonly incarnation: string
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

/** Of a session that nothing was named in. */
const NO_EPOCH = -1

/** A connection, with at most one fetch under way. */
class Connection {
  client: Client | null = null
  isBusy = false
  session = new FetcherSession(NO_EPOCH)
  readonly memory = new AnswerMemory()
  /** Of its last answer, what is on its way to the disk: it is asked for together again. */
  readonly flushing = new Set<string>()

  get isFree(): boolean {
    return !this.isBusy && this.flushing.size === 0
  }
}

/**
 * The fetches of this broker from one other: as a rule all partitions that it follows there are asked for by one connection,
 * and the next Fetch leaves when all of the answer before is flushed: a fetch that waits for news has reported all there was to report.
 */
export class Lane {
  readonly #o: LaneOptions
  /** Partitions that can be asked for, by key. */
  readonly #wishes = new Map<string, FetchWish>()
  readonly #connections = Array.from({ length: CONNECTIONS_MAX }, () => new Connection())
  #timer: NodeJS.Timeout | null = null
  #throttled: NodeJS.Timeout | null = null
  #isSoon = false
  #quietUntil = 0
  #isClosed = false

  constructor(options: LaneOptions) {
    this.#o = options
  }

  wish(replica: HostedReplica, effect: FetchWish['effect']): void {
    this.#wishes.set(replica.key, { replica, effect })
    this.#flushed(replica.key)
    this.#soon()
  }

  /** Nothing of it is on its way to the disk any more; or it is not followed any more. */
  #flushed(key: string): void {
    for (const { flushing } of this.#connections) flushing.delete(key)
  }

  forget(replica: HostedReplica): void {
    this.#wishes.delete(replica.key)
    this.#flushed(replica.key)
    for (const { session } of this.#connections) session.forget(replica)
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
    if (this.#isClosed || this.#timer !== null) return
    const rest = this.#quietUntil - performance.now()
    if (rest > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null
        this.#act()
      }, rest)
      return
    }
    const asked = this.#ready()
    const first = this.#connections.find(({ isFree }) => isFree)
    for (const connection of this.#connections) {
      if (!connection.isFree) continue
      // None is free: the first answer makes room.
      const own = connection === first ? asked : []
      if (own.length === 0 && connection.session.isEmpty) continue
      for (const { replica } of own) this.#wishes.delete(replica.key)
      void this.#fetch(connection, own)
    }
  }

  /** Those that may be asked for at the rate for replicas that catch up; the others when there is room for them. */
  #ready(): readonly FetchWish[] {
    const { throttle, me } = this.#o
    const all = [...this.#wishes.values()]
    const free = all.filter(({ replica }) => !throttle.isFor(replica, me))
    const waitMs = free.length < all.length ? throttle.waitMs : 0
    if (waitMs === 0) return all
    const look = (): void => {
      this.#throttled = null
      this.#act()
    }
    this.#throttled ??= setTimeout(look, Math.min(waitMs, LOOK_MS_MAX))
    return free
  }

  async #fetch(connection: Connection, asked: readonly FetchWish[]): Promise<void> {
    const session = this.#sessionOf(connection, asked)
    connection.isBusy = true
    try {
      connection.client ??= await this.#connect(connection)
      const { me, incarnation } = this.#o
      const request = session.request(me, incarnation)
      const answer = await connection.client.send(fetchApi, FETCH_VERSION, request)
      session.answered(answer)
      connection.isBusy = false
      this.#take(connection, answer)
    } catch (error) {
      if (!this.#isClosed) this.#o.onError(error)
      this.#quietUntil = performance.now() + BACKOFF_MS
      void connection.client?.close()
      connection.client = null
      connection.session = new FetcherSession(NO_EPOCH)
      connection.isBusy = false
      for (const { replica, effect } of session.asked) {
        replica.tell(({ follower }, now) => follower?.disconnected(effect.id, now))
      }
    }
    this.#soon()
  }

  /** What was named under an earlier registration of this broker speaks for nobody any more: all is named anew. */
  #sessionOf(connection: Connection, asked: readonly FetchWish[]): FetcherSession {
    const epoch = this.#o.brokerEpoch()
    const { session } = connection
    if (session.brokerEpoch === epoch) session.ask(asked)
    else {
      connection.session = new FetcherSession(epoch)
      connection.session.ask([...session.asked, ...asked])
    }
    return connection.session
  }

  #connect({ memory }: Connection): Promise<Client> {
    const { address, dial, peer, clientId } = this.#o
    const at = address()
    if (at === null || this.#isClosed) throw new Error(`broker ${peer} cannot be reached now`)
    return Client.connect({
      ...{ host: at.host, port: at.port, clientId },
      dial: () => dial(peer, at),
      connectTimeoutMs: CONNECT_MS_MAX,
      requestTimeoutMs: ANSWER_MS_MAX,
      memoryFor: bytes => memory.take(bytes),
    })
  }

  #take(
    { session, flushing, memory }: Connection,
    { responses }: Decoded<typeof fetchResponse>,
  ): void {
    const { throttle, me } = this.#o
    let isCopied = true
    for (const { topicId, partitions } of responses) {
      for (const one of partitions) {
        const wish = session.end(partitionKey(topicId, one.partitionIndex))
        // It is not followed there any more.
        if (wish === undefined) continue
        const answer = answerOf(one)
        if ('batches' in answer && answer.batches.length > 0) {
          flushing.add(wish.replica.key)
          if (throttle.isFor(wish.replica, me)) throttle.passed(bytesIn(answer.batches))
        }
        this.#tell(wish, answer)
        isCopied &&= !wish.replica.waitsForRoom
      }
    }
    if (isCopied) memory.giveBack()
  }

  #tell({ replica, effect }: FetchWish, answer: FetchAnswer<FetchedBatch>): void {
    replica.tell(({ follower }, now) => {
      follower?.fetched(effect.id, answer, now)
      // It has taken nothing: there is nothing to wait for.
      if (follower === null || follower.flushedEnd === follower.end) this.#flushed(replica.key)
    })
  }

  close(): void {
    this.#isClosed = true
    for (const timer of [this.#timer, this.#throttled]) if (timer !== null) clearTimeout(timer)
    for (const { client } of this.#connections) void client?.close()
  }
}

const bytesIn = (batches: readonly FetchedBatch[]): number =>
  batches.reduce((sum, { bytes }) => sum + bytes.length, 0)
