import type { PartitionPlace } from '../cluster/view.ts'
import { BrokerError, type KafkaError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Partition } from '../topics/partition.ts'
import { topicNameProblem } from '../topics/topic-names.ts'
import type { RequestContext } from './handler.ts'
import { eachPaced, Once, type Pace } from './pace.ts'

type Broker = RequestContext['broker']

/** Partitions that one request may create, over all its topics: Kafka's bound. */
export const CREATED_PARTITIONS_MAX = 10_000

export const NO_ERROR = { errorCode: ErrorCode.NONE, errorMessage: null } as const

/** The keys that more than one of the items has. */
export async function duplicatesOf<T, K>(
  items: readonly T[],
  pace: Pace,
  keyOf: (item: T) => K,
): Promise<Set<K>> {
  const once = new Once()
  const twice = new Set<K>()
  await eachPaced(items, pace, item => {
    const key = keyOf(item)
    if (!once.isFirst(key)) twice.add(key)
  })
  return twice
}

/** Runs one item of a request: what it throws becomes that item's error, the others go on. */
export async function outcomeOf(
  run: () => unknown,
  { log }: Broker,
): Promise<KafkaError | typeof NO_ERROR> {
  try {
    await run()
    return NO_ERROR
  } catch (error) {
    return toKafkaError(error, log)
  }
}

/**
 * The partition, if it is led here and can be worked with.
 * @throws BrokerError UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR
 */
export function onlinePartition(broker: Broker, topic: string, index: number): Partition {
  const { registry } = broker
  const found = registry.led(registry.topic(topic), index)
  if (typeof found === 'number') {
    const isElsewhere = found === ErrorCode.NOT_LEADER_OR_FOLLOWER
    const message = isElsewhere
      ? `Partition ${index} of topic '${topic}' is led by another broker.`
      : `There is no partition ${index} of topic '${topic}'.`
    throw new BrokerError(found, message)
  }
  throwIfOffline(found)
  return found
}

/** Who leads and holds a partition, as Metadata and DescribeTopicPartitions tell it. */
export function tellPlace(
  { leader, epoch, replicas, isr, offline }: PartitionPlace,
  partitionIndex: number,
) {
  return {
    errorCode: leader === -1 ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.NONE,
    partitionIndex,
    leaderId: leader,
    leaderEpoch: epoch,
    replicaNodes: replicas,
    isrNodes: isr,
    offlineReplicas: offline,
  }
}

/** @throws BrokerError KAFKA_STORAGE_ERROR */
export function throwIfOffline(partition: Partition): void {
  if (partition.offline === null) return
  const message = `Partition ${partition.name} is offline: ${partition.offline}`
  throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, message)
}

/**
 * Has the partition's worker do something. If it fails because the partition goes offline, or is deleted, meanwhile,
 * that is the error.
 * @throws BrokerError
 */
export async function onWorker<T>(partition: Partition, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throwIfOffline(partition)
    if (!partition.isDeleted) throw error
    const message = `Topic '${partition.topic}' has been deleted meanwhile.`
    throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
}

/** @throws BrokerError INVALID_TOPIC_EXCEPTION */
export function checkTopicName(name: string): void {
  const problem = topicNameProblem(name)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)
}

/** @throws BrokerError POLICY_VIOLATION */
export function checkCreatedPartitions(count: number): void {
  if (count <= CREATED_PARTITIONS_MAX) return
  const message = `The request asks for ${count} partitions; one request may create at most ${CREATED_PARTITIONS_MAX}.`
  throw new BrokerError(ErrorCode.POLICY_VIOLATION, message)
}
