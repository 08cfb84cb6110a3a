import type { RequestContext } from '../../apis/handler.ts'
import { errorName } from '../../protocol/error-codes.ts'
import type { ApiName } from '../releases.ts'
import type { Armed } from './fault.ts'
import { partitionLists, topicLists } from './lists.ts'

/** A request or an answer, decoded: of any API, so its fields are looked up by name. */
export type Body = Record<string, unknown>

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
function whole(answer: (request: Body, strike: Strike) => Body): ErrorAnswer {
  return {
    scope: 'request',
    split: (request, strike) => ({ rest: null, complete: () => answer(request, strike) }),
  }
}

const errorOnly = whole((_, { errorCode }) => ({ errorCode }))
const withMessage = whole((_, { errorCode, errorMessage }) => ({ errorCode, errorMessage }))

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

const COORDINATORS_SINCE = 4
const findCoordinator = whole(({ coordinatorKeys }, { version, errorCode, errorMessage }) => {
  const nowhere = { nodeId: -1, host: '', port: -1, errorCode, errorMessage }
  if (version < COORDINATORS_SINCE) return nowhere
  return { coordinators: (coordinatorKeys as string[]).map(key => ({ key, ...nowhere })) }
})

const OFFSETS_OF_GROUPS_SINCE = 8
const OFFSETS_ERROR_SINCE = 2
const offsetFetch = whole((request, { version, errorCode }) => {
  if (version >= OFFSETS_OF_GROUPS_SINCE) {
    const groups = request.groups as Body[]
    return { groups: groups.map(({ groupId }) => ({ groupId, topics: [], errorCode })) }
  }
  if (version >= OFFSETS_ERROR_SINCE) return { errorCode, topics: [] }
  const topics = (request.topics as Body[]).map(({ name, partitionIndexes }) => ({
    name,
    partitions: (partitionIndexes as number[]).map(partitionIndex => ({
      ...{ partitionIndex, committedOffset: -1, metadata: '', errorCode },
    })),
  }))
  return { topics }
})

/** By API. What is not here is answered in ways that a client does not take for an error, or nobody has asked for it. */
export const answers: Readonly<Partial<Record<ApiName, ErrorAnswer>>> = {
  ...partitionLists,
  Metadata: metadata,
  OffsetFetch: offsetFetch,
  FindCoordinator: findCoordinator,
  JoinGroup: whole(({ memberId }, { errorCode }) => ({ errorCode, memberId })),
  Heartbeat: errorOnly,
  LeaveGroup: errorOnly,
  SyncGroup: errorOnly,
  DescribeGroups: whole(({ groups }, { errorCode }) => ({
    groups: (groups as string[]).map(groupId => ({ groupId, errorCode })),
  })),
  ListGroups: errorOnly,
  ...topicLists,
  InitProducerId: whole((_, { errorCode }) => ({ errorCode, producerId: -1, producerEpoch: -1 })),
  DeleteGroups: whole(({ groupsNames }, { errorCode }) => ({
    results: (groupsNames as string[]).map(groupId => ({ groupId, errorCode })),
  })),
  DescribeCluster: withMessage,
  ConsumerGroupHeartbeat: withMessage,
  ConsumerGroupDescribe: whole(({ groupIds }, { errorCode, errorMessage }) => ({
    groups: (groupIds as string[]).map(groupId => ({ groupId, errorCode, errorMessage })),
  })),
}

/** Names of the APIs for which there is an error answer (of this kind). */
export function answerableApis(is: (answer: ErrorAnswer) => boolean = () => true): string[] {
  return Object.entries(answers).flatMap(([name, answer]) => (is(answer) ? [name] : []))
}
