import type { Body } from '../../apis/error-answers.ts'
import type { RequestContext } from '../../apis/handler.ts'
import { errorName } from '../../protocol/error-codes.ts'
import type { ApiName } from '../releases.ts'
import type { Armed } from './fault.ts'
import { failedAnswer, partitionAnswers, topicAnswers } from './lists.ts'

/** A fault with an error at the moment it strikes. */
export interface Strike {
  readonly errorCode: number
  readonly errorMessage: string
  readonly version: number
  /** Whether the fault is for this topic, given by name or by id. */
  isTopic(name: unknown, topicId: unknown): boolean
  isPartition(index: unknown): boolean
}

/** What is left of a request when the faulty part is taken out, and how its answer is completed. */
export interface Split {
  /** Null: nothing is left, so nothing is handled. */
  readonly rest: Body | null
  /** The whole answer; `body` is that to the rest. */
  complete(body: Body | null): Body
}

/** How one API is answered with an error. */
export interface ErrorAnswer {
  /** The smallest part of a request to which an error can be given. */
  readonly scope: 'request' | 'topic' | 'partition'
  /** Null: the fault does not concern this request. */
  readonly split?: (request: Body, strike: Strike) => Split | null
  /** Of an API that is handled in any case: puts the errors into the answer. Null: the fault does not concern it. */
  readonly rewrite?: (body: Body, strike: Strike) => Body | null
}

export function strikeOf(fault: Armed, { broker, version }: RequestContext): Strike {
  const errorCode = fault.errorCode ?? 0
  return {
    errorCode,
    errorMessage: `A test fault: ${errorName(errorCode)}.`,
    version,
    isTopic(name, topicId) {
      if (fault.topic === undefined || name === fault.topic) return true
      return typeof topicId === 'string' && broker.registry.topicById(topicId)?.name === fault.topic
    },
    isPartition: index => fault.partition === undefined || index === fault.partition,
  }
}

/** The error is the whole answer. */
const whole = (api: ApiName): ErrorAnswer => ({
  scope: 'request',
  split: (request, strike) => ({
    rest: null,
    complete: () => failedAnswer(api, request, strike),
  }),
})

const metadata: ErrorAnswer = {
  scope: 'partition',
  rewrite(body, strike) {
    let isHit = false
    const topics = (body.topics as Body[]).map(topic => {
      if (!strike.isTopic(topic.name, topic.topicId)) return topic
      const partitions = topic.partitions as Body[]
      const { errorCode } = strike
      if (!partitions.some(p => !strike.isPartition(p.partitionIndex))) {
        isHit = true
        return { ...topic, errorCode, partitions: [] }
      }
      const changed = partitions.map(p => {
        if (!strike.isPartition(p.partitionIndex)) return p
        isHit = true
        return { ...p, errorCode, leaderId: -1 }
      })
      return { ...topic, partitions: changed }
    })
    return isHit ? { ...body, topics } : null
  },
}

const WHOLE = [
  ...['OffsetFetch', 'FindCoordinator', 'JoinGroup', 'Heartbeat', 'LeaveGroup', 'SyncGroup'],
  ...['DescribeGroups', 'ListGroups', 'InitProducerId', 'DeleteGroups', 'DescribeCluster'],
  ...['ConsumerGroupHeartbeat', 'ConsumerGroupDescribe'],
] as readonly ApiName[]

/** By API. What is not here is answered in ways that a client does not take for an error, or nobody has asked for it. */
export const answers: Readonly<Partial<Record<ApiName, ErrorAnswer>>> = {
  ...partitionAnswers,
  Metadata: metadata,
  ...topicAnswers,
  ...Object.fromEntries(WHOLE.map(api => [api, whole(api)])),
}

/** Names of the APIs for which there is an error answer (of this kind). */
export function answerableApis(is: (answer: ErrorAnswer) => boolean = () => true): string[] {
  return Object.entries(answers).flatMap(([name, answer]) => (is(answer) ? [name] : []))
}
