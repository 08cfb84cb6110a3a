import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print, table } from '../base/output.ts'
import { listGroups } from './groups.ts'

export function defineList(group: Command): void {
  const command = clusterCommand(group, 'list', 'list groups')
    .option('--json', 'print JSON')
    .action(list)
  examples(command, 'odradek group list')
}

async function list(flags: ClusterFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const { brokers } = await cluster.metadata([])
  const ofEach = brokers.map(async b => listGroups(cluster, await cluster.broker(b.nodeId)))
  const found = (await Promise.all(ofEach)).flat().sort((a, b) => (a.group < b.group ? -1 : 1))
  const rows = found.map(g => [g.group, g.type || null, g.state || null, g.protocolType || null])
  print(flags.json, found, () => table(['GROUP', 'TYPE', 'STATE', 'PROTOCOL'], rows))
}
