/**
 * ElectLeaders (43), versions 0-2: one broker leads all that it has, so that there is nothing to elect
 * (ELECTION_NOT_NEEDED), and nobody who could lead what is offline.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { type ElectLeadersRequest, electLeadersApi } from '../protocol/messages/43-elect-leaders.ts'
import type { Partition } from '../topics/partition.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, oncePerPartition } from './pace.ts'

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
  { broker: { registry }, pace }: RequestContext,
) {
  if (topicPartitions === null) {
    const all = await eachPaced([...registry.topics], pace, ({ name, partitions }) => {
      const offline = partitions.filter(partition => partition.offline !== null)
      const partitionResult = offline.map(p => resultOf(name, p.index, p, electionType))
      return { topic: name, partitionResult }
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
      index => resultOf(topic, index, registry.partition(topic, index), electionType),
    ),
  }))
}

function resultOf(
  topic: string,
  partitionId: number,
  partition: Partition | undefined,
  electionType: number,
) {
  if (partition === undefined) {
    const errorMessage = `There is no partition ${topic}-${partitionId}.`
    return { partitionId, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage }
  }
  if (partition.offline === null) {
    const errorMessage = 'The leader is the only replica already.'
    return { partitionId, errorCode: ErrorCode.ELECTION_NOT_NEEDED, errorMessage }
  }
  const errorCode =
    electionType === PREFERRED
      ? ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
      : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
  return { partitionId, errorCode, errorMessage: `It is offline: ${partition.offline}` }
}
