import { isCompacted } from '../configs/topic.ts'
import { toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { ProduceRequest } from '../protocol/messages/00-produce.ts'
import { ENTRY_APPEND_TIME_F64, ENTRY_BASE_OFFSET_F64, ENTRY_ERROR } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import { checkKeysAtOnce, type KeyRefusal } from '../topics/keyed-records.ts'
import type { CommitWaiter, Partition, Replication } from '../topics/partition.ts'
import type { Topic } from '../topics/registry.ts'
import { TaskPoolClosed, TaskPoolFull } from '../topics/task-pool.ts'
import type { AppendWaiter } from '../topics/worker-link.ts'
import { type AppendRefusal, appendRefusal, keylessRefusal } from './append-checks.ts'
import type { RequestContext } from './handler.ts'
import { isAboutLeader, LeaderHints } from './leader-hints.ts'

const ACKS_ALL = -1
/** Since when an answer has a place for the leader. */
const HINTS_SINCE = 10
const NO_RECORD_ERRORS: KeyRefusal['recordErrors'] = []

interface PartitionAnswer {
  index: number
  errorCode: ErrorCode
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  errorMessage: string | null
  recordErrors: KeyRefusal['recordErrors']
  currentLeader?: { leaderId: number; leaderEpoch: number }
}

/** One produce request under way: collects what becomes of each of its partitions. */
export class ProduceCall implements AppendWaiter, CommitWaiter {
  readonly acks: number
  readonly #timeoutMs: number
  readonly partitions: Partition[] = []
  readonly answers: PartitionAnswer[] = []
  #open = 1
  #done: () => void = () => {}

  constructor({ acks, timeoutMs }: Pick<ProduceRequest, 'acks' | 'timeoutMs'>) {
    this.acks = acks
    this.#timeoutMs = timeoutMs
  }

  onAppended(slot: number, ring: Ring, at: number): void {
    const answer = this.answers[slot]!
    answer.errorCode = ring.words[(at >> 2) + ENTRY_ERROR] as ErrorCode
    answer.baseOffset = ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!
    answer.logAppendTimeMs = ring.doubles[(at >> 3) + ENTRY_APPEND_TIME_F64]!
    answer.logStartOffset = -1
    const partition = this.partitions[slot]!
    if (answer.errorCode === ErrorCode.NONE) {
      answer.logStartOffset = partition.logStartOffset
      if (this.acks === ACKS_ALL) {
        partition.afterCommit(ring, at, this, slot, this.#timeoutMs)
        return
      }
    } else if (answer.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER) {
      if (partition.replication !== null) {
        void this.#confirm(slot, partition.replication)
        return
      }
    }
    this.close()
  }

  /**
   * Who has been replaced as leader does not know what the producer has sent since, and clients take this error for loss: it is
   * told only by who is certain to lead. Nothing was appended.
   */
  async #confirm(slot: number, replication: Replication): Promise<void> {
    if (!(await replication.confirm())) {
      fail(this.answers[slot]!, ErrorCode.NOT_LEADER_OR_FOLLOWER, 'another broker leads it')
    }
    this.close()
  }

  onCommitted(slot: number, errorCode: ErrorCode): void {
    const answer = this.answers[slot]!
    if (errorCode !== ErrorCode.NONE) {
      fail(answer, errorCode, 'it is appended, and not known to be on all in-sync replicas')
    }
    this.close()
  }

  /** What the lost worker had not completed may be on disk or not: clients retry after this code. */
  onWorkerLost(slot: number): void {
    fail(this.answers[slot]!, ErrorCode.KAFKA_STORAGE_ERROR, 'the partition has gone offline')
    this.close()
  }

  open(): void {
    this.#open++
  }

  close(): void {
    if (--this.#open === 0) this.#done()
  }

  /** Resolves when every partition submitted so far has its outcome. */
  done(): Promise<void> {
    return new Promise(resolve => {
      this.#done = resolve
      this.close()
    })
  }
}

function fail(answer: PartitionAnswer, errorCode: ErrorCode, message: string): void {
  answer.errorCode = errorCode
  answer.errorMessage = message
}

function newAnswer(index: number): PartitionAnswer {
  return {
    index,
    errorCode: ErrorCode.NONE,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    errorMessage: null,
    recordErrors: NO_RECORD_ERRORS,
  }
}

/** What becomes of the partitions of one topic. */
export type TopicAnswer = { name: string; topicId: string; partitionResponses: PartitionAnswer[] }

/**
 * Checks and submits the partitions of one request in their order: as a rule all in this turn of the event loop, which fixes the
 * order among requests. Where it has to wait (a full ring, a batch that is opened in another thread, many partitions), the
 * connection is not read meanwhile.
 */
export class Submission {
  readonly answers: TopicAnswer[] = []
  /** Where leaders are that are not here. */
  readonly hints: LeaderHints
  readonly #request: ProduceRequest
  readonly #context: RequestContext
  readonly #call: ProduceCall
  readonly #requestRefusal: AppendRefusal | null
  #topic = 0
  #partition = 0

  constructor(request: ProduceRequest, context: RequestContext, call: ProduceCall) {
    this.#request = request
    this.#context = context
    this.hints = new LeaderHints(context)
    this.#call = call
    this.#requestRefusal = checkRequest(request)
  }

  /** Goes on as far as it can. @returns what it waits for, or null when all is submitted */
  advance(): Promise<unknown> | null {
    const { topicData } = this.#request
    for (; this.#topic < topicData.length; this.#topic++, this.#partition = 0) {
      const { name, topicId, partitionData } = topicData[this.#topic]!
      if (this.answers.length === this.#topic)
        this.answers.push({ name, topicId, partitionResponses: [] })
      while (this.#partition < partitionData.length) {
        const wait = this.#tryNext(topicData[this.#topic]!, partitionData[this.#partition]!)
        if (wait !== null) return wait
      }
    }
    return null
  }

  /** Goes on until all is submitted, each time when what it waits for is there. */
  async finish(first: Promise<unknown>): Promise<void> {
    for (let wait: Promise<unknown> | null = first; wait !== null; wait = this.advance()) await wait
  }

  /** What nobody expected about one partition costs that partition. */
  #tryNext(topicData: TopicData, partition: PartitionData): Promise<unknown> | null {
    try {
      const wait = this.#next(topicData, partition)
      return wait === null ? null : wait.catch(error => this.#fail(partition, error))
    } catch (error) {
      this.#fail(partition, error)
      return null
    }
  }

  #fail({ index }: PartitionData, error: unknown): void {
    this.#refuse(index, toKafkaError(error, this.#context.broker.log))
  }

  #next(topicData: TopicData, { index, records }: PartitionData): Promise<unknown> | null {
    const { pace } = this.#context
    if (pace.isDue) return pace.rest()
    const partition = this.#partitionOf(topicData, index)
    const refusal = this.#refusalOf(partition, records)
    if (refusal instanceof Promise) {
      return refusal.then(keyless => {
        if (keyless === null) return this.#submitChecked(topicData, index, records!)
        this.#refuse(index, keyless)
        return undefined
      })
    }
    if (refusal !== null) {
      this.#refuse(index, refusal)
      return null
    }
    return this.#submit(partition as Partition, index, records!)
  }

  /** The partition may have gone while its batch was being looked at. */
  async #submitChecked(topicData: TopicData, index: number, records: Buffer): Promise<void> {
    for (;;) {
      const partition = this.#partitionOf(topicData, index)
      if (typeof partition === 'number') return this.#refuse(index, this.#missing(partition))
      const wait = this.#submit(partition, index, records)
      if (wait === null) return
      await wait
    }
  }

  #refuse(index: number, { errorCode, errorMessage, recordErrors }: AppendRefusal): void {
    const answer = newAnswer(index)
    fail(answer, errorCode, errorMessage)
    if (isAboutLeader(errorCode)) this.#hint(answer)
    if (recordErrors !== undefined) answer.recordErrors = recordErrors
    this.#answered(answer)
  }

  #hint(answer: PartitionAnswer): void {
    const topic = this.#topicOf(this.#request.topicData[this.#topic]!)
    if (topic !== undefined && this.#context.version >= HINTS_SINCE) {
      answer.currentLeader = this.hints.leaderOf(topic, answer.index)
    }
  }

  /** The request is kept until it is answered, but not the records: their chunk would be too, and grow old. */
  #answered(answer: PartitionAnswer): void {
    this.#request.topicData[this.#topic]!.partitionData[this.#partition]!.records = null
    this.answers[this.#topic]!.partitionResponses.push(answer)
    this.#partition++
  }

  /** @returns null, or the wait for room in the ring */
  #submit(partition: Partition, index: number, records: Buffer): Promise<void> | null {
    const { worker } = partition
    const call = this.#call
    const slot = call.answers.length
    if (!partition.append(records, call, slot) && !worker.isLost) return worker.space()
    const answer = newAnswer(index)
    call.answers.push(answer)
    call.partitions.push(partition)
    call.open()
    this.#answered(answer)
    if (worker.isLost) call.onWorkerLost(slot)
    return null
  }

  #topicOf({ name, topicId }: TopicData): Topic | undefined {
    const { registry } = this.#context.broker
    return this.#context.version >= 13 ? registry.topicById(topicId) : registry.topic(name)
  }

  #partitionOf(topicData: TopicData, index: number): Partition | ErrorCode {
    const topic = this.#topicOf(topicData)
    const isUnknownId = topic === undefined && this.#context.version >= 13
    return isUnknownId
      ? ErrorCode.UNKNOWN_TOPIC_ID
      : this.#context.broker.registry.led(topic, index)
  }

  #missing(errorCode: ErrorCode): AppendRefusal {
    const isElsewhere = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER
    const errorMessage = isElsewhere
      ? 'another broker leads the partition'
      : 'the topic or partition does not exist'
    return { errorCode, errorMessage }
  }

  #refusalOf(
    partition: Partition | ErrorCode,
    records: Buffer | null,
  ): AppendRefusal | null | Promise<AppendRefusal | null> {
    if (this.#requestRefusal !== null) return this.#requestRefusal
    if (typeof partition === 'number') return this.#missing(partition)
    const { broker, version } = this.#context
    const needsAll = this.#request.acks === ACKS_ALL
    const wrong = appendRefusal(broker, partition, records, version, Date.now(), needsAll)
    if (wrong !== null || records === null || !isCompacted(partition.config)) return wrong
    return this.#checkKeys(records)
  }

  /** A batch of moderate size is opened here, any other in a task thread. */
  #checkKeys(records: Buffer): AppendRefusal | null | Promise<AppendRefusal | null> {
    const { registry, tasks } = this.#context.broker
    const keyless = registry.opener === null ? null : checkKeysAtOnce(records, registry.opener)
    if (keyless !== 'too much') return keylessRefusal(keyless)
    return tasks.run('checkKeys', { batch: records }).then(keylessRefusal, error => {
      if (!(error instanceof TaskPoolFull) && !(error instanceof TaskPoolClosed)) throw error
      const errorMessage = 'too many batches are being opened'
      return { errorCode: ErrorCode.REQUEST_TIMED_OUT, errorMessage }
    })
  }
}

type TopicData = ProduceRequest['topicData'][number]
type PartitionData = TopicData['partitionData'][number]

function checkRequest({ acks }: ProduceRequest): AppendRefusal | null {
  if (acks >= -1 && acks <= 1) return null
  const errorMessage = `acks=${acks}; -1, 0 and 1 are allowed`
  return { errorCode: ErrorCode.INVALID_REQUIRED_ACKS, errorMessage }
}
