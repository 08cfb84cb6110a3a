/**
 * Fetches of replicas (Fetch 1, replica id >= 0): each partition is asked of its leader's machine, which learns from it how far
 * the replica has flushed; what lies behind that is read up to the log's end. One without news waits until there is some. A
 * connection has one session (KIP-227): what it has named once stays asked for until it is answered.
 */
import { randomInt } from 'node:crypto'
import type { RequestContext } from '../apis/handler.ts'
import { byTopicId } from '../group-by.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { FetchRequest, fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Encodable } from '../protocol/schema.ts'
import type { FetchVerdict } from '../replication/leader-effects.ts'
import { partitionKey } from '../replication/partition-state.ts'
import type { BufferPool } from '../topics/buffer-pool.ts'
import type { ReadResult } from '../topics/log-reader.ts'
import type { HostedReplica } from './hosted-replica.ts'
import { type Asked, ReplicaSession } from './replica-session.ts'
import { readSound } from './sound-read.ts'
import type { Throttle } from './throttle.ts'

type Answer = Encodable<typeof fetchResponse>
type PartitionAnswer = NonNullable<NonNullable<Answer['responses']>[number]['partitions']>[number]

/** Of one answer, whatever is asked for: as replica.fetch.response.max.bytes of Kafka. */
const ANSWER_BYTES_MAX = 10 * 1024 * 1024
/** The longest wait of a fetch without news, whatever is asked for, in ms. */
const WAIT_MS_MAX = 5_000
/** Until what could not be read is tried again. */
const AGAIN_MS = 50
/** Looked at before a replica is told to cut its log there; more if the batch is larger. */
const LOOKED_AT_BYTES = 256 * 1024
const FIRST_EPOCH = 0
const SESSION_ID_MAX = 0x7fffffff
const NOTHING = Buffer.alloc(0)

export interface ReplicaFetchesOptions {
  readonly find: (key: string) => HostedReplica | undefined
  readonly pool: BufferPool
  /** Consumers read from followers: these are told at once what is committed, not with the next records (KIP-1166). */
  readonly tellsCommitted: boolean
  readonly throttle: Throttle
  /** Of the process that registered last as this broker; null: nobody has. */
  readonly incarnationOf: (broker: number) => string | null
  /** What its disk gives back is not what was appended. */
  readonly onDamaged: (replica: HostedReplica, offset: number) => void
  readonly log: { error(fields: object, message: string): void }
}

/** What is to be told. */
interface News {
  readonly asked: Asked
  readonly records: Buffer
}

export class ReplicaFetches {
  readonly #o: ReplicaFetchesOptions
  /** Of connections, told apart by the signal that they have ended. */
  readonly #sessions = new WeakMap<AbortSignal, ReplicaSession>()
  /** Who asks for a partition. */
  readonly #asking = new Map<string, Set<ReplicaSession>>()
  #nextNumber = 1

  constructor(options: ReplicaFetchesOptions) {
    this.#o = options
  }

  /** There is more of this partition, or another leads it. */
  wake(key: string): void {
    for (const session of this.#asking.get(key) ?? []) session.touch(key)
  }

  /** Of this partition everything below can be read. */
  readable(key: string, end: number): void {
    for (const session of this.#asking.get(key) ?? []) session.grown(key, end)
  }

  /** More of this partition is committed. */
  committed(key: string): void {
    if (this.#o.tellsCommitted) this.wake(key)
    else
      for (const session of this.#asking.get(key) ?? []) session.committed(key, performance.now())
  }

  /** These replicas are to be answered now, if they ask for this partition. */
  answerNow(key: string, replicas: readonly number[]): void {
    for (const session of this.#asking.get(key) ?? []) {
      if (replicas.includes(session.from)) session.demand(key)
    }
  }

  async serve(request: FetchRequest, context: RequestContext) {
    // What a replica says it has flushed is acknowledged: so it must be one. Its process is known to brokers only.
    if (request.clusterId !== this.#o.incarnationOf(replicaOf(request))) {
      return { body: { errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED } }
    }
    const session = this.#sessionOf(request, context.gone)
    if (session === null) return { body: { errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND } }
    this.#take(session, request)
    const buffers: Buffer[] = []
    let news = await this.#read(session, request.maxBytes, buffers)
    if (news.length === 0 && !session.isEmpty) {
      context.park()
      await this.#wait(session, request.maxWaitMs, context.gone)
      news = await this.#read(session, request.maxBytes, buffers)
    }
    for (const { asked } of news) {
      // What was read while it was no more led here is not told; and the high watermark is that of now.
      asked.verdict = this.#now(asked)
      this.#end(session, asked.key)
    }
    const responses = byTopicId(news, ({ asked }) => asked.topicId, answerOf)
    const body = { sessionId: session.id, responses }
    const onSent = (): void => {
      for (const buffer of buffers) this.#o.pool.release(buffer)
      const sentAt = performance.now()
      for (const { asked } of news) {
        asked.replica?.tell(({ leader }) =>
          leader?.fetchAnswered(session.from, session.number, sentAt),
        )
      }
    }
    return { body, onSent }
  }

  /** @returns null if it goes on with a session that is not there */
  #sessionOf(request: FetchRequest, connection: AbortSignal): ReplicaSession | null {
    const { sessionId, sessionEpoch } = request
    let session = this.#sessions.get(connection)
    if (session === undefined) {
      const made = new ReplicaSession(replicaOf(request), this.#nextNumber++)
      session = made
      this.#sessions.set(connection, made)
      connection.addEventListener('abort', () => this.#forget(made), { once: true })
    }
    if (sessionEpoch > FIRST_EPOCH) {
      const isNext = sessionId === session.id && sessionEpoch === session.epoch + 1
      if (!isNext) return null
      session.epoch = sessionEpoch === SESSION_ID_MAX ? FIRST_EPOCH : sessionEpoch
      return session
    }
    this.#forget(session)
    session.id = sessionEpoch === FIRST_EPOCH ? randomInt(1, SESSION_ID_MAX) : 0
    session.epoch = FIRST_EPOCH
    return session
  }

  #forget(session: ReplicaSession): void {
    for (const key of [...session.keys]) this.#end(session, key)
  }

  #end(session: ReplicaSession, key: string): void {
    session.end(key)
    const asking = this.#asking.get(key)
    if (asking?.delete(session) && asking.size === 0) this.#asking.delete(key)
  }

  #take(session: ReplicaSession, request: FetchRequest): void {
    for (const { topicId, partitions } of request.forgottenTopicsData) {
      for (const index of partitions) this.#end(session, partitionKey(topicId, index))
    }
    const now = performance.now()
    for (const { topicId, partitions } of request.topics) {
      for (const one of partitions) this.#ask(session, topicId, one, request, now)
    }
  }

  #ask(
    session: ReplicaSession,
    topicId: string,
    one: FetchRequest['topics'][number]['partitions'][number],
    request: FetchRequest,
    now: number,
  ): void {
    const key = partitionKey(topicId, one.partition)
    const replica = this.#o.find(key)
    const { partition: index, fetchOffset: offset, partitionMaxBytes: maxBytes } = one
    const { currentLeaderEpoch: epoch, lastFetchedEpoch: lastEpoch, logStartOffset: logStart } = one
    const { from, number } = session
    const isThrottled = replica !== undefined && this.#o.throttle.isFor(replica, from)
    const hw = one.highWatermark
    const place = { key, topicId, index, offset, maxBytes, epoch, hw, logStart }
    const asked: Asked = { ...place, replica, isThrottled, verdict: NOT_LEADER }
    session.ask(asked)
    const asking = this.#asking.get(key) ?? new Set()
    this.#asking.set(key, asking.add(session))
    replica?.partition.reader.keepTail()
    // It is asked for by now: the machine may want it answered at once.
    replica?.tell(({ leader }) => {
      if (leader === null) return
      const { replicaEpoch: brokerEpoch } = request.replicaState
      asked.verdict = leader.fetch(
        { from, session: number, brokerEpoch, epoch, offset, lastEpoch, logStart },
        now,
      )
    })
    const { verdict } = asked
    if ('end' in verdict && Math.min(verdict.hw, offset) > hw) session.committed(key, now)
  }

  /** What is true now; that the replica has asked counts once. */
  #now({ replica, verdict, epoch }: Asked): FetchVerdict {
    if (!('end' in verdict)) return verdict
    const leader = replica?.machine.leader
    if (leader == null || leader.epoch !== epoch) return NOT_LEADER
    return { hw: leader.hw, logStart: replica!.partition.logStartOffset, end: leader.end }
  }

  /** All that is to be told and fits. */
  async #read(session: ReplicaSession, bytesMax: number, buffers: Buffer[]): Promise<News[]> {
    const news: News[] = []
    let left = Math.min(bytesMax, ANSWER_BYTES_MAX)
    for (const asked of session.look(performance.now())) {
      asked.verdict = this.#now(asked)
      const found = await this.#readFor(asked, left, buffers.length === 0)
      // They keep their place, before those that come to have news later.
      if (found === 'later') continue
      const { key, isThrottled } = asked
      const records = found?.records ?? NOTHING
      if (found !== null) {
        buffers.push(found.buffer)
        left -= records.length
        if (isThrottled) this.#o.throttle.passed(records.length)
      }
      if (records.length > 0 || session.isDue(key) || this.#isNews(asked)) {
        news.push({ asked, records })
      } else session.settle(key)
    }
    return news
  }

  /** Its records, if it is to have some; what cannot be read is told. */
  async #readFor(
    asked: Asked,
    left: number,
    isFirst: boolean,
  ): Promise<ReadResult | null | 'later'> {
    const { replica, verdict, offset, maxBytes, isThrottled } = asked
    if (replica === undefined || 'error' in verdict) return null
    if ('diverging' in verdict) {
      const isSound = await this.#isSound(replica, verdict.diverging.endOffset)
      if (!isSound) asked.verdict = { error: ErrorCode.KAFKA_STORAGE_ERROR, logStart: -1 }
      return null
    }
    if (offset >= verdict.end) return null
    if (left <= 0 || (isThrottled && this.#o.throttle.waitMs > 0)) return 'later'
    const { reader } = replica.partition
    const read = () => reader.read(offset, verdict.end, Math.min(left, maxBytes), isFirst)
    const result = await this.#tryRead(replica, offset, isFirst, read)
    if (result !== 'failed') return result ?? 'later'
    asked.verdict = { error: ErrorCode.KAFKA_STORAGE_ERROR, logStart: verdict.logStart }
    return null
  }

  #isNews({ verdict, hw: known, offset, logStart }: Asked): boolean {
    if (!('end' in verdict)) return true
    // It has records that the leader has no more, or that it does not know to be committed.
    const isBelow = Math.min(verdict.logStart, offset) > logStart
    return isBelow || (this.#o.tellsCommitted && Math.min(verdict.hw, offset) > known)
  }

  /** Before another drops what it has from there on: whether what this broker has instead is what was appended. */
  async #isSound(replica: HostedReplica, offset: number): Promise<boolean> {
    const { logEndOffset: end, reader } = replica.partition
    const read = () => reader.readFile(offset, end, LOOKED_AT_BYTES, true)
    const result = await this.#tryRead(replica, offset, true, read)
    if (result !== null && result !== 'failed') this.#o.pool.release(result.buffer)
    return result !== 'failed'
  }

  async #tryRead(
    replica: HostedReplica,
    offset: number,
    atLeastOne: boolean,
    read: () => Promise<ReadResult | null>,
  ): Promise<ReadResult | null | 'failed'> {
    const { partition } = replica
    const { pool, log, onDamaged } = this.#o
    try {
      const result = await readSound({ partition, pool, offset, atLeastOne, read })
      if (result !== 'damaged') return result
      // The fault is this broker's, not that of the replica that would refuse it.
      onDamaged(replica, offset)
    } catch (err) {
      log.error({ err }, 'a read for a replica failed')
    }
    return 'failed'
  }

  #wait(session: ReplicaSession, ms: number, gone: AbortSignal): Promise<void> {
    if (!session.isDirty) return session.news(Math.min(ms, WAIT_MS_MAX), gone)
    // What is left to look at is held up, or could not be read a moment ago.
    const againMs = Math.max(this.#o.throttle.waitMs, AGAIN_MS)
    return session.news(Math.min(ms, againMs), gone)
  }
}

const NOT_LEADER: FetchVerdict = { error: ErrorCode.NOT_LEADER_OR_FOLLOWER, logStart: -1 }

const replicaOf = ({ replicaId, replicaState }: FetchRequest): number =>
  replicaState.replicaId >= 0 ? replicaState.replicaId : replicaId

function answerOf({ asked: { index, verdict }, records }: News): PartitionAnswer {
  const fields = { partitionIndex: index, highWatermark: -1, lastStableOffset: -1, records }
  if ('error' in verdict) {
    const { error, logStart: logStartOffset } = verdict
    return { ...fields, errorCode: error as ErrorCode, logStartOffset }
  }
  if ('diverging' in verdict) {
    return { ...fields, errorCode: ErrorCode.NONE, divergingEpoch: verdict.diverging }
  }
  const { hw, logStart: logStartOffset } = verdict
  return { ...fields, errorCode: ErrorCode.NONE, highWatermark: hw, logStartOffset }
}
