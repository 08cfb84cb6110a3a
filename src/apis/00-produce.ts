/**
 * Produce (0), versions 3-13; 0-2 are advertised and refused, as Kafka does for old librdkafka (KAFKA-18659).
 *
 * acks=1 and acks=all answer when the batch is as durable as its topic asks: by default, flushed. acks=0 gets no answer;
 * if a partition fails, the connection is closed so that the client looks around anew.
 * Deviations from Kafka: batches are opened only for compacted topics, to see that all records have keys (record timestamps
 * and counts inside are the client's word), so compression.type never leads to recompression, and maxTimestamp is taken as sent.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type ProduceRequest,
  produceApi,
  type produceResponse,
} from '../protocol/messages/00-produce.ts'
import type { Encodable } from '../protocol/schema.ts'
import { ENTRY_APPEND_TIME_F64, ENTRY_BASE_OFFSET_F64, ENTRY_ERROR } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { Partition } from '../topics/partition.ts'
import type { Topic } from '../topics/registry.ts'
import type { AppendWaiter } from '../topics/worker-link.ts'
import { appendRefusal } from './append-checks.ts'
import { CLOSE, defineApi, NO_ANSWER, type Outcome, type RequestContext } from './handler.ts'
import type { KeyRefusal } from './keyed-records.ts'

type Response = Encodable<typeof produceResponse>

const NO_RECORD_ERRORS: KeyRefusal['recordErrors'] = []

interface PartitionAnswer {
  index: number
  errorCode: ErrorCode
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  errorMessage: string | null
  recordErrors: KeyRefusal['recordErrors']
}

/** One produce request under way: collects what becomes of each of its partitions. */
class ProduceCall implements AppendWaiter {
  readonly acks: number
  readonly partitions: Partition[] = []
  readonly answers: PartitionAnswer[] = []
  #open = 1
  #done: () => void = () => {}

  constructor(acks: number) {
    this.acks = acks
  }

  onAppended(slot: number, ring: Ring, at: number): void {
    const answer = this.answers[slot]!
    answer.errorCode = ring.words[(at >> 2) + ENTRY_ERROR] as ErrorCode
    answer.baseOffset = ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!
    answer.logAppendTimeMs = ring.doubles[(at >> 3) + ENTRY_APPEND_TIME_F64]!
    answer.logStartOffset =
      answer.errorCode === ErrorCode.NONE ? this.partitions[slot]!.logStartOffset : -1
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

/** Batches that found the ring full, in order; submitted as soon as it has room. */
type Waiting = { partition: Partition; records: Buffer; slot: number }[]

export const produce = defineApi(produceApi, (request, context) => {
  const call = new ProduceCall(request.acks)
  const waiting: Waiting = []
  const submitted = submitAll(request, context, call, waiting)
  if (waiting.length > 0) context.hold(submitWaiting(waiting, call))
  return call.done().then(() => answer(request, submitted))
})

type TopicAnswer = { name: string; topicId: string; partitionResponses: PartitionAnswer[] }

/** Checks and submits every partition in this turn of the event loop: that fixes the order. */
function submitAll(
  request: ProduceRequest,
  context: RequestContext,
  call: ProduceCall,
  waiting: Waiting,
): TopicAnswer[] {
  const { broker, version } = context
  const requestRefusal = checkRequest(request)
  return request.topicData.map(({ name, topicId, partitionData }) => {
    const topic = version >= 13 ? broker.registry.topicById(topicId) : broker.registry.topic(name)
    const partitionResponses = partitionData.map(({ index, records }) => {
      const answer = newAnswer(index)
      if (requestRefusal !== null) fail(answer, ...requestRefusal)
      else submit(answer, topic, records, context, call, waiting)
      return answer
    })
    return { name, topicId, partitionResponses }
  })
}

function checkRequest(request: ProduceRequest): [ErrorCode, string] | null {
  if (request.acks >= -1 && request.acks <= 1) return null
  return [ErrorCode.INVALID_REQUIRED_ACKS, `acks=${request.acks}; -1, 0 and 1 are allowed`]
}

function submit(
  answer: PartitionAnswer,
  topic: Topic | undefined,
  records: Buffer | null,
  context: RequestContext,
  call: ProduceCall,
  waiting: Waiting,
): void {
  const partition = topic?.partitions[answer.index]
  if (partition === undefined) {
    const byId = topic === undefined && context.version >= 13
    const code = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    fail(answer, code, 'the topic or partition does not exist')
    return
  }
  const { broker, version } = context
  const refusal = appendRefusal(broker, partition, records, call.acks, version, Date.now())
  if (refusal !== null || records === null) {
    if (refusal === null) return
    fail(answer, refusal.errorCode, refusal.errorMessage)
    answer.recordErrors = refusal.recordErrors ?? NO_RECORD_ERRORS
    return
  }
  const slot = call.answers.length
  call.answers.push(answer)
  call.partitions.push(partition)
  call.open()
  const isFull = waiting.length > 0 || !partition.append(records, call, slot)
  if (isFull) waiting.push({ partition, records, slot })
}

async function submitWaiting(waiting: Waiting, call: ProduceCall): Promise<void> {
  for (const { partition, records, slot } of waiting) {
    while (!partition.worker.isLost && !partition.append(records, call, slot)) {
      await partition.worker.space()
    }
    if (partition.worker.isLost) call.onWorkerLost(slot)
  }
}

function answer(request: ProduceRequest, responses: TopicAnswer[]): Outcome<Response> {
  if (request.acks !== 0) return { body: { responses } }
  const failed = responses.some(t => t.partitionResponses.some(p => p.errorCode !== ErrorCode.NONE))
  return failed ? CLOSE : NO_ANSWER
}
