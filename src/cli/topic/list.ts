import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print, table } from '../base/output.ts'

export function defineList(topic: Command): void {
  const command = clusterCommand(topic, 'list', 'list topics')
    .option('--internal', 'also those that brokers keep for themselves')
    .option('--json', 'print JSON')
    .action(list)
  examples(
    command,
    'odradek topic list -b 127.0.0.1:9092',
    "odradek topic list --json | jq '.[].name'",
  )
}

async function list(flags: ClusterFlags & { internal?: boolean }): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const { topics } = await cluster.metadata(null)
  const found = topics
    .filter(topic => flags.internal || !topic.isInternal)
    .map(({ name, topicId, partitions, isInternal }) => ({
      name: name!,
      id: topicId,
      partitions: partitions.length,
      replicas: partitions[0]?.replicaNodes.length ?? 0,
      internal: isInternal,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const rows = found.map(t => [t.name, t.partitions, t.replicas])
  print(flags.json, found, () => table(['TOPIC', 'PARTITIONS', 'REPLICAS'], rows))
}
