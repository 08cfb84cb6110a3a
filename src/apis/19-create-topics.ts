/**
 * CreateTopics (19), versions 2-7. A topic can be written when it is answered; the timeout is not looked at.
 * Deviations from Kafka: topics are created one after the other, so that of two colliding names in one request only the
 * first is created; validateOnly answers no made-up topic id.
 */
import { describeTopicConfigs } from '../configs/describe.ts'
import { brokerValue, validateTopicConfigs } from '../configs/values.ts'
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type CreateTopicsRequest, createTopicsApi } from '../protocol/messages/19-create-topics.ts'
import type { Placement } from '../topics/topic-source.ts'
import { checkConfigCount } from './config-resources.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'
import { checkCreatedPartitions, duplicatesOf } from './topic-checks.ts'

type CreatableTopic = CreateTopicsRequest['topics'][number]
type Broker = RequestContext['broker']

const DEFAULT = -1
/** Kafka's own log of metadata: no topic may have its name. */
const METADATA_TOPIC = '__cluster_metadata'

const invalidRequest = (message: string) => new BrokerError(ErrorCode.INVALID_REQUEST, message)

export const createTopics = defineApi(createTopicsApi, async (request, context) => {
  const { broker, pace } = context
  const twice = await duplicatesOf(request.topics, pace, ({ name }) => name)
  const once = await eachPaced(
    request.topics,
    pace,
    topic => topic,
    ({ name }) => !twice.has(name),
  )
  const total = once.reduce((sum, topic) => sum + askedPartitions(topic, broker), 0)
  const topics = []
  for (const topic of once) {
    if (pace.isDue) await pace.rest()
    try {
      checkCreatedPartitions(total)
      topics.push(await createOne(topic, request.validateOnly, context))
    } catch (error) {
      topics.push({ name: topic.name, ...toKafkaError(error, broker.log), configs: [] })
    }
  }
  for (const name of twice) {
    if (pace.isDue) await pace.rest()
    const error = invalidRequest(`Topic '${name}' is in the request more than once.`)
    topics.push({ name, ...toKafkaError(error, broker.log), configs: [] })
  }
  return { body: { topics } }
})

async function createOne(
  topic: CreatableTopic,
  validateOnly: boolean,
  { broker, peer }: RequestContext,
) {
  const { name } = topic
  const { view } = broker.configs
  if (name === METADATA_TOPIC) throw invalidRequest(`No topic may be named ${METADATA_TOPIC}.`)
  broker.registry.checkNewName(name)
  const configs = checkConfigs(topic, broker)
  const to = placementOf(topic)
  const numPartitions = askedPartitions(topic, broker)
  const placed = broker.registry.assign(numPartitions, to)
  const created = validateOnly
    ? null
    : await broker.registry.create(name, numPartitions, configs, peer, undefined, to)
  return {
    name,
    ...(created === null ? {} : { topicId: created.id }),
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    numPartitions,
    replicationFactor: placed[0]?.length ?? 1,
    configs: describeTopicConfigs(configs, view),
  }
}

/** Partitions the topic would get; what is not allowed counts as none. */
function askedPartitions(topic: CreatableTopic, broker: Broker): number {
  if (topic.assignments.length > 0) return topic.assignments.length
  if (topic.numPartitions !== DEFAULT) return Math.max(0, topic.numPartitions)
  return brokerValue('num.partitions', broker.configs.view)
}

/** The configs of the new topic; one given twice has its last value, as in Kafka. */
function checkConfigs(topic: CreatableTopic, broker: Broker): Record<string, string> {
  checkConfigCount(topic.configs)
  const given = topic.configs.map(({ name, value }): [string, string] => {
    if (value !== null) return [name, value]
    throw new BrokerError(ErrorCode.INVALID_CONFIG, `The config ${name} has no value.`)
  })
  const configs = Object.fromEntries(given)
  const problem = validateTopicConfigs(configs, broker.configs.view)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  return configs
}

/** How many partitions and replicas, or which broker has each partition. */
function placementOf(topic: CreatableTopic): Placement {
  const { assignments, numPartitions, replicationFactor } = topic
  if (assignments.length > 0) {
    if (numPartitions !== DEFAULT || replicationFactor !== DEFAULT) {
      throw invalidRequest('With assignments, numPartitions and replicationFactor must be -1.')
    }
    return { replicationFactor: DEFAULT, assignments: orderOf(assignments) }
  }
  if (numPartitions < 1 && numPartitions !== DEFAULT) {
    const message = `A topic has at least 1 partition (-1: as many as num.partitions says), not ${numPartitions}.`
    throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
  }
  checkReplicationFactor(replicationFactor)
  return { replicationFactor, assignments: null }
}

/** The replicas of each partition, in order of these. */
function orderOf(assignments: CreatableTopic['assignments']): readonly (readonly number[])[] {
  const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex))
  const isDense = assignments.every(({ partitionIndex: i }) => i >= 0 && i < assignments.length)
  if (indexes.size === assignments.length && isDense) {
    return [...assignments]
      .sort((a, b) => a.partitionIndex - b.partitionIndex)
      .map(({ brokerIds }) => brokerIds)
  }
  const message = 'Assignments must name the partitions 0, 1, 2 ... each once.'
  throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
}

function checkReplicationFactor(asked: number): void {
  if (asked >= 1 || asked === DEFAULT) return
  const message = `The replication factor must be at least 1 (-1: default.replication.factor), not ${asked}.`
  throw new BrokerError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
}
