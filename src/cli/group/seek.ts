import { type Command, Option } from 'commander'
import { offsetCommitApi } from '../../protocol/messages/08-offset-commit.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, expectNone, usage } from '../base/failure.ts'
import { COMMIT_NAMES_VERSION_MAX, commitTopics, committedOffsets } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples, parsePartitions } from '../base/options.ts'
import { plural, print, table } from '../base/output.ts'
import { parseTime } from '../base/time.ts'
import { parseStart, rangesOf, type Start } from '../topic/ranges.ts'
import { findGroup, membershipOf, noGroup } from './groups.ts'

/** Commits of somebody who is no member. */
const NO_MEMBER = { memberId: '', generationIdOrMemberEpoch: -1 }

interface SeekFlags extends ClusterFlags {
  readonly partition?: readonly number[]
  readonly offset?: Start
  readonly from?: number
  readonly execute?: boolean
}

export function defineSeek(group: Command): void {
  const command = clusterCommand(
    group,
    'seek <group> [topics...]',
    'move the committed offsets of a group without members; shows what would change, and does it only with --execute',
  )
    .option('-p, --partition <numbers>', 'only these of each topic: 0,2,5-7', parsePartitions)
    .addOption(
      new Option(
        '-o, --offset <offset>',
        'beginning, end, an offset, or -N for N before the end',
      ).argParser(text => parseStart(text)),
    )
    .addOption(
      new Option('--from <time>', 'to the first record at or after it: 1h (ago), or an ISO time')
        .argParser(parseTime)
        .conflicts('offset'),
    )
    .option('--execute', 'do it')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nWithout topics, all of which the group has committed offsets.')
    .action(seek)
  examples(
    command,
    'odradek group seek billing orders --from 1h',
    'odradek group seek billing orders -p 0 -o 1500 --execute',
    'odradek group seek billing -o end --execute',
  )
}

interface Move {
  readonly topic: string
  readonly partition: number
  readonly from: number | null
  readonly to: number
}

async function seek(group: string, named: string[], flags: SeekFlags): Promise<void> {
  if (flags.offset === undefined && flags.from === undefined) {
    throw usage('group seek: where to? give --offset or --from')
  }
  await using cluster = await Cluster.connect(flags)
  await refuseMembers(cluster, group, named)
  const moves = await plan(cluster, group, named, flags)
  if (flags.execute) await commit(cluster, group, moves)
  const { execute = false } = flags
  print(flags.json, { group, executed: execute, partitions: moves }, () => {
    const rows = moves.map(m => [m.topic, m.partition, m.from, m.to])
    const outcome = execute ? `${group} moved` : 'Nothing is changed: add --execute to do it.'
    return `${table(['TOPIC', 'PARTITION', 'FROM', 'TO'], rows)}\n${outcome}`
  })
}

/** A member goes on from where it is, and then overwrites what was committed for it. */
async function refuseMembers(cluster: Cluster, group: string, named: string[]): Promise<void> {
  const listed = await findGroup(cluster, group)
  // With topics a group may be given offsets before its first member comes.
  if (listed === undefined && named.length === 0) throw noGroup(group)
  if (listed === undefined) return
  const { state, members } = await membershipOf(cluster, listed)
  if (members.length === 0) return
  const who = `${plural(members.length, 'member')} (${state})`
  throw new CliError(`group ${group} has ${who}: stop its consumers first, then seek`)
}

async function plan(
  cluster: Cluster,
  group: string,
  named: readonly string[],
  { offset = 'end', from, partition }: SeekFlags,
): Promise<Move[]> {
  const committed = await committedOffsets(cluster, group)
  const names = named.length > 0 ? named : [...new Set(committed.map(c => c.topic))].sort()
  if (names.length === 0)
    throw new CliError(`group ${group} has no committed offsets: name the topics`)
  const where = { start: offset, exitAtEnd: true, ...(from === undefined ? {} : { from }) }
  const moves: Move[] = []
  for (const name of names) {
    const ranges = await rangesOf(cluster, await cluster.topic(name, partition), where)
    for (const range of ranges.sort((a, b) => a.partition - b.partition)) {
      const old = committed.find(c => c.topic === name && c.partition === range.partition)
      const now = old === undefined || old.offset < 0 ? null : old.offset
      moves.push({ topic: name, partition: range.partition, from: now, to: range.offset })
    }
  }
  return moves
}

async function commit(cluster: Cluster, group: string, moves: readonly Move[]): Promise<void> {
  const topics = commitTopics(moves.map(move => ({ ...move, offset: move.to })))
  const request = { groupId: group, ...NO_MEMBER, topics }
  const client = await cluster.coordinator(group)
  const answer = await cluster.send(client, offsetCommitApi, request, COMMIT_NAMES_VERSION_MAX)
  for (const { name, partitions } of answer.topics) {
    for (const { partitionIndex, errorCode } of partitions) {
      expectNone(errorCode, `offset of group ${group} in ${name} partition ${partitionIndex}`)
    }
  }
}
