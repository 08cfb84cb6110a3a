import type { Command } from 'commander'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { createTopicsApi } from '../../protocol/messages/19-create-topics.ts'
import { Cluster } from '../base/cluster.ts'
import { expectNone } from '../base/failure.ts'
import {
  type ClusterFlags,
  clusterCommand,
  collectPairs,
  examples,
  integer,
} from '../base/options.ts'
import { plural, print } from '../base/output.ts'

interface CreateFlags extends ClusterFlags {
  /** -1: what the broker has as its default. */
  readonly partitions: number
  readonly replicas: number
  readonly config: readonly (readonly [string, string])[]
  readonly ifNotExists?: boolean
}

export function defineCreate(topic: Command): void {
  const command = clusterCommand(topic, 'create <topics...>', 'create topics')
    .option(
      '-p, --partitions <count>',
      "how many (default: the broker's)",
      integer(1, 1_000_000),
      -1,
    )
    .option('--replicas <count>', "copies of each (default: the broker's)", integer(1, 32_767), -1)
    .option('--config <name=value>', 'a topic config; may be given again', collectPairs, [])
    .option('--if-not-exists', 'a topic that exists is no error, and stays as it is')
    .option('--json', 'print JSON')
    .action(create)
  examples(
    command,
    'odradek topic create orders -p 6',
    'odradek topic create users --config cleanup.policy=compact --if-not-exists',
  )
}

async function create(names: string[], flags: CreateFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const configs = flags.config.map(([name, value]) => ({ name, value }))
  const { partitions: numPartitions, replicas: replicationFactor } = flags
  const topics = names.map(name => ({ name, numPartitions, replicationFactor, configs }))
  const request = { topics, timeoutMs: flags.timeout }
  const answer = await cluster.send(await cluster.controller(), createTopicsApi, request)
  const created = new Set<string>()
  for (const { name, errorCode, errorMessage } of answer.topics) {
    if (flags.ifNotExists && errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) continue
    expectNone(errorCode, `topic ${name} is not created`, errorMessage)
    created.add(name)
  }
  const found = await Promise.all(names.map(name => whenThere(cluster, name, created.has(name))))
  print(flags.json, found, () =>
    found
      .map(t => {
        const what = t.created ? 'created' : 'exists already'
        return `${t.name} ${what}: ${plural(t.partitions, 'partition')}, id ${t.id}`
      })
      .join('\n'),
  )
}

/** Kafka answers before all brokers know the topic: whoever is told that it exists is to be able to use it. */
async function whenThere(cluster: Cluster, name: string, created: boolean) {
  const isKnown = async () => {
    const { topics } = await cluster.metadata([name])
    return topics[0]?.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ? undefined : true
  }
  await cluster.until(isKnown, () => `topic ${name} is created but the broker does not show it`)
  const { topicId, partitions } = await cluster.topic(name)
  return { name, id: topicId, partitions: partitions.length, created }
}
