/**
 * DescribeProducers (61), version 0: the idempotent producers that a partition remembers, and where their open transactions began.
 */
import { toKafkaError } from '../errors.ts'
import { describeProducersApi } from '../protocol/messages/61-describe-producers.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, oncePerPartition } from './pace.ts'
import { checkTopicName, NO_ERROR, onlinePartition, onWorker } from './topic-checks.ts'

type Broker = RequestContext['broker']

export const describeProducers = defineApi(
  describeProducersApi,
  async (request, { broker, pace }) => {
    const each = oncePerPartition(pace)
    const topics = await eachPaced(request.topics, pace, async ({ name, partitionIndexes }) => ({
      name,
      partitions: await each(
        name,
        partitionIndexes,
        index => index,
        index => describe(name, index, broker),
      ),
    }))
    return { body: { topics } }
  },
)

async function describe(topic: string, partitionIndex: number, broker: Broker) {
  try {
    const activeProducers = await producersOf(topic, partitionIndex, broker)
    return { partitionIndex, ...NO_ERROR, activeProducers }
  } catch (error) {
    return { partitionIndex, ...toKafkaError(error, broker.log), activeProducers: [] }
  }
}

async function producersOf(topic: string, index: number, broker: Broker) {
  checkTopicName(topic)
  const partition = onlinePartition(broker, topic, index)
  const { handle, worker } = partition
  return (await onWorker(partition, () => worker.command('producers', { handle }))).producers
}
