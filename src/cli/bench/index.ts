import { type Command, Option } from 'commander'
import { usage } from '../base/failure.ts'
import { CODECS, clusterCommand, examples, integer, withCluster } from '../base/options.ts'
import {
  BATCH_BYTES_MAX,
  type BenchFlags,
  PARTITIONS_DEFAULT,
  RECORDS_DEFAULT,
  run,
} from './run.ts'

const MIB = 1024 * 1024

export function define(bench: Command): void {
  // `bench produce -t x` is for produce, though bench has a -t as well.
  bench.enablePositionalOptions()
  consumeOptions(produceOptions(amountOptions(withCluster(bench)))).action((flags: BenchFlags) =>
    run(['produce', 'consume'], flags),
  )
  examples(
    explain(bench),
    'odradek bench',
    'odradek bench -b broker.example.com:9092 --seconds 30 --size 1024 --json',
    'odradek bench produce --rate 50000 --seconds 60',
    'odradek bench consume -t orders',
  )
  defineProduce(bench)
  defineConsume(bench)
}

function defineProduce(bench: Command): void {
  const command = clusterCommand(bench, 'produce', 'only write')
  produceOptions(amountOptions(command)).action((flags: BenchFlags) => run(['produce'], flags))
  examples(
    explain(command),
    'odradek bench produce',
    'odradek bench produce --connections 1 --in-flight 1 --batch 1 --seconds 10',
    'odradek bench produce -t orders --rate 1000 --seconds 60 --json',
  )
}

function defineConsume(bench: Command): void {
  const command = clusterCommand(
    bench,
    'consume',
    'only read: what a topic has now, once, from its beginning; as no member of a group',
  )
  consumeOptions(amountOptions(command)).action((flags: BenchFlags) => {
    if (flags.topic === undefined) {
      throw usage('bench consume: which topic? give -t; odradek bench fills one of its own first')
    }
    return run(['consume'], flags)
  })
  examples(
    explain(command),
    'odradek bench consume -t orders',
    'odradek bench consume -t orders --connections 1 --fetch-bytes 65536 --seconds 10 --json',
  )
}

function amountOptions(command: Command): Command {
  return command
    .option(
      '-t, --topic <topic>',
      'one that exists; it stays (default: a new one, deleted at the end)',
    )
    .option(
      '-c, --records <count>',
      `stop after so many (default: ${RECORDS_DEFAULT} if there is no --seconds)`,
      integer(1),
    )
    .option('--seconds <count>', 'stop after so long', integer(1, 7 * 86_400))
    .option('--connections <count>', 'to each broker that leads partitions', integer(1, 256), 4)
    .option('--json', 'print JSON')
}

function produceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-p, --partitions <count>', `of the new topic (default: ${PARTITIONS_DEFAULT})`)
        .argParser(integer(1, 10_000))
        .conflicts('topic'),
    )
    .addOption(
      new Option('--replicas <count>', "of the new topic (default: the broker's)")
        .argParser(integer(1, 32_767))
        .conflicts('topic'),
    )
    .option('--size <bytes>', 'of a value', integer(1, BATCH_BYTES_MAX), 100)
    .option('--batch <records>', 'that are sent together', integer(1, 1_000_000), 100)
    .option('--in-flight <count>', 'batches under way on a connection', integer(1, 100), 5)
    .addOption(
      new Option('--acks <who>', 'all replicas in sync, or 1, the leader')
        .choices(['all', '1'])
        .default('all'),
    )
    .addOption(new Option('-z, --compress <codec>', 'how').choices(CODECS).default('none'))
    .option(
      '--rate <count>',
      'records a second; latency counts from when a batch was due',
      integer(1),
    )
}

function consumeOptions(command: Command): Command {
  return command.option(
    '--fetch-bytes <bytes>',
    'of a partition in one answer',
    integer(1, 64 * MIB),
    MIB,
  )
}

function explain(command: Command): Command {
  return command.addHelpText(
    'after',
    `
Latency is that of a request: of a batch until it is acknowledged, of a fetch until its records are here. MB/s are 1,000,000
bytes of batches as they are sent. Batches are encoded before the clock starts. Ctrl-C ends it early, with what was measured.`,
  )
}
