import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Wire } from '../apis/wire.ts'
import { kafkaTool, lines, type RunOptions } from './tools.ts'

const PRODUCER = 'org.apache.kafka.tools.ConsoleProducer'
const CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
const DUMP_LOG = 'org.apache.kafka.tools.DumpLogSegments'
const KEYS = 30
const ROUNDS = 12
const NULL = '<null>'

const test = suite("a compacted topic and Kafka's tools")
let wire: Wire

test.before(async () => {
  // Only when the test says so: on a busy machine its own round would come amid what follows.
  wire = await Wire.start({ logCleanerEnable: false })
  await wire.createTopic('compacted', 1, {
    'cleanup.policy': 'compact',
    'segment.bytes': '1048576',
    'min.cleanable.dirty.ratio': '0.01',
  })
})
test.after(() => wire.close())

const java = (className: string, args: readonly string[], options: RunOptions = {}) => {
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  return kafkaTool(className, ['--bootstrap-server', `${host}:${port}`, ...args], options)
}

/** The newest value of each key as it was sent; null for a tombstone. */
const sent = new Map<string, string | null>()

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  test(`Java writes keys, values and tombstones (${codec})`, async () => {
    const input: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < KEYS; i++) {
        const value = (round + i) % 11 === 0 ? null : randomBytes(3_000).toString('base64')
        sent.set(`key ${i}`, value)
        input.push(`key ${i}\t${value ?? NULL}`)
      }
    }
    const reader = ['parse.key=true', `null.marker=${NULL}`].flatMap(p => ['--reader-property', p])
    const args = ['--topic', 'compacted', '--compression-codec', codec, ...reader]
    await java(PRODUCER, args, { input: `${input.join('\n')}\n` })
  })
}

test('what Java reads after a compaction is the newest of every key', async () => {
  const before = wire.node.registry.partition('compacted', 0)!.reader.size
  await wire.node.cleaner.clean()
  const after = wire.node.registry.partition('compacted', 0)!.reader.size
  assert.ok(after < before / 2, `${before} bytes became ${after}`)
  const print = ['print.key=true', `null.literal=${NULL}`].flatMap(p => ['--formatter-property', p])
  // Without a group: joining one may take as long as the time-out on a busy machine.
  const all = ['--partition', '0', '--offset', 'earliest', '--timeout-ms', '5000']
  const args = ['--topic', 'compacted', ...all, ...print]
  const { stdout } = await java(CONSUMER, args)
  const read = new Map<string, string | null>()
  for (const line of lines(stdout)) {
    const [key, value] = line.split('\t') as [string, string]
    read.set(key, value === NULL ? null : value)
  }
  assert.equal(read, sent)
})

test("Kafka's dump-log finds nothing wrong with the segments and their indexes", async () => {
  const dir = join(wire.node.dataDir, 'compacted-0')
  const names = readdirSync(dir).filter(name => /\.(log|index|timeindex)$/.test(name))
  const files = names.map(name => join(dir, name)).join()
  const { stdout, stderr } = await kafkaTool(DUMP_LOG, ['--deep-iteration', '--files', files])
  assert.not.match(stdout + stderr, /mismatch|not found|invalid|corrupt|exception/i)
  assert.match(stdout, /compresscodec: zstd/)
  assert.match(stdout, /deleteHorizonMs: OptionalLong\[\d{12,}\]/)
  assert.match(stdout, /isvalid: true/)
  assert.not.match(stdout, /isvalid: false/)
})

test('a record without a key is refused, and Java says why', async () => {
  const args = ['--topic', 'compacted', '--producer-property', 'retries=0']
  const { stdout, stderr } = await java(PRODUCER, args, { input: 'no key\n' })
  assert.match(stdout + stderr, /no key|InvalidRecord/)
})

test.run()
