import type { Command } from 'commander'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { deleteTopicsApi } from '../../protocol/messages/20-delete-topics.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print } from '../base/output.ts'

/** DeleteTopics' last version for names; later ones want ids or names in another place. */
const NAMES_VERSION_MAX = 5

export function defineDelete(topic: Command): void {
  const command = clusterCommand(
    topic,
    'delete <topics...>',
    'delete topics with all their records, at once and without a question',
  )
    .option('--if-exists', 'a topic that does not exist is no error')
    .option('--json', 'print JSON')
    .action(remove)
  examples(command, 'odradek topic delete orders', 'odradek topic delete a b c --if-exists')
}

async function remove(
  names: string[],
  flags: ClusterFlags & { ifExists?: boolean },
): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const request = { topicNames: names, timeoutMs: flags.timeout }
  const client = await cluster.controller()
  const { responses } = await cluster.send(client, deleteTopicsApi, request, NAMES_VERSION_MAX)
  const deleted: string[] = []
  const problems: string[] = []
  for (const { name, errorCode, errorMessage } of responses) {
    const isUnknown = errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (errorCode === ErrorCode.NONE) deleted.push(name!)
    else if (isUnknown && !flags.ifExists) problems.push(`topic ${name} does not exist`)
    else if (!isUnknown) problems.push(`topic ${name}: ${errorMessage ?? errorName(errorCode)}`)
  }
  // What is gone is said, also if another topic failed.
  if (flags.json || deleted.length > 0) {
    print(flags.json, deleted, () => deleted.map(name => `${name} deleted`).join('\n'))
  }
  if (problems.length > 0) throw new CliError(problems.join('; '))
}
