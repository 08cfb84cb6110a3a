import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { kafkaTool, lines, type RunOptions } from './tools.ts'

const TOPICS = 'org.apache.kafka.tools.TopicCommand'
const CONFIGS = 'kafka.admin.ConfigCommand'
const PRODUCER = 'org.apache.kafka.tools.ConsoleProducer'
const CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
const PERFORMANCE = 'org.apache.kafka.tools.ProducerPerformance'
const CONSUMER_PERFORMANCE = 'org.apache.kafka.tools.ConsumerPerformance'
const VERIFIABLE_PRODUCER = 'org.apache.kafka.tools.VerifiableProducer'
const VERIFIABLE_CONSUMER = 'org.apache.kafka.tools.VerifiableConsumer'
const API_VERSIONS = 'org.apache.kafka.tools.BrokerApiVersionsCommand'
const OFFSETS = 'org.apache.kafka.tools.GetOffsetShell'
const LOG_DIRS = 'org.apache.kafka.tools.LogDirsCommand'
const DELETE_RECORDS = 'org.apache.kafka.tools.DeleteRecordsCommand'
const DUMP_LOG = 'org.apache.kafka.tools.DumpLogSegments'

/** Enough for several index entries, one for each 4 KiB, in several batches. */
const RECORDS = 3_000

const test = suite("Kafka's Java tools")
let broker: BrokerProcess
let work: string

test.before(async () => {
  broker = await BrokerProcess.start()
  work = mkdtempSync(join(tmpdir(), 'odradek-java-'))
})
test.after(async () => {
  await broker.remove()
  rmSync(work, { recursive: true })
})

const java = (className: string, args: readonly string[], options: RunOptions = {}) =>
  kafkaTool(className, ['--bootstrap-server', broker.address, ...args], options)

const values = Array.from({ length: RECORDS }, (_, i) => `value ${i} ${'y'.repeat(i % 60)}`)

test('kafka-topics makes, lists, describes and grows topics', async () => {
  await java(TOPICS, [
    '--create',
    '--topic',
    'java',
    '--partitions',
    '2',
    '--config',
    'retention.ms=100000000',
  ])
  assert.ok(lines((await java(TOPICS, ['--list'])).stdout).includes('java'))
  await java(TOPICS, ['--alter', '--topic', 'java', '--partitions', '3'])
  const { stdout } = await java(TOPICS, ['--describe', '--topic', 'java'])
  assert.match(
    stdout,
    /PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*retention\.ms=100000000/,
  )
  assert.match(stdout, /Partition: 2\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+/)
})

test('kafka-topics is told what it may not do: fewer partitions, a topic that exists', async () => {
  const fewer = ['--alter', '--topic', 'java', '--partitions', '1']
  const again = ['--create', '--topic', 'java']
  const [first, second] = await Promise.all([
    java(TOPICS, fewer, { mayFail: true }),
    java(TOPICS, again, { mayFail: true }),
  ])
  assert.is(first.code, 1)
  assert.match(first.stdout + first.stderr, /InvalidPartitionsException/)
  assert.is(second.code, 1)
  assert.match(second.stdout + second.stderr, /TopicExistsException/)
})

test('kafka-configs sets, shows and removes configs, and is told of bad values', async () => {
  const topic = ['--entity-type', 'topics', '--entity-name', 'java']
  await java(CONFIGS, ['--alter', ...topic, '--add-config', 'max.message.bytes=2000000'])
  const described = await java(CONFIGS, ['--describe', ...topic])
  assert.match(described.stdout, /max\.message\.bytes=2000000/)
  await java(CONFIGS, ['--alter', ...topic, '--delete-config', 'max.message.bytes'])
  assert.not.match((await java(CONFIGS, ['--describe', ...topic])).stdout, /max\.message\.bytes=2/)
  const bad = await java(CONFIGS, ['--alter', ...topic, '--add-config', 'retention.ms=soon'], {
    mayFail: true,
  })
  assert.is(bad.code, 1)
  assert.match(bad.stdout + bad.stderr, /InvalidConfigurationException/)
})

test('what kafka-console-producer writes, idempotent as by default, kafka-console-consumer reads', async () => {
  const to = ['--topic', 'java-console', '--compression-codec', 'zstd']
  await java(PRODUCER, to, { input: `${values.join('\n')}\n` })
  const from = ['--topic', 'java-console', '--partition', '0', '--offset', 'earliest']
  const { stdout } = await java(CONSUMER, [...from, '--max-messages', String(RECORDS)])
  assert.equal(lines(stdout), values)
})

test('kafka-producer-perf-test writes with every codec; kafka-get-offsets counts what it wrote', async () => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const props = [
      '--producer-props',
      `bootstrap.servers=${broker.address}`,
      `compression.type=${codec}`,
    ]
    const load = ['--num-records', String(RECORDS), '--record-size', '100', '--throughput', '-1']
    const { stdout } = await kafkaTool(PERFORMANCE, ['--topic', `perf-${codec}`, ...load, ...props])
    assert.match(stdout, new RegExp(`${RECORDS} records sent`))
  }
  const { stdout } = await java(OFFSETS, ['--topic', 'perf-.*'])
  assert.equal(lines(stdout).sort(), [
    `perf-gzip:0:${RECORDS}`,
    `perf-lz4:0:${RECORDS}`,
    `perf-none:0:${RECORDS}`,
    `perf-snappy:0:${RECORDS}`,
    `perf-zstd:0:${RECORDS}`,
  ])
})

test('kafka-verifiable-producer acknowledges each record, kafka-verifiable-consumer reads them in both group protocols', async () => {
  const load = ['--topic', 'verifiable', '--max-messages', '500', '--throughput', '-1']
  const produced = eventsOf((await java(VERIFIABLE_PRODUCER, load)).stdout)
  const { sent, acked } = produced.find(({ name }) => name === 'tool_data')!
  assert.equal([sent, acked], [500, 500])
  for (const protocol of ['classic', 'consumer']) {
    const group = ['--group-id', `verifiable-${protocol}`, '--group-protocol', protocol]
    const args = [...group, '--topic', 'verifiable', '--max-messages', '500']
    const consumed = eventsOf((await java(VERIFIABLE_CONSUMER, args)).stdout)
    const counts = consumed.filter(({ name }) => name === 'records_consumed').map(e => e.count)
    assert.is(
      counts.reduce((sum, count) => sum + count, 0),
      500,
    )
    assert.ok(consumed.some(({ name, success }) => name === 'offsets_committed' && success))
  }
})

/** What the verifiable tools print: one JSON object a line. */
const eventsOf = (stdout: string) =>
  lines(stdout)
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Record<string, number> & { name: string })

test('kafka-broker-api-versions shows what is served, and kafka-consumer-perf-test reads', async () => {
  const { stdout } = await java(API_VERSIONS, [])
  assert.match(stdout, /Produce\(0\): 0 to 13 \[usable: 13\]/)
  assert.match(stdout, /ConsumerGroupHeartbeat\(68\): 0 to 1/)
  const perf = ['--topic', 'perf-none', '--num-records', '1000']
  assert.match((await java(CONSUMER_PERFORMANCE, perf)).stdout, /, 1000, /)
})

test('kafka-log-dirs shows the folder and the size of each partition', async () => {
  const { stdout } = await java(LOG_DIRS, ['--describe', '--topic-list', 'java-console'])
  const json = lines(stdout).find(line => line.startsWith('{'))!
  const { brokers } = JSON.parse(json) as {
    brokers: { logDirs: { logDir: string; partitions: { partition: string; size: number }[] }[] }[]
  }
  const [dir] = brokers[0]!.logDirs
  assert.is(dir!.logDir, broker.dir)
  assert.is(dir!.partitions[0]!.partition, 'java-console-0')
  assert.ok(dir!.partitions[0]!.size > 1_000)
})

test('kafka-delete-records moves the start of the log', async () => {
  const file = join(work, 'delete.json')
  const partitions = [{ topic: 'perf-none', partition: 0, offset: 1_000 }]
  writeFileSync(file, JSON.stringify({ partitions, version: 1 }))
  const { stdout } = await java(DELETE_RECORDS, ['--offset-json-file', file])
  assert.match(stdout, /low_watermark:\s*1000/)
  const earliest = await java(OFFSETS, ['--topic', 'perf-none', '--time', 'earliest'])
  assert.equal(lines(earliest.stdout), ['perf-none:0:1000'])
})

test('kafka-dump-log reads our segments record by record, compressed or not', async () => {
  await broker.stop()
  const logs = ['java-console-0', 'perf-none-0', 'perf-gzip-0', 'perf-snappy-0', 'perf-lz4-0']
  const files = logs.map(name => join(broker.dir, name, '00000000000000000000.log')).join(',')
  const { stdout } = await kafkaTool(DUMP_LOG, [
    '--files',
    files,
    '--deep-iteration',
    '--print-data-log',
  ])
  const [console, ...rest] = stdout.split(/^Dumping /m).slice(1)
  const payloads = [...console!.matchAll(/payload: (.*)$/gm)].map(match => match[1])
  assert.equal(payloads, values)
  for (const [i, dump] of rest.entries()) {
    assert.is([...dump.matchAll(/^\| offset: /gm)].length, RECORDS, logs[i + 1])
  }
  assert.is([...stdout.matchAll(/isvalid: true/g)].length > 0, true)
  assert.not.match(stdout, /isvalid: false/)
})

test('kafka-dump-log finds our indexes and producer snapshots in order', async () => {
  const dir = join(broker.dir, 'perf-none-0')
  const names = readdirSync(dir).filter(name => /\.(index|timeindex|snapshot)$/.test(name))
  const endings = new Set(names.map(name => name.split('.')[1]))
  assert.equal([...endings].sort(), ['index', 'snapshot', 'timeindex'])
  const files = names.map(name => join(dir, name)).join(',')
  const { stdout, stderr } = await kafkaTool(DUMP_LOG, ['--files', files, '--verify-index-only'])
  assert.not.match(stdout + stderr, /mismatch|out of order|Exception/i)
})

test('after kill -9 and a restart the console consumer reads the same', async () => {
  broker = await BrokerProcess.start({ dir: broker.dir })
  await broker.kill()
  broker = await BrokerProcess.start({ dir: broker.dir })
  const from = ['--topic', 'java-console', '--partition', '0', '--offset', 'earliest']
  const { stdout } = await java(CONSUMER, [...from, '--max-messages', String(RECORDS)])
  assert.equal(lines(stdout), values)
})

test.run()
