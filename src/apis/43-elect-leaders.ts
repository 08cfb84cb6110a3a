/**
 * ElectLeaders (43), versions 0-2: has partitions led by the first of their replicas, or, uncleanly, by any that is there. The
 * record is changed when it is answered; the new leader takes over soon after.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { type ElectLeadersRequest, electLeadersApi } from '../protocol/messages/43-elect-leaders.ts'
import type { Topic } from '../topics/registry.ts'
import { indexesOf } from '../topics/topic-table.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, oncePerPartition } from './pace.ts'
import { outcomeOf } from './topic-checks.ts'

const PREFERRED = 0
const UNCLEAN = 1

export const electLeaders = defineApi(electLeadersApi, async (request, context) => {
  const { electionType } = request
  const isKnown = electionType === PREFERRED || electionType === UNCLEAN
  // The oldest version has neither a type nor a place to refuse one.
  const errorCode = isKnown ? ErrorCode.NONE : ErrorCode.INVALID_REQUEST
  const replicaElectionResults = isKnown ? await results(request, context) : []
  const body = { replicaElectionResults }
  return { body: context.version === 0 ? body : { ...body, errorCode } }
})

/** Of all partitions, if none are named, those that have an error: the others need no election. */
async function results(
  { topicPartitions, electionType }: ElectLeadersRequest,
  { broker, pace }: RequestContext,
) {
  const { registry } = broker
  const how = electionType === PREFERRED ? 'preferred' : 'unclean'
  if (topicPartitions === null) {
    const all = await eachPaced([...registry.topics], pace, async topic => {
      const indexes = indexesOf(topic).filter(index => needsOne(broker, topic, index, how))
      const partitionResult = await eachPaced(indexes, pace, index =>
        resultOf(broker, topic.name, index, how),
      )
      return { topic: topic.name, partitionResult }
    })
    return all.filter(({ partitionResult }) => partitionResult.length > 0)
  }
  const each = oncePerPartition(pace)
  return eachPaced(topicPartitions, pace, async ({ topic, partitions }) => ({
    topic,
    partitionResult: await each(
      topic,
      partitions,
      index => index,
      index => resultOf(broker, topic, index, how),
    ),
  }))
}

type How = 'preferred' | 'unclean'

/** Nobody leads it, or not the one that should. */
function needsOne({ cluster }: RequestContext['broker'], topic: Topic, index: number, how: How) {
  const { leader, replicas } = cluster.place(topic, index)
  return leader === -1 || (how === 'preferred' && leader !== replicas[0])
}

async function resultOf(
  broker: RequestContext['broker'],
  name: string,
  partitionId: number,
  how: How,
) {
  const topic = broker.registry.topic(name)
  if (topic === undefined || !broker.registry.has(name, partitionId)) {
    const errorMessage = `There is no partition ${name}-${partitionId}.`
    return { partitionId, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage }
  }
  const outcome = await outcomeOf(() => broker.cluster.elect(topic, partitionId, how), broker)
  return { partitionId, ...outcome }
}
