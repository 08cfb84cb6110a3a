import { produceApi } from '../../protocol/messages/00-produce.ts'
import { describeConfigsApi } from '../../protocol/messages/32-describe-configs.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { RESOURCE } from '../base/configs.ts'
import { type Finding, fail, named, ok, skip } from './health.ts'

const KEY = 'min.insync.replicas'
/** Topics whose configs are asked for at once. */
const TOPICS_MAX = 1_000
/** Of Kafka 3.7, the first release that asks for no more replicas than a partition has (KAFKA-15583). */
const BOUNDED_PRODUCE_VERSION = 10

/** Partitions to which writing with acks=all is refused: fewer replicas in sync than min.insync.replicas asks for. */
export async function minIsrFinding(
  cluster: Cluster,
  topics: readonly TopicMetadata[],
): Promise<Finding> {
  const check = 'acks=all'
  const required = await requiredReplicas(cluster, topics)
  if (required.size === 0 && topics.length > 0) return skip(check, `no topic tells its ${KEY}`)
  const isBounded = cluster.any.versionFor(produceApi) >= BOUNDED_PRODUCE_VERSION
  const refused: string[] = []
  const bounded = new Set<string>()
  for (const { name, partitions } of topics) {
    const asked = required.get(name!) ?? 1
    for (const { partitionIndex, leaderId, isrNodes, replicaNodes } of partitions) {
      if (leaderId < 0) continue
      const replicas = replicaNodes.length
      if (isrNodes.length < (isBounded ? Math.min(asked, replicas) : asked)) {
        refused.push(`${name}-${partitionIndex}`)
      } else if (asked > replicas) bounded.add(name!)
    }
  }
  if (refused.length > 0) {
    return fail(
      check,
      `refused by ${refused.length}, whose replicas in sync are fewer than ${KEY}: ${named(refused)}`,
      `bring their brokers back (odradek cluster info), or lower ${KEY} (odradek config set)`,
    )
  }
  if (bounded.size === 0) return ok(check, 'refused by no partition')
  const why = `${KEY} is more than the replicas of ${named([...bounded])}, and counts as no more`
  return ok(check, `refused by no partition; ${why}`)
}

/** What is set for each topic, for those whose configs can be read. */
async function requiredReplicas(
  cluster: Cluster,
  topics: readonly TopicMetadata[],
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (let i = 0; i < topics.length; i += TOPICS_MAX) {
    const resources = topics.slice(i, i + TOPICS_MAX).map(({ name }) => ({
      resourceType: RESOURCE.topic,
      resourceName: name!,
      configurationKeys: [KEY],
    }))
    const { results } = await cluster.send(cluster.any, describeConfigsApi, { resources })
    for (const { resourceName, configs } of results) {
      const value = configs.find(({ name }) => name === KEY)?.value
      if (value != null) found.set(resourceName, Number(value))
    }
  }
  return found
}
