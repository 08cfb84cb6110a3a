/**
 * DescribeTopicPartitions (75), version 0: topics in order of name, page by page. The next page begins at the cursor,
 * which may stand at the first partition of a topic not shown yet. An answer has at most
 * max.request.partition.size.limit partitions, at least one.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type DescribeTopicPartitionsRequest,
  describeTopicPartitionsApi,
} from '../protocol/messages/75-describe-topic-partitions.ts'
import type { Topic } from '../topics/registry.ts'
import { isInternalTopic } from '../topics/topic-names.ts'
import { indexesOf } from '../topics/topic-table.ts'
import { TOPIC_OPERATIONS } from './authorized-operations.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, type Pace, sortPaced } from './pace.ts'
import { checkTopicName, tellPlace } from './topic-checks.ts'

type Broker = RequestContext['broker']
type Request = DescribeTopicPartitionsRequest

export const describeTopicPartitions = defineApi(
  describeTopicPartitionsApi,
  async (request, { broker, pace }) => {
    const names = new Set<string>()
    await eachPaced(request.topics, pace, ({ name }) => names.add(name))
    try {
      checkCursor(request, names)
    } catch (error) {
      const { errorCode } = toKafkaError(error, broker.log)
      return { body: { topics: await eachPaced([...names], pace, name => ({ errorCode, name })) } }
    }
    const asked =
      names.size === 0 ? [...broker.registry.topics].map(({ name }) => name) : [...names]
    return { body: await page(request, await sortPaced(asked, pace), broker, pace) }
  },
)

function checkCursor({ cursor }: Request, names: ReadonlySet<string>): void {
  if (cursor === null) return
  const refuse = (message: string): never => {
    throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
  }
  if (cursor.partitionIndex < 0) refuse('The cursor stands before the first partition.')
  if (names.size > 0 && !names.has(cursor.topicName)) {
    refuse('The topic of the cursor is not in the request.')
  }
}

async function page(request: Request, names: readonly string[], broker: Broker, pace: Pace) {
  const { cursor, responsePartitionLimit } = request
  let left = Math.min(
    Math.max(1, responsePartitionLimit),
    broker.options.limits.describedPartitionsMax,
  )
  const topics = []
  for (const name of names) {
    if (cursor !== null && name < cursor.topicName) continue
    if (pace.isDue) await pace.rest()
    if (left === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } }
    const topic = broker.registry.topic(name)
    if (topic === undefined) {
      topics.push(missing(name, broker))
      continue
    }
    const from = name === cursor?.topicName ? cursor.partitionIndex : 0
    const to = Math.min(topic.partitionCount, from + left)
    topics.push(describe(topic, indexesOf(topic).slice(from, to), broker))
    if (to < topic.partitionCount) {
      return { topics, nextCursor: { topicName: name, partitionIndex: to } }
    }
    left -= Math.max(0, to - from)
  }
  return { topics, nextCursor: null }
}

function missing(name: string, { log }: Broker) {
  const fields = { name, topicAuthorizedOperations: TOPIC_OPERATIONS, partitions: [] }
  try {
    checkTopicName(name)
    return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ...fields }
  } catch (error) {
    return { errorCode: toKafkaError(error, log).errorCode, ...fields }
  }
}

function describe(topic: Topic, indexes: readonly number[], broker: Broker) {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    topicAuthorizedOperations: TOPIC_OPERATIONS,
    partitions: indexes.map(index => {
      const place = broker.cluster.place(topic, index)
      return { ...tellPlace(place, index), eligibleLeaderReplicas: place.elr, lastKnownElr: [] }
    }),
  }
}
