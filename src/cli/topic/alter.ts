import type { Command } from 'commander'
import { createPartitionsApi } from '../../protocol/messages/37-create-partitions.ts'
import { Cluster } from '../base/cluster.ts'
import { alterConfigs } from '../base/configs.ts'
import { expectNone, usage } from '../base/failure.ts'
import {
  type ClusterFlags,
  clusterCommand,
  collect,
  collectPairs,
  examples,
  integer,
  repeated,
} from '../base/options.ts'
import { print } from '../base/output.ts'

interface AlterFlags extends ClusterFlags {
  readonly partitions?: number
  readonly config: readonly (readonly [string, string])[]
  readonly unset: readonly string[]
}

export function defineAlter(topic: Command): void {
  const command = clusterCommand(
    topic,
    'alter <topic>',
    "add partitions, set or unset configs (keys of a topic's records may move to other partitions when there are more)",
  )
    .option('-p, --partitions <count>', 'how many there are to be', integer(1, 1_000_000))
    .addOption(repeated('-c, --config <name=value>', 'sets a config', collectPairs))
    .addOption(repeated('--unset <name>', "back to the broker's value", collect))
    .option('--json', 'print JSON')
    .action(alter)
  examples(
    command,
    'odradek topic alter orders -p 12',
    'odradek topic alter orders -c retention.ms=86400000 --unset max.message.bytes',
  )
}

async function alter(name: string, flags: AlterFlags): Promise<void> {
  const { partitions, config: set, unset } = flags
  const hasConfigs = set.length + unset.length > 0
  if (partitions === undefined && !hasConfigs) {
    throw usage('topic alter: nothing to do; give --partitions, --config or --unset')
  }
  await using cluster = await Cluster.connect(flags)
  await cluster.topic(name)
  // Configs first: they can be set again, partitions cannot be taken back.
  if (hasConfigs) await alterConfigs(cluster, 'topic', name, { set, unset })
  if (partitions !== undefined) await addPartitions(cluster, name, partitions)
  const done = {
    name,
    ...(partitions === undefined ? {} : { partitions }),
    set: Object.fromEntries(set),
    unset,
  }
  const parts = [
    ...(partitions === undefined ? [] : [`${partitions} partitions`]),
    ...set.map(([key, value]) => `${key}=${value}`),
    ...unset.map(key => `${key} unset`),
  ]
  print(flags.json, done, () => `${name}: ${parts.join(', ')}`)
}

async function addPartitions(cluster: Cluster, name: string, count: number): Promise<void> {
  const topics = [{ name, count, assignments: null }]
  const request = { topics, timeoutMs: cluster.timeoutMs, validateOnly: false }
  const client = await cluster.controller()
  const { results } = await cluster.send(client, createPartitionsApi, request)
  expectNone(results[0]!.errorCode, `partitions of ${name}`, results[0]!.errorMessage)
}
