import type { Command } from 'commander'
import { groupBy } from '../../group-by.ts'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { electLeadersApi } from '../../protocol/messages/43-elect-leaders.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, EXIT, expectNone, usage } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples, parsePartitions } from '../base/options.ts'
import { plural, print, table } from '../base/output.ts'
import { namesOf, PATTERN_HELP } from '../base/topic-names.ts'

interface ElectFlags extends ClusterFlags {
  readonly all?: boolean
  readonly partition?: readonly number[]
  readonly unclean?: boolean
}

const PREFERRED = 0
const UNCLEAN = 1

/** What became of one partition. `not needed`: it is led as it should be. */
interface Elected {
  readonly topic: string
  readonly partition: number
  readonly result: 'elected' | 'not needed' | 'failed'
  readonly reason: string | null
}

export function defineElect(parent: Command): void {
  const command = clusterCommand(
    parent,
    'elect [topics...]',
    'have partitions led by the first of their replicas again, as after a restart of brokers',
  )
    .option('--all', 'of all topics')
    .option('-p, --partition <numbers>', 'only these: 0,2,5-7', parsePartitions)
    .option(
      '--unclean',
      'have those without a leader led by any replica that is there, in sync or not: what only others have is lost',
    )
    .option('--json', 'print JSON')
    .action(elect)
  examples(
    command.addHelpText('after', `\nOf topics: ${PATTERN_HELP}.`),
    'odradek cluster elect --all',
    'odradek cluster elect orders -p 0-3',
    'odradek cluster elect orders -p 2 --unclean',
  )
}

async function elect(topics: readonly string[], flags: ElectFlags): Promise<void> {
  if (topics.length > 0 === (flags.all === true)) {
    throw usage('cluster elect: name topics, or give --all')
  }
  if (flags.partition !== undefined && flags.all) throw usage('-p does not go with --all')
  await using cluster = await Cluster.connect(flags)
  const elected = await ask(cluster, topics, flags)
  const done = elected.filter(({ result }) => result === 'elected').length
  print(flags.json, elected, () => {
    const said = `${plural(done, 'leader')} elected`
    if (elected.length === 0) return said
    const rows = elected.map(one => [one.topic, one.partition, one.result, one.reason])
    return `${table(['TOPIC', 'PARTITION', 'RESULT', 'REASON'], rows)}\n${said}`
  })
  const failed = elected.filter(({ result }) => result === 'failed').length
  if (failed > 0) {
    throw new CliError(`${failed} of ${elected.length} could not be elected`, EXIT.failed)
  }
}

/** Has these led by the first of their replicas now; the cluster itself does so in a while. */
export async function electFirst(
  cluster: Cluster,
  moved: readonly { readonly topic: string; readonly partition: number }[],
): Promise<void> {
  const topicPartitions = [...groupBy(moved, ({ topic }) => topic)].map(([topic, some]) => {
    return { topic, partitions: some.map(({ partition }) => partition) }
  })
  const request = { electionType: PREFERRED, topicPartitions, timeoutMs: cluster.timeoutMs }
  const { errorCode } = await cluster.send(await cluster.controller(), electLeadersApi, request)
  expectNone(errorCode, 'preferred leaders')
}

/** Of all topics those are answered that needed an election. */
async function ask(
  cluster: Cluster,
  names: readonly string[],
  { partition, unclean = false }: ElectFlags,
): Promise<Elected[]> {
  const topicPartitions =
    names.length === 0
      ? null
      : await Promise.all(
          (await namesOf(cluster, names)).map(async topic => {
            const { partitions } = await cluster.topicAsItIs(topic)
            const all = partitions.map(p => p.partitionIndex).sort((a, b) => a - b)
            return { topic, partitions: [...(partition ?? all)] }
          }),
        )
  const controller = await cluster.controller()
  const answer = await cluster.send(controller, electLeadersApi, {
    electionType: unclean ? UNCLEAN : PREFERRED,
    topicPartitions,
    timeoutMs: cluster.timeoutMs,
  })
  expectNone(answer.errorCode, 'cluster elect')
  return answer.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
    partitionResult.map(({ partitionId, errorCode, errorMessage }) => ({
      topic,
      partition: partitionId,
      ...outcomeOf(errorCode, errorMessage),
    })),
  )
}

function outcomeOf(errorCode: number, message: string | null): Pick<Elected, 'result' | 'reason'> {
  if (errorCode === ErrorCode.NONE) return { result: 'elected', reason: null }
  if (errorCode === ErrorCode.ELECTION_NOT_NEEDED) return { result: 'not needed', reason: null }
  const name = errorName(errorCode)
  return { result: 'failed', reason: message ? `${message} (${name})` : name }
}
