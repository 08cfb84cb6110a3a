/**
 * CreatePartitions (37), versions 0-3: raises the number of partitions of topics. The new ones can be written when it is
 * answered; the timeout is not looked at.
 */
import { BrokerError } from '../errors.ts'
import { OFFSETS_TOPIC } from '../groups/coordinator.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type CreatePartitionsRequest,
  createPartitionsApi,
} from '../protocol/messages/37-create-partitions.ts'
import { PARTITIONS_MAX, type Topic } from '../topics/registry.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { checkCreatedPartitions, duplicatesOf, outcomeOf } from './topic-checks.ts'

type Asked = CreatePartitionsRequest['topics'][number]
type Broker = RequestContext['broker']

export const createPartitions = defineApi(
  createPartitionsApi,
  async (request, { broker, pace }) => {
    const { topics, validateOnly } = request
    const twice = await duplicatesOf(topics, pace, ({ name }) => name)
    const once = new Once()
    const unique = await eachPaced(
      topics,
      pace,
      asked => asked,
      ({ name }) => once.isFirst(name),
    )
    const total = unique.reduce((sum, asked) => sum + added(asked, broker), 0)
    const results = []
    for (const asked of unique) {
      if (pace.isDue) await pace.rest()
      const { name } = asked
      const outcome = await outcomeOf(() => {
        if (twice.has(name)) {
          const message = `Topic '${name}' is in the request more than once.`
          throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
        }
        const topic = checkOne(asked, broker)
        checkCreatedPartitions(total)
        if (validateOnly) return undefined
        return broker.registry.addPartitions(topic, asked.count, assigned(asked))
      }, broker)
      results.push({ name, ...outcome })
    }
    return { body: { results } }
  },
)

function added({ name, count }: Asked, { registry }: Broker): number {
  const topic = registry.topic(name)
  return topic === undefined ? 0 : Math.max(0, count - topic.partitionCount)
}

function checkOne(asked: Asked, broker: Broker): Topic {
  const { name, count, assignments } = asked
  const topic = broker.registry.topic(name)
  if (topic === undefined) {
    const message = `There is no topic '${name}'.`
    throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
  if (name === OFFSETS_TOPIC) {
    const message = `Groups are placed by the number of partitions of ${name}: it stays as it is.`
    throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
  }
  checkCount(topic, count)
  if (assignments === null) return topic
  const more = count - topic.partitionCount
  if (assignments.length !== more) {
    const message = `${more} partitions are to be added, but ${assignments.length} are assigned.`
    throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  broker.registry.assign(more, { replicationFactor: -1, assignments: assigned(asked) })
  return topic
}

/** The replicas of each partition that is added; null: as is usual. */
const assigned = ({ assignments }: Asked) => assignments?.map(({ brokerIds }) => brokerIds) ?? null

function checkCount({ name, partitionCount: has }: Topic, count: number): void {
  const refuse = (message: string): never => {
    throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
  }
  if (count <= has) refuse(`Topic '${name}' has ${has} partitions, ${count} would not be more.`)
  if (count > PARTITIONS_MAX) refuse(`A topic has at most ${PARTITIONS_MAX} partitions.`)
}
