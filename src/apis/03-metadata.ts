/**
 * Metadata (3), versions 0-13: the broker, and the topics asked for. A missing topic is created inside the request if the
 * request and auto.create.topics.enable allow it, so that the answer already has it; Kafka answers an error first and
 * lets the client ask again.
 */
import { brokerValue } from '../configs/values.ts'
import { toKafkaError } from '../errors.ts'
import { OFFSETS_TOPIC } from '../groups/coordinator.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/fields.ts'
import { type MetadataRequest, metadataApi } from '../protocol/messages/03-metadata.ts'
import type { Encodable } from '../protocol/schema.ts'
import type { Topic } from '../topics/registry.ts'
import { isInternalTopic, topicNameProblem } from '../topics/topic-names.ts'
import { indexesOf } from '../topics/topic-table.ts'
import {
  CLUSTER_OPERATIONS,
  OPERATIONS_NOT_ASKED,
  TOPIC_OPERATIONS,
} from './authorized-operations.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { tellPlace } from './topic-checks.ts'

type TopicAnswer = NonNullable<Encodable<typeof metadataApi.response>['topics']>[number]

/** Topics that one request makes: for more of them the client asks again, as it does where Kafka answers before it makes them. */
const AUTO_CREATED_MAX = 100

/** Requests by topic id need this version; before, the field is there and must be left empty. */
const IDS_SINCE = 12

export const metadata = defineApi(metadataApi, async (request, context) => {
  const { broker, version } = context
  const settling = broker.cluster.settling()
  if (settling !== null) await settling
  const topics = await topicsAsked(request, context)
  return {
    body: {
      brokers: broker.cluster.brokers(context.listener),
      clusterId: broker.clusterId,
      controllerId: broker.cluster.controllerId,
      topics,
      ...(request.includeClusterAuthorizedOperations && version >= 8 && version <= 10
        ? { clusterAuthorizedOperations: CLUSTER_OPERATIONS }
        : {}),
    },
  }
})

async function topicsAsked(
  request: MetadataRequest,
  context: RequestContext,
): Promise<TopicAnswer[]> {
  const { broker, version } = context
  const { topics } = request
  const isAll = topics === null || (version === 0 && topics.length === 0)
  const { pace } = context
  if (isAll) {
    return eachPaced([...broker.registry.topics], pace, topic => describe(topic, request, context))
  }
  const once = new Once()
  let missing = 0
  return eachPaced(
    topics,
    pace,
    ({ name, topicId }): TopicAnswer | Promise<TopicAnswer> => {
      const isById = name === null || topicId !== ZERO_UUID
      if (isById && version < IDS_SINCE) {
        return { errorCode: ErrorCode.INVALID_REQUEST, name: name ?? '', partitions: [] }
      }
      if (isById) {
        const topic = broker.registry.topicById(topicId)
        if (topic !== undefined) return describe(topic, request, context)
        return { errorCode: ErrorCode.UNKNOWN_TOPIC_ID, name: null, topicId, partitions: [] }
      }
      const known = broker.registry.topic(name)
      if (known !== undefined) return describe(known, request, context)
      if (++missing <= AUTO_CREATED_MAX) return describeNew(name, request, context)
      return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name, partitions: [] }
    },
    ({ name, topicId }) => once.isFirst(topicId === ZERO_UUID ? name : `${topicId} ${name}`),
  )
}

async function describeNew(
  name: string,
  request: MetadataRequest,
  context: RequestContext,
): Promise<TopicAnswer> {
  const found = await autoCreate(name, request, context)
  if (typeof found === 'object') return describe(found, request, context)
  return { errorCode: found, name, partitions: [] }
}

/** The topic, or the code that says why there is none. */
async function autoCreate(
  name: string,
  request: MetadataRequest,
  { broker, peer }: RequestContext,
): Promise<Topic | ErrorCode> {
  if (topicNameProblem(name) !== null) return ErrorCode.INVALID_TOPIC_EXCEPTION
  const { view } = broker.configs
  if (!request.allowAutoTopicCreation || !brokerValue('auto.create.topics.enable', view)) {
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  }
  try {
    if (name === OFFSETS_TOPIC) {
      await broker.groups.prepare()
      return broker.registry.topic(name)!
    }
    return await broker.registry.create(name, brokerValue('num.partitions', view), {}, peer)
  } catch (error) {
    const { errorCode } = toKafkaError(error, broker.log)
    // Somebody else was faster.
    return broker.registry.topic(name) ?? errorCode
  }
}

/** Comes at once but for topics with very many partitions. */
function describe(
  topic: Topic,
  request: MetadataRequest,
  { broker, pace }: RequestContext,
): TopicAnswer | Promise<TopicAnswer> {
  const partitions = eachPaced(indexesOf(topic), pace, index =>
    tellPlace(broker.cluster.place(topic, index), index),
  )
  const answer = (all: TopicAnswer['partitions']): TopicAnswer => ({
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    topicAuthorizedOperations: request.includeTopicAuthorizedOperations
      ? TOPIC_OPERATIONS
      : OPERATIONS_NOT_ASKED,
    partitions: all,
  })
  return partitions instanceof Promise ? partitions.then(answer) : answer(partitions)
}
