import type { Command } from 'commander'
import { ClientError } from '../../client/client.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { topicsOn } from '../base/log-dirs.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { bytesText, print, table } from '../base/output.ts'
import { note } from '../base/progress.ts'
import { namesOf, PATTERN_HELP } from '../base/topic-names.ts'

export function defineList(topic: Command): void {
  const command = clusterCommand(
    topic,
    'list [topics...]',
    `list topics, all or those named, with the size of all their replicas on disk; ${PATTERN_HELP}`,
  )
    .alias('ls')
    .option('-i, --internal', 'also those that brokers keep for themselves')
    .option('--json', 'print JSON')
    .action(list)
  examples(
    command,
    'odradek topic list -b 127.0.0.1:9092',
    "odradek topic list '^log-'",
    "odradek topic list --json | jq '.[].name'",
  )
}

async function list(
  asked: readonly string[],
  flags: ClusterFlags & { internal?: boolean },
): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const names = asked.length === 0 ? null : await namesOf(cluster, asked)
  const { topics, brokers } = await cluster.metadata(names)
  for (const { name, errorCode } of topics) expectNone(errorCode, `topic ${name}`)
  const sizes = await sizesOf(
    cluster,
    brokers.map(broker => broker.nodeId),
  )
  const found = topics
    .filter(topic => flags.internal || names !== null || !topic.isInternal)
    .map(({ name, topicId, partitions, isInternal }) => ({
      name: name!,
      id: topicId,
      partitions: partitions.length,
      replicas: partitions[0]?.replicaNodes.length ?? 0,
      bytes: sizes.get(name!) ?? null,
      internal: isInternal,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const rows = found.map(t => [
    t.name,
    t.partitions,
    t.replicas,
    t.bytes === null ? null : bytesText(t.bytes),
  ])
  print(flags.json, found, () => table(['TOPIC', 'PARTITIONS', 'REPLICAS', 'SIZE'], rows))
}

/** Bytes by topic, on all brokers together. A broker that does not say them is no reason to list nothing. */
async function sizesOf(cluster: Cluster, brokers: readonly number[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  const asks = brokers.map(async id => {
    for (const { name, partitions } of await topicsOn(cluster, id)) {
      const bytes = partitions.reduce((sum, p) => sum + p.partitionSize, sizes.get(name) ?? 0)
      sizes.set(name, bytes)
    }
  })
  try {
    await Promise.all(asks)
    return sizes
  } catch (error) {
    if (!(error instanceof CliError || error instanceof ClientError)) throw error
    note(`sizes are not known: ${error.message}`)
    return new Map()
  }
}
