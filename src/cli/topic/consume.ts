import { type Command, InvalidArgumentError, Option } from 'commander'
import { RE2JS, RE2JSSyntaxException } from 're2js'
import type { BatchRecord } from '../../protocol/records.ts'
import { Cluster, type TopicMetadata } from '../base/cluster.ts'
import { parseDelimiter } from '../base/escapes.ts'
import { usage } from '../base/failure.ts'
import type { Range } from '../base/fetch.ts'
import { committedOffsets } from '../base/offsets.ts'
import { type ClusterFlags, clusterCommand, examples, integer } from '../base/options.ts'
import { Writing } from '../base/output.ts'
import { type Done, note, showProgress } from '../base/progress.ts'
import { parseTime } from '../base/time.ts'
import { Consumer, type Sink } from './consumer.ts'
import { type Format, jsonFormat, lineFormat, parseFormat } from './format.ts'
import { parseStart, rangesOf, type Start, type Stored } from './ranges.ts'

interface ConsumeFlags extends ClusterFlags {
  readonly topic?: string
  readonly partition?: number
  readonly offset: Start | 'stored'
  readonly group?: string
  readonly from?: number
  readonly to?: number
  readonly exit?: boolean
  readonly count?: number
  readonly grep?: RE2JS
  readonly keyDelimiter?: string
  readonly format?: Format
  readonly pretty?: boolean
}

export function defineConsume(topic: Command): void {
  const command = clusterCommand(
    topic,
    'consume [topic]',
    'print records, and go on as they come; as no member of a group, so nothing is committed',
  )
    .option('-t, --topic <topic>', 'the topic')
    .option('-p, --partition <number>', 'only this one', integer(0))
    .addOption(
      new Option(
        '-o, --offset <offset>',
        'beginning, end, an offset, -N for the last N of each partition, or stored: what --group has committed',
      )
        .argParser(parseOffset)
        .default('beginning'),
    )
    .option(
      '--group <group>',
      'of -o stored; it is only read, not joined, and nothing is committed',
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
        '%t topic %p partition %o offset %k key %s value %h headers %T time %K %S their lengths, and \\n \\t',
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
    .action(consume)
  examples(
    command,
    'odradek topic consume orders -e',
    'odradek topic consume orders -o -10 -c 10 --pretty',
    "odradek topic consume orders --from 1h --grep '(?i)refused' --json",
    'odradek topic consume orders -o stored --group billing -e',
    "odradek topic consume orders -f '%p %o %T %k=%s\\n'",
  )
}

function parseOffset(text: string): Start | 'stored' {
  return text === 'stored' ? text : parseStart(text, ', or stored')
}

function parseRegex(text: string): RE2JS {
  try {
    return RE2JS.compile(text)
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    throw new InvalidArgumentError(`It is no regular expression of RE2: ${error.message}.`)
  }
}

async function consume(name: string | undefined, flags: ConsumeFlags): Promise<void> {
  const topicName = flags.topic ?? name
  if (topicName === undefined) throw usage('topic consume: which topic? give its name')
  if (flags.topic !== undefined && name !== undefined) {
    throw usage(`topic consume: one topic only, not ${flags.topic} and ${name}`)
  }
  if ((flags.to ?? 0) > Date.now()) {
    throw usage('topic consume: --to is in the future; leave it out to go on as records come')
  }
  if (flags.offset === 'stored' && flags.group === undefined) {
    throw usage('topic consume: -o stored are offsets that a group has committed; add --group')
  }
  if (flags.offset !== 'stored' && flags.group !== undefined) {
    throw usage('topic consume: --group goes with -o stored only; no group is joined')
  }
  await using cluster = await Cluster.connect(flags)
  const topic = await cluster.topic(topicName, flags.partition)
  const { offset, group = '', from, to, exit = false } = flags
  const start = offset === 'stored' ? await storedOffsets(cluster, topic, group) : offset
  const ranges = await rangesOf(cluster, topic, {
    start,
    exitAtEnd: exit,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  })
  const count = { records: 0, bytes: 0 }
  const sink = printer(topicName, flags, count)
  // Records on the same terminal would be torn apart by it.
  using _progress = showProgress(progressOf(ranges, count), !process.stdout.isTTY)
  await new Consumer(cluster, topic, sink).run(ranges)
}

/** What a group has committed for a topic; says so if that is nothing for some partitions. */
async function storedOffsets(
  cluster: Cluster,
  { name, partitions }: TopicMetadata,
  group: string,
): Promise<Stored> {
  const stored = new Map<number, number>()
  for (const { topic, partition, offset } of await committedOffsets(cluster, group)) {
    if (topic === name && offset >= 0) stored.set(partition, offset)
  }
  const without = partitions.map(p => p.partitionIndex).filter(index => !stored.has(index))
  if (without.length > 0) {
    const which = without.length === partitions.length ? '' : ` partition ${without.join(', ')}`
    note(`group ${group} has committed nothing for ${name}${which}: from the beginning`)
  }
  return stored
}

function printer(
  topic: string,
  flags: ConsumeFlags,
  count: { records: number; bytes: number },
): Sink {
  const format: Format = flags.json
    ? jsonFormat
    : (flags.format ?? lineFormat(flags.keyDelimiter, flags.pretty ?? false))
  const countMax = flags.count ?? Number.POSITIVE_INFINITY
  const writing = new Writing()
  let printed = 0
  return {
    async take(partition, record) {
      count.records++
      count.bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      if (flags.grep !== undefined && !matches(flags.grep, record)) return true
      const isLast = ++printed >= countMax
      // Of two partitions that are read side by side, one may come while the other's last one is written.
      if (printed > countMax) return false
      await writing.write(format({ topic, partition, record }))
      return !isLast
    },
    flush: () => writing.flush(),
    note,
  }
}

function matches(regex: RE2JS, { key, value }: BatchRecord): boolean {
  return [key, value].some(bytes => bytes !== null && regex.matcher(bytes.toString()).find())
}

function progressOf(
  ranges: readonly Range[],
  count: { records: number; bytes: number },
): () => Done {
  const starts = ranges.map(range => range.offset)
  const total = ranges.reduce((sum, range, i) => sum + range.end - starts[i]!, 0)
  return () => {
    const read = ranges.reduce((sum, range, i) => sum + range.offset - starts[i]!, 0)
    return { ...count, share: Number.isFinite(total) && total > 0 ? read / total : null }
  }
}
