import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { usage } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { plural, print, table } from '../base/output.ts'
import { finish, sizer } from './follow.ts'
import { idOf, type Moving, movingNow, reassign } from './reassignments.ts'
import { unthrottle } from './throttling.ts'

interface MovesFlags extends ClusterFlags {
  readonly wait?: boolean
  readonly cancel?: boolean
}

export function defineMovesCommand(parent: Command): void {
  const command = clusterCommand(parent, 'moves', 'partitions that are being moved')
    .option('--wait', 'until they are; then nothing is held to a rate any more')
    .option('--cancel', 'leave them where they were, and hold nothing to a rate any more')
    .option('--json', 'print JSON')
    .action(moves)
  examples(command, 'odradek cluster moves', 'odradek cluster moves --wait')
}

async function moves(flags: MovesFlags): Promise<void> {
  if (flags.wait && flags.cancel) throw usage('--wait does not go with --cancel')
  await using cluster = await Cluster.connect(flags)
  const found = await movingNow(cluster)
  let outcome = 'being moved'
  if (found.length > 0 && flags.cancel) {
    await reassign(
      cluster,
      found.map(one => ({ ...one, to: null })),
    )
    await unthrottle(cluster, found)
    outcome = 'left where they were'
  } else if (found.length > 0 && flags.wait && (await isOver(cluster, found))) outcome = 'moved'
  print(flags.json, found, () => {
    if (found.length === 0) return 'nothing is being moved'
    const rows = found.map(one => [
      ...[one.topic, one.partition, one.replicas.join()],
      ...[one.adding.join() || null, one.removing.join() || null],
    ])
    const header = ['TOPIC', 'PARTITION', 'REPLICAS', 'ADDING', 'REMOVING']
    return `${table(header, rows)}\n${plural(found.length, 'partition')} ${outcome}`
  })
}

async function isOver(cluster: Cluster, found: readonly Moving[]): Promise<boolean> {
  const { brokers } = await cluster.metadata([])
  const bytesOf = await sizer(cluster, brokers)
  const followed = found.map(one => ({ ...one, bytes: bytesOf(idOf(one)) }))
  return finish(cluster, followed, true)
}
