import type { Command } from 'commander'
import type { Client } from '../../client/client.ts'
import { describeGroupsApi } from '../../protocol/messages/15-describe-groups.ts'
import { consumerGroupDescribeApi } from '../../protocol/messages/69-consumer-group-describe.ts'
import { Cluster } from '../base/cluster.ts'
import { type Committed, committedAt, endsOf } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print, table } from '../base/output.ts'
import { isOfConsumers, type ListedGroup, listGroups } from './groups.ts'

/** Groups that are looked at side by side. */
const AT_ONCE = 100

export function defineList(group: Command): void {
  const command = clusterCommand(
    group,
    'list',
    'list groups with their members and lag (records between the committed offsets and the ends)',
  )
    .alias('ls')
    .option('--json', 'print JSON')
    .action(list)
  examples(command, 'odradek group list', "odradek group list --json | jq '.[] | select(.lag > 0)'")
}

interface Seen extends ListedGroup {
  /** null for groups that are not of consumers. */
  readonly members: number | null
  readonly committed: readonly Committed[]
}

async function list(flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const { brokers } = await cluster.metadata([])
  const ofEach = brokers.map(async b => seen(cluster, await cluster.broker(b.nodeId)))
  const groups = (await Promise.all(ofEach)).flat().sort((a, b) => (a.group < b.group ? -1 : 1))
  const topics = groups.flatMap(({ committed }) => committed.map(({ topic }) => topic))
  const ends = await endsOf(cluster, [...new Set(topics)])
  const found = groups.map(({ committed, ...group }) => {
    const lags = committed.flatMap(({ topic, partition, offset }) => {
      const end = ends.get(topic)?.get(partition)?.offset
      return offset < 0 || end === undefined ? [] : [Math.max(0, end - offset)]
    })
    const lag = lags.length === 0 ? null : lags.reduce((sum, each) => sum + each, 0)
    return { ...group, lag }
  })
  const rows = found.map(g => {
    return [g.group, g.type || null, g.state || null, g.protocolType || null, g.members, g.lag]
  })
  print(flags.json, found, () =>
    table(['GROUP', 'TYPE', 'STATE', 'PROTOCOL', 'MEMBERS', 'LAG'], rows),
  )
}

/** The groups that a broker keeps. */
async function seen(cluster: Cluster, broker: Client): Promise<Seen[]> {
  const groups = await listGroups(cluster, broker)
  const found: Seen[] = []
  for (let at = 0; at < groups.length; at += AT_ONCE) {
    const some = groups.slice(at, at + AT_ONCE)
    const counts = await memberCounts(cluster, broker, some)
    const all = some.map(async listed => ({
      ...listed,
      members: counts.get(listed.group) ?? null,
      committed: isOfConsumers(listed) ? await committedAt(cluster, broker, listed.group) : [],
    }))
    found.push(...(await Promise.all(all)))
  }
  return found
}

/** A group that is gone meanwhile has none. */
async function memberCounts(
  cluster: Cluster,
  broker: Client,
  groups: readonly ListedGroup[],
): Promise<ReadonlyMap<string, number>> {
  const namesOf = (isModern: boolean): string[] =>
    groups
      .filter(group => isOfConsumers(group) && (group.type === 'consumer') === isModern)
      .map(({ group }) => group)
  const [classic, modern] = [namesOf(false), namesOf(true)]
  const described = await Promise.all([
    classic.length === 0
      ? { groups: [] }
      : cluster.send(broker, describeGroupsApi, { groups: classic }),
    modern.length === 0
      ? { groups: [] }
      : cluster.send(broker, consumerGroupDescribeApi, { groupIds: modern }),
  ])
  const all = described.flatMap<{ groupId: string; members: readonly unknown[] }>(d => d.groups)
  return new Map(all.map(({ groupId, members }) => [groupId, members.length]))
}
