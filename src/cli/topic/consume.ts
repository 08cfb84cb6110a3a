import { type Command, Option } from 'commander'
import type { RE2JS } from 're2js'
import { Cluster, type TopicMetadata } from '../base/cluster.ts'
import { parseDelimiter } from '../base/escapes.ts'
import { usage } from '../base/failure.ts'
import { type Committed, committedOffsets, offsetsIn } from '../base/offsets.ts'
import {
  type ClusterFlags,
  collect,
  examples,
  integer,
  parsePartitions,
  repeated,
  waitOption,
  withCluster,
} from '../base/options.ts'
import { Patience } from '../base/patience.ts'
import { note, showProgress } from '../base/progress.ts'
import { parseTime } from '../base/time.ts'
import { namesOf, PATTERN_HELP, parseRegex } from '../base/topic-names.ts'
import { Consumer } from './consumer.ts'
import { type Format, jsonFormat, lineFormat, parseFormat } from './format.ts'
import { consumeAsMember } from './group-consume.ts'
import { printer, progressOf } from './printing.ts'
import { parseSpan, rangesOf, type Span } from './ranges.ts'

interface ConsumeFlags extends ClusterFlags {
  readonly topic: readonly string[]
  readonly partition?: readonly number[]
  readonly offset?: Span | 'stored'
  readonly group?: string
  readonly from?: number
  readonly to?: number
  readonly exit?: boolean
  readonly count?: number
  readonly grep?: RE2JS
  readonly keyDelimiter?: string
  readonly format?: Format
  readonly pretty?: boolean
  readonly wait: number
}

export function define(consume: Command): void {
  const command = withCluster(consume)
    .description(`print records, and go on as they come; ${PATTERN_HELP}`)
    .argument('[topics...]')
    .addOption(repeated('-t, --topic <topic>', 'a topic, as the arguments', collect))
    .option('-p, --partition <numbers>', 'only these of each topic: 0,2,5-7', parsePartitions)
    .addOption(
      new Option(
        '-o, --offset <offset>',
        'beginning, end, an offset, -N for the last N of each partition, FROM:TO of these, or stored: what --group has committed (default: beginning)',
      ).argParser(parseOffset),
    )
    .option(
      '-g, --group <group>',
      'share the partitions with the other members of the group, from what it has committed (else -o beginning or end), and commit what is printed; with -o stored the group is only looked at',
    )
    .addOption(
      new Option('--from <time>', 'from the first record at or after it: 1h (ago), or an ISO time')
        .argParser(parseTime)
        .conflicts('offset'),
    )
    .option('--to <time>', 'up to the first record at or after it, and exit', parseTime)
    .option('-e, --exit', 'exit at what is the end when it starts')
    .option('-c, --count <count>', 'exit after so many printed records', integer(1))
    .option(
      '--grep <regex>',
      'only records whose key or value matches (RE2; (?i) for any case)',
      parseRegex,
    )
    .option('-K, --key-delimiter <text>', 'print the key too, with this behind it', parseDelimiter)
    .addOption(
      new Option(
        '-f, --format <format>',
        '%t topic %p partition %o offset %k key %s value %h headers %T time %K %S their lengths, %k{hex} %s{base64} %T{iso}, and \\n \\t',
      )
        .argParser(parseFormat)
        .conflicts('keyDelimiter'),
    )
    .addOption(
      new Option('--pretty', 'values that are JSON on several lines').conflicts(['format', 'json']),
    )
    .addOption(
      new Option('--json', 'one object a line, which produce --json reads').conflicts([
        'format',
        'keyDelimiter',
      ]),
    )
    .addOption(waitOption())
    .action(run)
  examples(
    command,
    'odradek topic consume orders -e',
    'odradek topic consume orders -o -10 -c 10 --pretty',
    "odradek topic consume orders '^log-' --from 1h --grep '(?i)refused' --json",
    'odradek topic consume orders -p 0,2 -o 100:200',
    'odradek topic consume orders --group billing',
    'odradek topic consume orders -o stored --group billing -e',
    "odradek topic consume orders -f '%p %o %T{iso} %k=%s{hex}\\n'",
  )
}

function parseOffset(text: string): Span | 'stored' {
  return text === 'stored' ? text : parseSpan(text, ', or stored')
}

async function run(args: readonly string[], flags: ConsumeFlags): Promise<void> {
  const asked = [...flags.topic, ...args]
  check(asked, flags)
  await using cluster = await Cluster.connect(flags)
  const { offset, group, from, to, exit = false } = flags
  const patience = new Patience(cluster, flags.wait)
  const count = { records: 0, bytes: 0 }
  const sink = printer({ ...flags, format: formatOf(flags) }, count)
  if (group !== undefined && offset !== 'stored') {
    const start = offset?.start === 'end' ? 'end' : 'beginning'
    await consumeAsMember(cluster, patience, sink, { group, asked, start, exitAtEnd: exit })
    return
  }
  const span: Span = offset === undefined || offset === 'stored' ? { start: 'beginning' } : offset
  const stored = offset === 'stored' ? await committedOffsets(cluster, group!) : null
  const names = await namesOf(cluster, asked)
  const ofTopics = names.map(async name => {
    const topic = await cluster.topic(name, flags.partition)
    return rangesOf(cluster, topic, {
      ...span,
      exitAtEnd: exit,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(stored === null ? {} : { stored: storedOf(stored, topic, group!) }),
    })
  })
  const ranges = (await Promise.all(ofTopics)).flat()
  // Records on the same terminal would be torn apart by it.
  using _progress = showProgress(progressOf(ranges, count), !process.stdout.isTTY)
  await new Consumer(cluster, patience, sink).run(ranges)
}

/** @throws CliError for what does not go together */
function check(asked: readonly string[], flags: ConsumeFlags): void {
  const { offset, group } = flags
  if (asked.length === 0) throw usage('topic consume: which topic? give its name')
  if ((flags.to ?? 0) > Date.now()) {
    throw usage('topic consume: --to is in the future; leave it out to go on as records come')
  }
  if (offset === 'stored' && group === undefined) {
    throw usage('topic consume: -o stored are offsets that a group has committed; add --group')
  }
  if (group === undefined || offset === 'stored') return
  const isPlain = offset === undefined || (typeof offset.start !== 'number' && !offset.stop)
  if (isPlain && !flags.partition && flags.from === undefined && flags.to === undefined) return
  throw usage(
    'topic consume: with --group the group says which partitions and offsets; only -o beginning, end or stored go with it',
  )
}

function formatOf(flags: ConsumeFlags): Format {
  if (flags.json) return jsonFormat
  return flags.format ?? lineFormat(flags.keyDelimiter, flags.pretty ?? false)
}

/** What a group has committed for a topic; says so if that is nothing for some partitions. */
function storedOf(
  committed: readonly Committed[],
  { name, partitions }: TopicMetadata,
  group: string,
): Map<number, number> {
  const stored = offsetsIn(committed, name!)
  const without = partitions.map(p => p.partitionIndex).filter(index => !stored.has(index))
  if (without.length > 0) {
    const which = without.length === partitions.length ? '' : ` partition ${without.join(', ')}`
    note(`group ${group} has committed nothing for ${name}${which}: from the beginning`)
  }
  return stored
}
