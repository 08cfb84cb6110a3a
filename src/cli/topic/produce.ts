import { setTimeout as delay } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { ClientError } from '../../client/client.ts'
import type { NewRecord } from '../../protocol/records.ts'
import { Cluster } from '../base/cluster.ts'
import { messageBytesMax } from '../base/configs.ts'
import { parseDelimiter } from '../base/escapes.ts'
import { CliError, usage } from '../base/failure.ts'
import {
  type ClusterFlags,
  CODECS,
  collectPairs,
  examples,
  integer,
  repeated,
  waitOption,
  withCluster,
} from '../base/options.ts'
import { plural } from '../base/output.ts'
import { Patience } from '../base/patience.ts'
import { type Done, note, showProgress } from '../base/progress.ts'
import {
  type Input,
  lines,
  openInputs,
  type Parsed,
  type ParseLine,
  parseJsonLine,
  plainParser,
  whole,
} from './input.ts'
import { Producer } from './producer.ts'

/** A timer is not exact below. */
const AHEAD_MS_MAX = 5

interface ProduceFlags extends ClusterFlags {
  readonly topic?: string
  readonly partition?: number
  readonly keyDelimiter?: string
  readonly key?: string
  readonly header: readonly (readonly [string, string])[]
  readonly emptyIsNull?: boolean
  readonly whole?: boolean
  readonly compress: string
  readonly rate?: number
  readonly wait: number
}

export function define(produceCommand: Command): void {
  const command = withCluster(produceCommand)
    .description(
      'write the lines of files, or of stdin, as records of a topic that exists; ends when all are acknowledged',
    )
    .argument('[topic]')
    .argument('[files...]')
    .option('-t, --topic <topic>', 'the topic; then all arguments are files')
    .option('-p, --partition <number>', 'to this partition (default: by the key)', integer(0))
    .option('-K, --key-delimiter <text>', 'what is between key and value in a line', parseDelimiter)
    .option('-k, --key <key>', 'the key of all records')
    .addOption(repeated('-H, --header <name=value>', 'on all records', collectPairs))
    .option('-Z, --empty-is-null', 'an empty key or value is null (a null value deletes its key)')
    .addOption(new Option('-z, --compress <codec>', 'how').choices(CODECS).default('none'))
    .option('--whole', 'each file, or stdin, is one record')
    .option('--rate <count>', 'at most so many records a second', integer(1))
    .addOption(
      new Option(
        '--json',
        'lines are objects {key, value, headers, partition, timestamp}, as consume --json prints them',
      ).conflicts(['keyDelimiter', 'key', 'whole', 'emptyIsNull']),
    )
    .addOption(waitOption())
    .action(produce)
  examples(
    command,
    'echo hello | odradek topic produce greetings',
    "echo 'o-1:paid' | odradek topic produce orders -K : -H source=web",
    'odradek topic produce -t lines -z zstd --rate 1000 access.log',
    'odradek topic consume orders -e --json | odradek topic produce copy --json',
  )
}

/** What has been read and sent, for the progress. */
interface Count {
  records: number
  bytes: number
}

interface Outlet {
  /** Resolves when the next record may be made: its time is that of its turn. */
  turn(): Promise<void>
  take(parsed: Parsed): Promise<void>
}

async function produce(
  name: string | undefined,
  rest: string[],
  flags: ProduceFlags,
): Promise<void> {
  const topicName = flags.topic ?? name
  if (topicName === undefined) throw usage('topic produce: which topic? give its name')
  const files = flags.topic === undefined || name === undefined ? rest : [name, ...rest]
  const inputs = await openInputs(files)
  await using cluster = await Cluster.connect(flags)
  const topic = await cluster.topic(topicName)
  let current: Input['stream'] | undefined
  const producer = new Producer(cluster, new Patience(cluster, flags.wait), topic, {
    codec: CODECS.indexOf(flags.compress),
    messageBytesMax: await messageBytesMax(cluster, topicName),
    // Reading may wait for a person who has nothing to type.
    onFailure: error => current?.destroy(error),
  })
  const count: Count = { records: 0, bytes: 0 }
  const out = outlet(flags, producer, count)
  const onStream = (stream: Input['stream']): void => {
    current = stream
  }
  const isTyped = files.length === 0 && process.stdin.isTTY
  if (isTyped) note(`each line is a record of ${topicName}; ctrl-d on an empty one ends`)
  try {
    // What somebody types on the same terminal would be torn apart by it.
    using _progress = showProgress(progressOf(inputs, count, producer), !isTyped)
    for (const input of inputs) await readInput(input, flags, count, out, onStream)
    await producer.close()
    if (isTyped) note(`${plural(producer.acknowledged, 'record')} acknowledged`)
  } catch (error) {
    if (!(error instanceof CliError || error instanceof ClientError)) throw error
    // What was read before a line that is wrong is still sent; if it is the broker that failed, this fails the same way.
    await Promise.allSettled([producer.close()])
    const done = `${plural(producer.acknowledged, 'record')} acknowledged before that`
    throw new CliError(`${error.message}; ${done}`, undefined, { cause: error })
  } finally {
    current?.destroy()
  }
}

async function readInput(
  input: Input,
  flags: ProduceFlags,
  count: Count,
  out: Outlet,
  onStream: (stream: Input['stream']) => void,
): Promise<void> {
  const { stream } = input
  onStream(stream)
  const key = flags.key === undefined ? {} : { key: Buffer.from(flags.key) }
  if (flags.whole) {
    const value = await whole(stream, input.name)
    await out.turn()
    count.bytes += value.length
    return out.take({ record: { timestamp: Date.now(), value, ...key } })
  }
  const parse = flags.json
    ? parseJsonLine
    : plainParser(flags.keyDelimiter, flags.emptyIsNull ?? false)
  let number = 0
  for await (const found of lines(stream, input.name)) {
    for (const line of found) {
      await out.turn()
      number++
      count.bytes += line.length + 1
      const { record, ...where } = parseAt(parse, line, `${input.name} line ${number}`)
      await out.take({ record: { ...record, ...key }, ...where })
    }
  }
}

function parseAt(parse: ParseLine, line: Buffer, where: string): Parsed {
  try {
    return parse(line)
  } catch (cause) {
    throw new CliError(`${where}: ${(cause as Error).message}`, undefined, { cause })
  }
}

/** Where records go: with the headers of the command line, and no faster than the rate. */
function outlet(flags: ProduceFlags, producer: Producer, count: Count): Outlet {
  const own = flags.header.map(([key, value]) => ({ key, value: Buffer.from(value) }))
  const start = performance.now()
  return {
    async turn() {
      if (flags.rate === undefined) return
      const aheadMs = start + (count.records * 1000) / flags.rate - performance.now()
      if (aheadMs > AHEAD_MS_MAX) await delay(aheadMs)
    },
    async take({ record, partition }) {
      const headers = [...(record.headers ?? []), ...own]
      const whole: NewRecord = headers.length === 0 ? record : { ...record, headers }
      await producer.add(whole, flags.partition ?? partition)
      count.records++
    },
  }
}

function progressOf(inputs: readonly Input[], count: Count, producer: Producer): () => Done {
  const isKnown = inputs.every(input => input.bytes >= 0)
  const total = inputs.reduce((sum, input) => sum + input.bytes, 0)
  return () => ({
    records: producer.acknowledged,
    bytes: count.bytes,
    share: isKnown && total > 0 ? Math.min(1, count.bytes / total) : null,
  })
}
