import type { Completed } from '../history.ts'
import type { Answer } from './workers.ts'

/**
 * Errors after which it is certain that nothing has happened, by the names that kafka-clients and librdkafka have for them.
 * NOT_LEADER_OR_FOLLOWER is none of them: a leader may answer it after it has appended (KAFKA-13574). Nor are librdkafka's fatal
 * errors of sequence numbers: it says them of messages that it may have delivered.
 */
const DEFINITE = new Set([
  ...['TopicAuthorizationException', 'GroupAuthorizationException', 'InvalidTopicException'],
  ...['UnknownTopicOrPartitionException', 'NotControllerException'],
  ...['OutOfOrderSequenceException', 'ProducerFencedException', 'InvalidProducerEpochException'],
  ...['RebalanceInProgressException', 'CommitFailedException', 'FencedInstanceIdException'],
  ...['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'TOPIC_EXCEPTION'],
  ...['UNKNOWN_TOPIC_OR_PART', '_UNKNOWN_TOPIC', '_UNKNOWN_PARTITION', 'NOT_CONTROLLER'],
  ...['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', '_ASSIGNMENT_LOST'],
])

export function outcomeOf({ error, nothingSent }: Answer): Completed {
  if (error === undefined) return 'ok'
  return nothingSent === true || DEFINITE.has(error) ? 'fail' : 'info'
}
