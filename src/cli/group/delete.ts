import type { Command } from 'commander'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { deleteGroupsApi } from '../../protocol/messages/42-delete-groups.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print } from '../base/output.ts'

const REASONS: Readonly<Record<number, string>> = {
  [ErrorCode.GROUP_ID_NOT_FOUND]: 'does not exist',
  [ErrorCode.NON_EMPTY_GROUP]: 'has members: stop its consumers first',
}

export function defineDelete(group: Command): void {
  const command = clusterCommand(
    group,
    'delete <groups...>',
    'delete groups without members, with their committed offsets, at once and without a question',
  )
    .option('--json', 'print JSON')
    .action(remove)
  examples(command, 'odradek group delete billing')
}

async function remove(names: string[], flags: ClusterFlags): Promise<void> {
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
