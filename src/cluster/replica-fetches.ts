/**
 * Fetches of replicas (Fetch 1, replica id >= 0): each partition is asked of its leader's machine, which learns from it how far
 * the replica has flushed; what lies behind that is read up to the log's end. One without news waits until there is some.
 */
import type { RequestContext } from '../apis/handler.ts'
import { groupBy } from '../group-by.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { FetchRequest, fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Encodable } from '../protocol/schema.ts'
import type { FetchVerdict } from '../replication/leader-effects.ts'
import { partitionKey } from '../replication/partition-state.ts'
import type { BufferPool } from '../topics/buffer-pool.ts'
import type { HostedReplica } from './hosted-replica.ts'
import type { Throttle } from './throttle.ts'

type Answer = Encodable<typeof fetchResponse>
type PartitionAnswer = NonNullable<NonNullable<Answer['responses']>[number]['partitions']>[number]

/** Of one answer, whatever is asked for: as replica.fetch.response.max.bytes of Kafka. */
const ANSWER_BYTES_MAX = 10 * 1024 * 1024
/** The longest wait of a fetch without news, whatever is asked for, in ms. */
const WAIT_MS_MAX = 5_000
const NOTHING = Buffer.alloc(0)

export interface ReplicaFetchesOptions {
  readonly find: (key: string) => HostedReplica | undefined
  readonly pool: BufferPool
  /** Consumers read from followers: these are told at once what is committed, not with the next records (KIP-1166). */
  readonly tellsCommitted: boolean
  readonly throttle: Throttle
  readonly log: { error(fields: object, message: string): void }
}

/** One partition that a fetch asks for. */
interface Asked {
  readonly topicId: string
  readonly index: number
  readonly offset: number
  readonly maxBytes: number
  readonly epoch: number
  /** High watermark that the replica knows. */
  readonly hw: number
  readonly replica: HostedReplica | undefined
  /** What it sends counts. */
  readonly isThrottled: boolean
  verdict: FetchVerdict
}

/** A fetch that waits for news. */
interface Waiting {
  readonly from: number
  readonly keys: ReadonlySet<string>
  readonly wake: () => void
}

export class ReplicaFetches {
  readonly #o: ReplicaFetchesOptions
  readonly #waiting = new Set<Waiting>()
  /** Of connections, told apart by the signal that they have ended. */
  readonly #sessions = new WeakMap<AbortSignal, number>()
  #nextSession = 1
  #turn = 0

  constructor(options: ReplicaFetchesOptions) {
    this.#o = options
  }

  /** There is more of this partition. */
  wake(key: string): void {
    for (const waiting of this.#waiting) if (waiting.keys.has(key)) waiting.wake()
  }

  /** More of this partition is committed. */
  committed(key: string): void {
    if (this.#o.tellsCommitted) this.wake(key)
  }

  /** These replicas are to be answered now, if they wait for this partition. */
  answerNow(key: string, replicas: readonly number[]): void {
    for (const waiting of this.#waiting) {
      if (replicas.includes(waiting.from) && waiting.keys.has(key)) waiting.wake()
    }
  }

  async serve(request: FetchRequest, context: RequestContext) {
    const from = replicaOf(request)
    const session = this.#sessionOf(context.gone)
    const now = performance.now()
    const asked = request.topics.flatMap(({ topicId, partitions }) =>
      partitions.map(one => this.#ask(topicId, one, request, session, now)),
    )
    const buffers: Buffer[] = []
    let answers = await this.#read(asked, request.maxBytes, buffers)
    if (answers === null) {
      context.park()
      await this.#wait(from, asked, request.maxWaitMs, context.gone)
      for (const one of asked) one.verdict = this.#again(one)
      answers = (await this.#read(asked, request.maxBytes, buffers)) ?? new Map()
    }
    // What was read while it was no more led here is not told; and the high watermark is that of now.
    for (const one of asked) one.verdict = this.#again(one)
    const body = { sessionId: 0, responses: this.#responses(asked, answers) }
    const onSent = (): void => {
      for (const buffer of buffers) this.#o.pool.release(buffer)
      const sentAt = performance.now()
      for (const { replica } of asked) {
        replica?.tell(({ leader }) => leader?.fetchAnswered(from, session, sentAt))
      }
    }
    return { body, onSent }
  }

  #sessionOf(connection: AbortSignal): number {
    const known = this.#sessions.get(connection)
    if (known !== undefined) return known
    this.#sessions.set(connection, this.#nextSession)
    return this.#nextSession++
  }

  #ask(
    topicId: string,
    one: FetchRequest['topics'][number]['partitions'][number],
    request: FetchRequest,
    session: number,
    now: number,
  ): Asked {
    const replica = this.#o.find(partitionKey(topicId, one.partition))
    let verdict: FetchVerdict = NOT_LEADER
    replica?.tell(({ leader }) => {
      if (leader === null) return
      verdict = leader.fetch(
        {
          from: replicaOf(request),
          session,
          brokerEpoch: request.replicaState.replicaEpoch,
          epoch: one.currentLeaderEpoch,
          offset: one.fetchOffset,
          lastEpoch: one.lastFetchedEpoch,
          logStart: one.logStartOffset,
        },
        now,
      )
    })
    const { partition: index, fetchOffset: offset, partitionMaxBytes: maxBytes } = one
    const { currentLeaderEpoch: epoch, highWatermark: hw } = one
    const isThrottled = replica !== undefined && this.#o.throttle.isFor(replica, replicaOf(request))
    return { topicId, index, offset, maxBytes, epoch, hw, replica, isThrottled, verdict }
  }

  /** What is true after a wait; that the replica has asked counts once. */
  #again({ replica, verdict, epoch }: Asked): FetchVerdict {
    if (!('end' in verdict)) return verdict
    const leader = replica?.machine.leader
    if (leader == null || leader.epoch !== epoch) return NOT_LEADER
    return { hw: leader.hw, logStart: replica!.partition.logStartOffset, end: leader.end }
  }

  /** @returns the records of each that has some; null if there is no news at all */
  async #read(
    asked: readonly Asked[],
    bytesMax: number,
    buffers: Buffer[],
  ): Promise<Map<Asked, Buffer> | null> {
    const found = new Map<Asked, Buffer>()
    let left = Math.min(bytesMax, ANSWER_BYTES_MAX)
    let isNews = false
    // Each comes first in its turn: only the first gets a batch that is larger than what it may have.
    const first = asked.length === 0 ? 0 : this.#turn++ % asked.length
    for (const one of [...asked.slice(first), ...asked.slice(0, first)]) {
      const { replica, verdict, offset, maxBytes, isThrottled } = one
      if (!('end' in verdict) || this.#isCommittedNews(one, verdict.hw)) isNews = true
      if ('end' in verdict && offset < verdict.end && replica !== undefined) {
        if (left <= 0) break
        if (isThrottled && this.#o.throttle.waitMs > 0) continue
        const { reader } = replica.partition
        const bytes = Math.min(left, maxBytes)
        const result = await this.#tryRead(() =>
          reader.read(offset, verdict.end, bytes, found.size === 0),
        )
        if (result === null) continue
        if (result === undefined) {
          one.verdict = { error: ErrorCode.KAFKA_STORAGE_ERROR, logStart: verdict.logStart }
          isNews = true
          continue
        }
        buffers.push(result.buffer)
        found.set(one, result.records)
        left -= result.records.length
        if (isThrottled) this.#o.throttle.passed(result.records.length)
      }
    }
    return isNews || found.size > 0 || asked.length === 0 ? found : null
  }

  /** It has records that it does not know to be committed. */
  #isCommittedNews({ hw: known, offset }: Asked, hw: number): boolean {
    return this.#o.tellsCommitted && Math.min(hw, offset) > known
  }

  async #tryRead<T>(read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (err) {
      this.#o.log.error({ err }, 'a read for a replica failed')
      return undefined
    }
  }

  #wait(from: number, asked: readonly Asked[], ms: number, gone: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const finish = (): void => {
        clearTimeout(timer)
        gone.removeEventListener('abort', finish)
        this.#waiting.delete(waiting)
        resolve()
      }
      // Of those that are held up there is more all the time.
      const held = asked.filter(({ isThrottled }) => isThrottled && this.#o.throttle.waitMs > 0)
      const heldMs = held.length > 0 ? this.#o.throttle.waitMs : WAIT_MS_MAX
      const timer = setTimeout(finish, Math.min(ms, heldMs)).unref()
      const awaited = asked.filter(one => !held.includes(one))
      const keys = new Set(awaited.map(({ topicId, index }) => partitionKey(topicId, index)))
      // Whoever waits has all there is, and reads what comes out of memory.
      for (const { replica } of awaited) replica?.partition.reader.keepTail()
      const waiting = { from, keys, wake: finish }
      this.#waiting.add(waiting)
      gone.addEventListener('abort', finish)
      if (gone.aborted) finish()
    })
  }

  #responses(asked: readonly Asked[], found: ReadonlyMap<Asked, Buffer>): Answer['responses'] {
    return [...groupBy(asked, ({ topicId }) => topicId)].map(([topicId, some]) => ({
      topicId,
      partitions: some.map(one => answerOf(one, found.get(one) ?? NOTHING)),
    }))
  }
}

const NOT_LEADER: FetchVerdict = { error: ErrorCode.NOT_LEADER_OR_FOLLOWER, logStart: -1 }

const replicaOf = ({ replicaId, replicaState }: FetchRequest): number =>
  replicaState.replicaId >= 0 ? replicaState.replicaId : replicaId

function answerOf({ index, verdict }: Asked, records: Buffer): PartitionAnswer {
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
