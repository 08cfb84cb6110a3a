import { type Command, Option } from 'commander'
import { deleteRecordsApi } from '../../protocol/messages/21-delete-records.ts'
import { Cluster } from '../base/cluster.ts'
import { expectNone, usage } from '../base/failure.ts'
import type { Range } from '../base/fetch.ts'
import { EARLIEST, listOffsets } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples, parsePartitions } from '../base/options.ts'
import { print, table } from '../base/output.ts'
import { parseTime } from '../base/time.ts'
import { parseStart, rangesOf, type Start } from './ranges.ts'

interface TrimFlags extends ClusterFlags {
  readonly partition?: readonly number[]
  readonly offset?: Start
  readonly before?: number
  readonly execute?: boolean
}

export function defineTrim(topic: Command): void {
  const command = clusterCommand(
    topic,
    'trim <topic>',
    'delete the records before an offset or a time, for good; shows what would go, and does it only with --execute',
  )
    .option('-p, --partition <numbers>', 'only of these: 0,2,5-7', parsePartitions)
    .addOption(
      new Option(
        '-o, --offset <offset>',
        'the first one that stays: an offset, -N to keep the last N of each partition, or end to keep none',
      ).argParser(text => parseStart(text)),
    )
    .addOption(
      new Option('--before <time>', 'what is before the first record at or after it: 7d (ago), ...')
        .argParser(parseTime)
        .conflicts('offset'),
    )
    .option('--execute', 'do it')
    .option('--json', 'print JSON')
    .action(trim)
  examples(
    command,
    'odradek topic trim orders --before 7d',
    'odradek topic trim orders -p 0 -o 1500 --execute',
    'odradek topic trim orders -o end --execute',
  )
}

async function trim(name: string, flags: TrimFlags): Promise<void> {
  const { offset, before, partition, execute = false } = flags
  if (offset === undefined && before === undefined) {
    throw usage('topic trim: up to where? give --offset or --before')
  }
  await using cluster = await Cluster.connect(flags)
  const topic = await cluster.topic(name, partition)
  const where = before === undefined ? {} : { from: before }
  const asked = { start: offset ?? 'end', exitAtEnd: true, ...where } as const
  const [starts, ranges] = await Promise.all([
    listOffsets(cluster, topic, EARLIEST),
    rangesOf(cluster, topic, asked),
  ])
  if (execute) await deleteBefore(cluster, name, ranges)
  const found = ranges
    .map(({ partition, offset: to }) => ({ partition, from: starts.get(partition)!.offset, to }))
    .sort((a, b) => a.partition - b.partition)
  print(flags.json, { topic: name, executed: execute, partitions: found }, () => {
    const rows = found.map(p => [p.partition, p.from, p.to, p.to - p.from])
    const outcome = execute ? `${name} trimmed` : 'Nothing is changed: add --execute to do it.'
    return `${table(['PARTITION', 'START', 'NEW START', 'OFFSETS'], rows)}\n${outcome}`
  })
}

async function deleteBefore(
  cluster: Cluster,
  name: string,
  ranges: readonly Range[],
): Promise<void> {
  for (const leader of new Set(ranges.map(range => range.leaderId))) {
    const partitions = ranges
      .filter(range => range.leaderId === leader)
      .map(({ partition, offset }) => ({ partitionIndex: partition, offset }))
    const request = { topics: [{ name, partitions }], timeoutMs: cluster.timeoutMs }
    const answer = await cluster.send(await cluster.broker(leader), deleteRecordsApi, request)
    for (const { partitionIndex, errorCode } of answer.topics[0]!.partitions) {
      expectNone(errorCode, `${name} partition ${partitionIndex} is not trimmed`)
    }
  }
}
