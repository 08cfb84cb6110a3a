/**
 * Fetch (1), versions 4-18: reads whole batches as they are stored, up to the high watermark; read_committed: up to the last
 * stable offset, with the aborted transactions of which something is in what was read.
 *
 * The first partition with records ignores the byte limits if its first batch is larger (KIP-74). Waits up to max_wait_ms
 * for min_bytes. Sessions (KIP-227), topic ids (v13), diverging epochs (v12). Consumers that know of it (v11) may read from
 * followers too, and are sent to the one of their rack (KIP-392). Fetches of replicas: cluster/replica-fetches.ts.
 * Deviation: a partition's records end with a whole batch, where Kafka may send a part of the next one.
 */
import type { BrokerContext } from '../broker-context.ts'
import { toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type FetchRequest, fetchApi, type fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Encodable } from '../protocol/schema.ts'
import type { FetchPlan, FetchTarget } from '../topics/fetch-sessions.ts'
import type { Listening } from '../topics/listeners.ts'
import type { LogReader } from '../topics/log-reader.ts'
import type { Partition } from '../topics/partition.ts'
import type { Topic } from '../topics/registry.ts'
import { errorAnswer } from './error-answers.ts'
import { CLOSE, defineApi, type RequestContext } from './handler.ts'
import { isAboutLeader, LeaderHints } from './leader-hints.ts'
import { ReadReplicas } from './read-replicas.ts'

/** Read and not yet sent, over all connections; past that a fetch gets FETCH_BYTES_MIN. */
const LENT_BYTES_MAX = 128 * 1024 * 1024
const FETCH_BYTES_MIN = 1024 * 1024
/** The longest wait, whatever is asked for: until then a client that is gone may go unnoticed. */
const WAIT_MS_MAX = 300_000
/** Partitions that all waiting fetches together ask for: about 500 bytes each. Past that a fetch does not wait. */
const WAITING_TARGETS_MAX = 200_000
let waitingTargets = 0
const READ_COMMITTED = 1
/** Since when an answer has an error of its own. */
const ERROR_SINCE = 7
const NOTHING = Buffer.alloc(0)
/** Since when an answer has a place for the leader (KIP-595), and for where that is (KIP-951). */
const LEADER_SINCE = 12
const ENDPOINTS_SINCE = 16
/** Since when clients know that they may read from followers. */
const FOLLOWERS_SINCE = 11
/** Before this version clients do not know KAFKA_STORAGE_ERROR. */
const STORAGE_ERROR_SINCE = 6

type Response = Encodable<typeof fetchResponse>
type TopicAnswer = NonNullable<Response['responses']>[number]
type PartitionAnswer = Mutable<NonNullable<TopicAnswer['partitions']>[number]>
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export const fetch = defineApi(
  fetchApi,
  (request, context) => {
    const { broker, version, pace } = context
    const { isReplica } = termsOf(request)
    if (isReplica && broker.node !== null) return broker.node.fetches.serve(request, context)
    const plan = broker.fetchSessions.plan(request, version, performance.now(), pace)
    return answer(plan, termsOf(request), context)
  },
  { waits: true },
)

/** What a fetch may return, and when: all of the request that is kept while it waits. */
interface FetchTerms {
  readonly maxBytes: number
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly isolationLevel: number
  readonly isReplica: boolean
  /** Of the client; empty: it has not said. */
  readonly rackId: string
}

function termsOf(request: FetchRequest): FetchTerms {
  const { maxBytes, minBytes, maxWaitMs, isolationLevel, rackId, replicaId, replicaState } = request
  const isReplica = replicaId >= 0 || replicaState.replicaId >= 0
  return { maxBytes, minBytes, maxWaitMs, isolationLevel, rackId, isReplica }
}

async function answer(planning: Promise<FetchPlan>, terms: FetchTerms, context: RequestContext) {
  let plan: Pick<FetchPlan, 'sessionId' | 'targets'> = { sessionId: 0, targets: [] }
  let read: FetchRead | null = null
  try {
    const planned = await planning
    plan = planned
    const { errorCode, sessionId } = planned
    if (errorCode !== ErrorCode.NONE) {
      if (context.version < ERROR_SINCE) return CLOSE
      return { body: { errorCode, sessionId: 0, responses: [] } }
    }
    read = new FetchRead(terms, planned, context)
    return await bodyOf(read, sessionId, context)
  } catch (error) {
    read?.release()
    return failed(error, plan, context)
  }
}

async function bodyOf(read: FetchRead, sessionId: number, context: RequestContext) {
  await read.run()
  const body = {
    sessionId,
    responses: await read.responses(),
    nodeEndpoints: context.version >= ENDPOINTS_SINCE ? read.hints.endpoints : [],
  }
  return { body, onSent: () => read.release() }
}

/** The request is not there any more: what is left of it says for what to answer with the error. */
function failed(
  error: unknown,
  { sessionId, targets }: Pick<FetchPlan, 'sessionId' | 'targets'>,
  context: RequestContext,
) {
  const topics = new Map<string, { topic: string; partitions: { partition: number }[] }>()
  for (const { topic, index } of targets) {
    const known = topics.get(topic) ?? { topic, partitions: [] }
    known.partitions.push({ partition: index })
    topics.set(topic, known)
  }
  const kafkaError = toKafkaError(error, context.broker.log)
  const request = { sessionId, topics: [...topics.values()] }
  const body = errorAnswer(fetchApi as never, context.version, request, kafkaError)
  return body === null ? CLOSE : { body: body as Response }
}

/** What one partition contributes. */
interface PartitionRead {
  readonly target: FetchTarget
  readonly partition: Partition | undefined
  readonly answer: PartitionAnswer
  bytes: number
  /** The partition's count when it was looked at: what came since is news. */
  readonly appendedBytes: number
  /** Whether it was led here then. */
  readonly led: boolean
}

/** One fetch: reads, and if that is too little, waits for more and reads again. */
class FetchRead {
  readonly #terms: FetchTerms
  readonly #plan: FetchPlan
  readonly #context: RequestContext
  readonly #broker: BrokerContext
  readonly #maxBytes: number
  readonly #minBytes: number
  #reads: PartitionRead[] = []
  #buffers: Buffer[] = []
  #bytes = 0
  /** Something must be told at once: an error, a diverging epoch, another replica. */
  #isUrgent = false
  readonly hints: LeaderHints
  readonly #nearer: ReadReplicas

  constructor(terms: FetchTerms, plan: FetchPlan, context: RequestContext) {
    this.#terms = terms
    this.#plan = plan
    this.#context = context
    this.#broker = context.broker
    this.hints = new LeaderHints(context)
    this.#nearer = new ReadReplicas(context, terms.rackId)
    const max = Math.min(terms.maxBytes, this.#broker.options.limits.fetchBytesMax)
    const left = LENT_BYTES_MAX - this.#broker.registry.replicas.pool.lentBytes
    this.#maxBytes = Math.max(Math.min(max, Math.max(left, FETCH_BYTES_MIN)), 0)
    this.#minBytes = Math.min(terms.minBytes, this.#maxBytes)
  }

  async run(): Promise<void> {
    const deadline = performance.now() + Math.min(this.#terms.maxWaitMs, WAIT_MS_MAX)
    for (;;) {
      await this.#readAll()
      const left = deadline - performance.now()
      const isEnough = this.#bytes >= this.#minBytes || this.#isUrgent
      if (isEnough || left <= 0 || this.#plan.targets.length === 0) return
      if (this.#context.gone.aborted) return
      if (!(await this.#wait(left))) return
    }
  }

  /** Waits for what is missing, or for so many ms. @returns false if too much waits already: then what was read is answered */
  async #wait(ms: number): Promise<boolean> {
    const { gone } = this.#context
    const targets = this.#plan.targets.length
    if (waitingTargets + targets > WAITING_TARGETS_MAX) return false
    const wait = waitForBytes(this.#reads, this.#minBytes - this.#bytes, ms, gone)
    // The little that was read is read again with the rest: buffers are not held while waiting.
    this.release()
    this.#context.park()
    waitingTargets += targets
    await wait
    waitingTargets -= targets
    return true
  }

  release(): void {
    for (const buffer of this.#buffers) this.#broker.registry.replicas.pool.release(buffer)
    this.#buffers = []
  }

  async #readAll(): Promise<void> {
    this.#reads = []
    this.#bytes = 0
    const { pace } = this.#context
    for (const target of this.#plan.targets) {
      if (pace.isDue) await pace.rest()
      const read = this.#tryCheck(target)
      this.#reads.push(read)
      if (read.answer.errorCode !== ErrorCode.NONE) this.#isUrgent = true
      else if (read.partition !== undefined) await this.#readOne(read, read.partition)
    }
  }

  /** What nobody expected about one partition costs that partition. */
  #tryCheck(target: FetchTarget): PartitionRead {
    try {
      return this.#check(target)
    } catch (error) {
      const { errorCode } = toKafkaError(error, this.#broker.log)
      const answer = {
        partitionIndex: target.index,
        errorCode,
        highWatermark: -1,
        records: NOTHING,
      }
      return { target, partition: undefined, answer, bytes: 0, appendedBytes: 0, led: false }
    }
  }

  #check(target: FetchTarget): PartitionRead {
    const found = this.#find(target)
    const partition = typeof found === 'number' ? undefined : found
    const errorCode = this.#problem(target, found)
    const answer: PartitionAnswer = {
      partitionIndex: target.index,
      errorCode,
      highWatermark: partition?.highWatermark ?? -1,
      lastStableOffset: partition?.lastStableOffset ?? -1,
      logStartOffset: partition?.logStartOffset ?? -1,
      abortedTransactions: this.#terms.isolationLevel === READ_COMMITTED ? [] : null,
      records: NOTHING,
    }
    const { version } = this.#context
    const topic = this.#topicOf(target)
    if (isAboutLeader(errorCode) && topic !== undefined && version >= LEADER_SINCE) {
      answer.currentLeader = this.hints.leaderOf(topic, target.index)
    }
    const { appendedBytes, leads: led } = partition ?? { appendedBytes: 0, leads: false }
    return { target, partition, answer, bytes: 0, appendedBytes, led }
  }

  #topicOf({ topic, topicId }: FetchTarget): Topic | undefined {
    const { registry } = this.#broker
    return this.#context.version >= 13 ? registry.topicById(topicId) : registry.topic(topic)
  }

  #find(target: FetchTarget): Partition | ErrorCode {
    const found = this.#topicOf(target)
    if (this.#context.version >= 13 && found === undefined) return ErrorCode.UNKNOWN_TOPIC_ID
    const { registry } = this.#broker
    return this.#context.version >= FOLLOWERS_SINCE
      ? registry.readable(found, target.index)
      : registry.led(found, target.index)
  }

  #problem(target: FetchTarget, partition: Partition | ErrorCode): ErrorCode {
    const { version } = this.#context
    if (typeof partition === 'number') return partition
    if (this.#terms.isReplica) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    const unfit = partition.leads ? partition.refusal(false) : ErrorCode.NONE
    if (unfit !== ErrorCode.NONE) return unfit
    if (partition.offline !== null) {
      return version < STORAGE_ERROR_SINCE
        ? ErrorCode.NOT_LEADER_OR_FOLLOWER
        : ErrorCode.KAFKA_STORAGE_ERROR
    }
    const { currentLeaderEpoch, fetchOffset } = target
    if (currentLeaderEpoch !== -1 && currentLeaderEpoch < partition.leaderEpoch) {
      return ErrorCode.FENCED_LEADER_EPOCH
    }
    if (currentLeaderEpoch > partition.leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH
    if (fetchOffset < partition.logStartOffset || fetchOffset > partition.logEndOffset) {
      return ErrorCode.OFFSET_OUT_OF_RANGE
    }
    return ErrorCode.NONE
  }

  async #readOne(read: PartitionRead, partition: Partition): Promise<void> {
    const { target, answer } = read
    if (this.#diverges(target, partition, answer)) {
      this.#isUrgent = true
      return
    }
    const left = this.#maxBytes - this.#bytes
    const isFirst = this.#bytes === 0
    const end =
      this.#terms.isolationLevel === READ_COMMITTED
        ? partition.lastStableOffset
        : partition.highWatermark
    const nearer = this.#nearer.of(partition, target.fetchOffset)
    if (nearer !== -1) {
      answer.preferredReadReplica = nearer
      this.#isUrgent = true
      return
    }
    if (target.fetchOffset >= end || (left <= 0 && !isFirst)) return
    const maxBytes = Math.max(Math.min(target.maxBytes, left), 0)
    try {
      await this.#readRecords(read, partition.reader, { end, maxBytes, isFirst })
    } catch (error) {
      // Retention may have removed the segment under our feet; anything else is the disk's fault.
      const isGone = target.fetchOffset < partition.logStartOffset
      answer.errorCode = isGone ? ErrorCode.OFFSET_OUT_OF_RANGE : ErrorCode.KAFKA_STORAGE_ERROR
      this.#isUrgent = true
      if (!isGone && !partition.isDeleted) {
        this.#broker.log.error({ err: error, partition: partition.name }, 'a read failed')
      }
    }
  }

  async #readRecords(
    read: PartitionRead,
    reader: LogReader,
    { end, maxBytes, isFirst }: { end: number; maxBytes: number; isFirst: boolean },
  ): Promise<void> {
    const { answer, target } = read
    const { fetchOffset } = target
    for (;;) {
      const { changes } = reader
      const result = await reader.read(fetchOffset, end, maxBytes, isFirst)
      if (result === null) return
      const { buffer, records } = result
      this.#buffers.push(buffer)
      if (this.#terms.isolationLevel === READ_COMMITTED) {
        answer.abortedTransactions = await reader.abortedIn(fetchOffset, records)
        // Both have to be as compaction has left them, or as they were before it.
        if (reader.changes !== changes) continue
      }
      answer.records = records
      read.bytes = records.length
      this.#bytes += read.bytes
      return
    }
  }

  /** Whether the reader's last epoch does not fit this log (KIP-320, KIP-595): then it learns where they part. */
  #diverges(target: FetchTarget, partition: Partition, answer: PartitionAnswer): boolean {
    if (target.lastFetchedEpoch < 0) return false
    const { epoch, endOffset } = partition.endOffsetFor(target.lastFetchedEpoch)
    if (epoch === -1) {
      answer.errorCode = ErrorCode.OFFSET_OUT_OF_RANGE
      return true
    }
    if (epoch === target.lastFetchedEpoch && endOffset >= target.fetchOffset) return false
    answer.divergingEpoch = { epoch, endOffset }
    return true
  }

  /** The answers by topic; of an incremental session only those with news. */
  async responses(): Promise<Response['responses']> {
    const { pace } = this.#context
    const topics = new Map<
      string,
      { topic: string; topicId: string; partitions: PartitionAnswer[] }
    >()
    for (const { target, answer, bytes } of this.#reads) {
      if (pace.isDue) await pace.rest()
      if (bytes > 0) this.#plan.served(target)
      if (this.#plan.isIncremental && !hasNews(target, answer, bytes)) continue
      remember(target, answer)
      const key = this.#context.version >= 13 ? target.topicId : target.topic
      const { topic, topicId } = target
      const known = topics.get(key)
      if (known === undefined) topics.set(key, { topic, topicId, partitions: [answer] })
      else known.partitions.push(answer)
    }
    return [...topics.values()]
  }
}

function hasNews(target: FetchTarget, answer: PartitionAnswer, bytes: number): boolean {
  return (
    bytes > 0 ||
    answer.errorCode !== ErrorCode.NONE ||
    target.sentError ||
    answer.divergingEpoch !== undefined ||
    answer.preferredReadReplica !== undefined ||
    answer.highWatermark !== target.sentHighWatermark ||
    answer.logStartOffset !== target.sentLogStartOffset
  )
}

function remember(target: FetchTarget, answer: PartitionAnswer): void {
  target.sentHighWatermark = answer.highWatermark ?? -1
  target.sentLogStartOffset = answer.logStartOffset ?? -1
  target.sentError = answer.errorCode !== ErrorCode.NONE
}

/** Resolves when so many bytes were appended since the reads, a partition went offline, or the time is over. */
function waitForBytes(
  reads: readonly PartitionRead[],
  bytes: number,
  ms: number,
  gone: AbortSignal,
): Promise<void> {
  return new Promise(resolve => {
    let missing = bytes
    let isOver = false
    const listenings: Listening[] = []
    const finish = (): void => {
      isOver = true
      clearTimeout(timer)
      gone.removeEventListener('abort', finish)
      for (const listening of listenings) listening.end()
      resolve()
    }
    const timer = setTimeout(finish, ms).unref()
    gone.addEventListener('abort', finish)
    const seen = new Set<Partition>()
    for (const { partition, appendedBytes, led } of reads) {
      if (partition === undefined || seen.has(partition)) continue
      seen.add(partition)
      let counted = appendedBytes
      const onAdvance = (): void => {
        missing -= partition.appendedBytes - counted
        counted = partition.appendedBytes
        const isOver = partition.offline !== null || partition.isDeleted || partition.leads !== led
        if (missing <= 0 || isOver) finish()
      }
      onAdvance()
      if (isOver) return
      listenings.push(partition.listen(onAdvance))
    }
  })
}
