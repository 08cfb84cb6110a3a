import { ErrorCode } from '../../protocol/error-codes.ts'
import {
  type CreateTopicsResponse,
  createTopicsApi,
} from '../../protocol/messages/19-create-topics.ts'
import {
  type DeleteTopicsResponse,
  deleteTopicsApi,
} from '../../protocol/messages/20-delete-topics.ts'
import type { Cluster, TopicMetadata } from './cluster.ts'

/** DeleteTopics' last version for names; later ones want ids or names in another place. */
const NAMES_VERSION_MAX = 5

export interface NewTopic {
  /** -1: what the broker has as its default. */
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configs: readonly { readonly name: string; readonly value: string }[]
}

/** What the controller answers for each. */
export async function createTopics(
  cluster: Cluster,
  names: readonly string[],
  topic: NewTopic,
): Promise<CreateTopicsResponse['topics']> {
  const request = { topics: names.map(name => ({ name, ...topic })), timeoutMs: cluster.timeoutMs }
  return (await cluster.send(await cluster.controller(), createTopicsApi, request)).topics
}

/** Kafka answers before all brokers know the topic: whoever is told that it exists is to be able to use it. */
export async function whenThere(cluster: Cluster, name: string): Promise<TopicMetadata> {
  const isKnown = async () => {
    const { topics } = await cluster.metadata([name])
    return topics[0]?.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ? undefined : true
  }
  await cluster.until(isKnown, () => `topic ${name} is created but the broker does not show it`)
  return cluster.topic(name)
}

/** What the controller answers for each. */
export async function deleteTopics(
  cluster: Cluster,
  topicNames: readonly string[],
): Promise<DeleteTopicsResponse['responses']> {
  const request = { topicNames, timeoutMs: cluster.timeoutMs }
  const client = await cluster.controller()
  return (await cluster.send(client, deleteTopicsApi, request, NAMES_VERSION_MAX)).responses
}
