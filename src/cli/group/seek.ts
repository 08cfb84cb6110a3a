import { type Command, Option } from 'commander'
import { offsetCommitApi } from '../../protocol/messages/08-offset-commit.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, expectNone, usage } from '../base/failure.ts'
import {
  COMMIT_NAMES_VERSION_MAX,
  type Committed,
  commitTopics,
  committedOffsets,
} from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples, parsePartitions } from '../base/options.ts'
import { plural, print, table } from '../base/output.ts'
import { parseTime } from '../base/time.ts'
import { parseStart, rangesOf, type Start } from '../topic/ranges.ts'
import { findGroup, membershipOf, noGroup } from './groups.ts'
import { readOffsets } from './offsets-file.ts'

/** Commits of somebody who is no member. */
const NO_MEMBER = { memberId: '', generationIdOrMemberEpoch: -1 }

interface SeekFlags extends ClusterFlags {
  readonly partition?: readonly number[]
  readonly offset?: Start
  readonly from?: number
  readonly toGroup?: string
  readonly toFile?: string
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
    .addOption(
      new Option('--to-group <group>', 'to what another group has committed').conflicts([
        'offset',
        'from',
      ]),
    )
    .addOption(
      new Option(
        '--to-file <file>',
        'to the offsets of a file (- is stdin): what describe --json prints, or lines TOPIC,PARTITION,OFFSET',
      ).conflicts(['offset', 'from', 'toGroup']),
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
    'odradek group seek billing-new --to-group billing --execute',
    'odradek group describe billing --json > saved; odradek group seek billing --to-file saved',
  )
}

interface Move {
  readonly topic: string
  readonly partition: number
  readonly from: number | null
  readonly to: number
}

async function seek(group: string, named: string[], flags: SeekFlags): Promise<void> {
  const { offset, from, toGroup, toFile } = flags
  if ([offset, from, toGroup, toFile].every(place => place === undefined)) {
    throw usage('group seek: where to? give --offset, --from, --to-group or --to-file')
  }
  const inFile = toFile === undefined ? null : await readOffsets(toFile)
  await using cluster = await Cluster.connect(flags)
  const targets = toGroup === undefined ? inFile : await committedBy(cluster, toGroup)
  await refuseMembers(cluster, group, targets?.map(({ topic }) => topic) ?? named)
  const moves = await plan(cluster, group, named, flags, targets)
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
  targets: readonly Committed[] | null,
): Promise<Move[]> {
  const committed = await committedOffsets(cluster, group)
  const known = (targets ?? committed).map(({ topic }) => topic)
  const names = named.length > 0 ? named : [...new Set(known)].sort()
  if (names.length === 0)
    throw new CliError(`group ${group} has no committed offsets: name the topics`)
  const where = { start: offset, exitAtEnd: true, ...(from === undefined ? {} : { from }) }
  const moves: Move[] = []
  for (const name of names) {
    const ofTopic = targets?.filter(({ topic }) => topic === name)
    const stored = new Map(ofTopic?.map(target => [target.partition, target.offset]))
    const only = ofTopic === undefined ? partition : [...stored.keys()].filter(isAsked(partition))
    const topic = await cluster.topic(name, only)
    const ranges = await rangesOf(cluster, topic, { ...where, stored })
    for (const range of ranges.sort((a, b) => a.partition - b.partition)) {
      const old = committed.find(c => c.topic === name && c.partition === range.partition)
      const now = old === undefined || old.offset < 0 ? null : old.offset
      moves.push({ topic: name, partition: range.partition, from: now, to: range.offset })
    }
  }
  if (moves.length === 0) throw new CliError(`group ${group}: there is no such partition to move`)
  return moves
}

const isAsked = (only: readonly number[] | undefined) => (partition: number) =>
  only?.includes(partition) ?? true

async function committedBy(cluster: Cluster, group: string): Promise<Committed[]> {
  const found = (await committedOffsets(cluster, group)).filter(({ offset }) => offset >= 0)
  if (found.length === 0) throw new CliError(`group ${group} has committed nothing`)
  return found
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
