import type { Command } from 'commander'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { deleteGroupsApi } from '../../protocol/messages/42-delete-groups.ts'
import { offsetDeleteApi } from '../../protocol/messages/47-offset-delete.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, expectNone, usage } from '../base/failure.ts'
import { committedOffsets } from '../base/offsets.ts'
import {
  type ClusterFlags,
  clusterCommand,
  collect,
  examples,
  parsePartitions,
  repeated,
} from '../base/options.ts'
import { plural, print } from '../base/output.ts'

const REASONS: Readonly<Record<number, string>> = {
  [ErrorCode.GROUP_ID_NOT_FOUND]: 'does not exist',
  [ErrorCode.NON_EMPTY_GROUP]: 'has members: stop its consumers first',
}

export function defineDelete(group: Command): void {
  const command = clusterCommand(
    group,
    'delete <groups...>',
    'delete groups without members, with their committed offsets, or only the offsets of some topics; at once and without a question',
  )
    .addOption(
      repeated(
        '--offsets <topic>',
        'only what is committed for the topic, to which no member may be subscribed',
        collect,
      ),
    )
    .option('-p, --partition <numbers>', 'of --offsets only these: 0,2,5-7', parsePartitions)
    .alias('rm')
    .option('--json', 'print JSON')
    .action(remove)
  examples(
    command,
    'odradek group delete billing',
    'odradek group delete billing --offsets orders -p 0',
  )
}

interface DeleteFlags extends ClusterFlags {
  readonly offsets: readonly string[]
  readonly partition?: readonly number[]
}

async function remove(names: string[], flags: DeleteFlags): Promise<void> {
  if (flags.offsets.length > 0) {
    if (names.length > 1) throw usage('group delete: --offsets is for one group at a time')
    await removeOffsets(names[0]!, flags)
    return
  }
  if (flags.partition) throw usage('group delete: -p goes with --offsets')
  await using cluster = await Cluster.connect(flags)
  const deleted: string[] = []
  const problems: string[] = []
  for (const name of names) {
    const client = await cluster.coordinator(name)
    const { results } = await cluster.send(client, deleteGroupsApi, { groupsNames: [name] })
    const { errorCode, errorMessage } = results[0]!
    const reason = REASONS[errorCode] ?? errorMessage ?? errorName(errorCode)
    if (errorCode === ErrorCode.NONE) deleted.push(name)
    else problems.push(`group ${name} ${reason}`)
  }
  // What is gone is said, also if another group failed.
  if (flags.json || deleted.length > 0) {
    print(flags.json, deleted, () => deleted.map(name => `${name} deleted`).join('\n'))
  }
  if (problems.length > 0) throw new CliError(problems.join('; '))
}

async function removeOffsets(group: string, flags: DeleteFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const found = (await committedOffsets(cluster, group)).filter(
    ({ topic, partition, offset }) =>
      offset >= 0 &&
      flags.offsets.includes(topic) &&
      (flags.partition?.includes(partition) ?? true),
  )
  const missing = flags.offsets.find(name => !found.some(({ topic }) => topic === name))
  if (missing !== undefined)
    throw new CliError(`group ${group} has committed nothing for ${missing}`)
  const topics = flags.offsets.map(name => ({
    name,
    partitions: found
      .filter(({ topic }) => topic === name)
      .map(({ partition }) => ({ partitionIndex: partition })),
  }))
  const client = await cluster.coordinator(group)
  const answer = await cluster.send(client, offsetDeleteApi, { groupId: group, topics })
  expectNone(answer.errorCode, `offsets of group ${group}`)
  for (const { name, partitions } of answer.topics) {
    for (const { partitionIndex, errorCode } of partitions) {
      const what = `offset of group ${group} in ${name} partition ${partitionIndex}`
      if (errorCode === ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC) {
        throw new CliError(`${what}: its members are subscribed to ${name}: stop them first`)
      }
      expectNone(errorCode, what)
    }
  }
  print(flags.json, found, () => `${plural(found.length, 'offset')} of ${group} deleted`)
}
