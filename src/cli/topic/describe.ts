import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { describeConfigs, isOwn } from '../base/configs.ts'
import { EARLIEST, LATEST, listOffsets } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { paint, print, table } from '../base/output.ts'

export function defineDescribe(topic: Command): void {
  const command = clusterCommand(
    topic,
    'describe <topics...>',
    'partitions, their leaders and offsets, and the configs that are set on the topic',
  )
    .option('--json', 'print JSON')
    .action(describe)
  examples(
    command,
    'odradek topic describe orders',
    'odradek topic describe orders payments --json',
  )
}

type Description = Awaited<ReturnType<typeof describeOne>>

async function describe(names: string[], flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const found: Description[] = []
  for (const name of names) found.push(await describeOne(cluster, name))
  print(flags.json, found, () => found.map(text).join('\n\n'))
}

async function describeOne(cluster: Cluster, name: string) {
  const topic = await cluster.topicAsItIs(name)
  const [starts, ends, configs] = await Promise.all([
    listOffsets(cluster, topic, EARLIEST),
    listOffsets(cluster, topic, LATEST),
    describeConfigs(cluster, 'topic', name),
  ])
  const partitions = topic.partitions.map(p => ({
    partition: p.partitionIndex,
    leader: p.leaderId,
    leaderEpoch: p.leaderEpoch,
    replicas: p.replicaNodes,
    isr: p.isrNodes,
    /** null without a leader, as -1 is the leader then. */
    start: starts.get(p.partitionIndex)?.offset ?? null,
    end: ends.get(p.partitionIndex)?.offset ?? null,
  }))
  return {
    name,
    id: topic.topicId,
    internal: topic.isInternal,
    configs: Object.fromEntries(configs.filter(isOwn).map(c => [c.name, c.value])),
    partitions: partitions.sort((a, b) => a.partition - b.partition),
  }
}

function text({ name, id, configs, partitions }: Description): string {
  const own = Object.entries(configs).map(([key, value]) => `${key}=${value}`)
  const rows = partitions.map(p => {
    const count = p.start === null || p.end === null ? null : p.end - p.start
    const offsets = [p.start, p.end, count]
    return [
      p.partition,
      p.leader < 0 ? null : p.leader,
      p.replicas.join(','),
      p.isr.join(','),
      ...offsets,
    ]
  })
  const header = ['PARTITION', 'LEADER', 'REPLICAS', 'ISR', 'START', 'END', 'OFFSETS']
  return [
    `${paint('bold', name)}  id ${id}`,
    `configs  ${own.length === 0 ? "only the broker's" : own.join(' ')}`,
    table(header, rows),
  ].join('\n')
}
