import type { Command } from 'commander'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { print } from '../base/output.ts'
import { deleteTopics } from '../base/topics.ts'

export function defineDelete(topic: Command): void {
  const command = clusterCommand(
    topic,
    'delete <topics...>',
    'delete topics with all their records, at once and without a question',
  )
    .option('--if-exists', 'a topic that does not exist is no error')
    .alias('rm')
    .option('--json', 'print JSON')
    .action(remove)
  examples(command, 'odradek topic delete orders', 'odradek topic delete a b c --if-exists')
}

async function remove(
  names: string[],
  flags: ClusterFlags & { ifExists?: boolean },
): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const deleted: string[] = []
  const problems: string[] = []
  for (const { name, errorCode, errorMessage } of await deleteTopics(cluster, names)) {
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
