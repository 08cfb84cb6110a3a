import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { committedOffsets, endsOf } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { paint, plural, print, table } from '../base/output.ts'
import { findGroup, type Member, membershipOf, noGroup } from './groups.ts'

export function defineDescribe(group: Command): void {
  const command = clusterCommand(
    group,
    'describe <groups...>',
    'state, members, and how far each partition is read (lag: records between the committed offset and the end)',
  )
    .option('--json', 'print JSON')
    .action(describe)
  examples(
    command,
    'odradek group describe billing',
    "odradek group describe billing --json | jq '.[].lag'",
  )
}

interface PartitionLag {
  readonly topic: string
  readonly partition: number
  readonly committed: number | null
  readonly end: number | null
  readonly lag: number | null
  readonly member: string | null
}

type Description = Awaited<ReturnType<typeof describeOne>>

async function describe(names: string[], flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const found: Description[] = []
  for (const name of names) found.push(await describeOne(cluster, name))
  print(flags.json, found, () => found.map(text).join('\n\n'))
}

async function describeOne(cluster: Cluster, group: string) {
  const listed = await findGroup(cluster, group)
  if (listed === undefined) throw noGroup(group)
  const membership = await membershipOf(cluster, listed)
  const partitions = await lags(cluster, group, membership.members)
  const lag = partitions.reduce((sum, p) => sum + (p.lag ?? 0), 0)
  return { group, type: listed.type || 'classic', ...membership, lag, partitions }
}

/** Partitions with a committed offset or a member. */
async function lags(
  cluster: Cluster,
  group: string,
  members: readonly Member[],
): Promise<PartitionLag[]> {
  const committed = new Map<string, Map<number, number>>()
  for (const { topic, partition, offset } of await committedOffsets(cluster, group)) {
    if (!committed.has(topic)) committed.set(topic, new Map())
    committed.get(topic)!.set(partition, offset)
  }
  const holders = holdersOf(members)
  const topics = [...new Set([...committed.keys(), ...holders.keys()])].sort()
  const ends = await endsOf(cluster, topics)
  return topics.flatMap(topic => {
    const offsets = committed.get(topic)
    const held = holders.get(topic)
    const indexes = new Set([...(offsets?.keys() ?? []), ...(held?.keys() ?? [])])
    return [...indexes]
      .sort((a, b) => a - b)
      .map(partition => {
        const offset = offsets?.get(partition) ?? -1
        const end = ends.get(topic)?.get(partition)?.offset ?? null
        return {
          topic,
          partition,
          committed: offset < 0 ? null : offset,
          end,
          lag: offset < 0 || end === null ? null : Math.max(0, end - offset),
          member: held?.get(partition) ?? null,
        }
      })
  })
}

function holdersOf(members: readonly Member[]): Map<string, Map<number, string>> {
  const holders = new Map<string, Map<number, string>>()
  for (const { id, assigned } of members) {
    for (const { topic, partitions } of assigned ?? []) {
      if (!holders.has(topic)) holders.set(topic, new Map())
      for (const partition of partitions) holders.get(topic)!.set(partition, id)
    }
  }
  return holders
}

function text({ group, type, state, protocol, members, lag, partitions }: Description): string {
  const of = protocol === '' ? `${type} group` : `${type} group, ${protocol}`
  const sums = `${plural(members.length, 'member')}, lag ${lag.toLocaleString('en')}`
  const parts = [`${paint('bold', group)}  ${state}, ${of}, ${sums}`]
  if (partitions.length > 0) {
    const rows = partitions.map(p => [p.topic, p.partition, p.committed, p.end, p.lag, p.member])
    parts.push(table(['TOPIC', 'PARTITION', 'COMMITTED', 'END', 'LAG', 'MEMBER'], rows))
  }
  if (members.length > 0) {
    const rows = members.map(m => {
      const count = m.assigned?.reduce((sum, t) => sum + t.partitions.length, 0) ?? null
      return [m.id, m.clientId, m.host, m.instanceId, count]
    })
    parts.push(table(['MEMBER', 'CLIENT', 'HOST', 'INSTANCE', 'PARTITIONS'], rows))
  }
  return parts.join('\n')
}
