import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Stop } from '../../src/cli/base/stop.ts'
import { Latencies } from '../../src/cli/bench/latencies.ts'
import { Tally } from '../../src/cli/bench/tally.ts'
import { sideBySide, Turns } from '../../src/cli/bench/turns.ts'
import type { Wire } from '../apis/wire.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek bench')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

const topics = async (): Promise<string[]> =>
  (await cli.json(['topic', 'list'])).map((t: { name: string }) => t.name)

test('produces and consumes on a topic of its own, and deletes it', async () => {
  const found = await cli.json('bench -c 2050 --batch 100 --size 50 -p 3'.split(' '))
  assert.match(found.topic, /^odradek-bench-[0-9a-f]{8}$/)
  assert.equal(found.options, {
    connections: 4,
    size: 50,
    batch: 100,
    inFlight: 5,
    acks: 'all',
    compress: 'none',
    fetchBytes: 1_048_576,
  })
  const [produced, consumed] = found.results
  assert.equal([produced.phase, produced.records, produced.requests], ['produce', 2050, 21])
  assert.equal([consumed.phase, consumed.records], ['consume', 2050])
  assert.is(produced.bytes, consumed.bytes)
  assert.ok(produced.bytes > 2050 * 50)
  for (const { seconds, recordsPerSecond, megabytesPerSecond, latencyMs } of found.results) {
    assert.ok(seconds > 0 && recordsPerSecond > 0 && megabytesPerSecond > 0)
    assert.ok(latencyMs.p50 > 0 && latencyMs.p50 <= latencyMs.p99)
    assert.ok(latencyMs.p99 <= latencyMs['p99.9'] && latencyMs['p99.9'] <= latencyMs.max)
  }
  assert.equal(await topics(), [])
})

test('prints a table for people', async () => {
  const [header, produced, consumed] = (await cli.ok(['bench', '-c', '500'])).split('\n')
  const columns = 'RECORDS SECONDS RECORDS/S MB/S P50 MS P99 MS P99.9 MS MAX MS'
  assert.is(header!.trim().replaceAll(/ +/g, ' '), columns)
  assert.match(produced!, /^produce +500( +[\d.]+){7}$/)
  assert.match(consumed!, /^consume +500( +[\d.]+){7}$/)
})

test('a topic that is given is written to, read, and left', async () => {
  await wire.createTopic('kept', 2)
  await wire.produceTo('kept', 1, 5)
  const args = 'bench produce -t kept -c 1000 --acks 1 -z lz4 --connections 2'.split(' ')
  const { topic, results } = await cli.json(args)
  assert.equal([topic, results.length, results[0].records], ['kept', 1, 1000])
  const partitions = wire.node.registry.topic('kept')!.partitions
  assert.equal(
    partitions.map(p => p.highWatermark),
    [500, 505],
  )
  const read = await cli.json('bench consume -t kept --connections 9'.split(' '))
  assert.equal([read.results[0].phase, read.results[0].records], ['consume', 1005])
  const some = await cli.json('bench consume -t kept -c 3 --fetch-bytes 1'.split(' '))
  assert.ok(some.results[0].records >= 3 && some.results[0].records < 1005)
  assert.equal(await topics(), ['kept'])
})

test('with seconds and a rate it sends as many as are due', async () => {
  const args = 'bench produce --seconds 1 --rate 500 --batch 10'.split(' ')
  const [{ records, seconds }] = (await cli.json(args)).results
  assert.ok(records >= 300 && records <= 500, `${records} records`)
  assert.ok(seconds >= 0.9, `${seconds} s`)
})

test('a signal ends it with what was measured, and without its topic', async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const child = cli.spawn('bench --seconds 60 --rate 1000 --batch 10 --json'.split(' '))
    let out = ''
    let err = ''
    child.stdout.on('data', chunk => (out += chunk))
    child.stderr.on('data', chunk => (err += chunk))
    const written = (): number => {
      const own = [...wire.node.registry.topics].find(t => t.name.startsWith('odradek-bench'))
      return own?.partitions.reduce((sum, p) => sum + p.highWatermark, 0) ?? 0
    }
    while (written() < 50) await new Promise(resolve => setTimeout(resolve, 10))
    child.kill(signal)
    assert.equal(await once(child, 'close'), [1, null])
    const { results } = JSON.parse(out)
    assert.is(results.length, 1)
    assert.ok(results[0].records >= 50)
    assert.is(err, 'odradek: stopped before the end\n')
    assert.equal(await topics(), ['kept'])
  }
})

test('a failure ends it with its reason, and without its topic', async () => {
  const own = await cli.run('bench --replicas 3'.split(' '))
  assert.match(own.stderr, /topic odradek-bench-\w+ is not created: .*INVALID_REPLICATION_FACTOR/)
  assert.is(own.code, 1)
  await wire.createTopic('compacted', 1, { 'cleanup.policy': 'compact' })
  const noKeys = 'bench produce -t compacted -c 100'.split(' ')
  await cli.fails(1, /topic compacted partition 0: .*INVALID_RECORD/, noKeys)
  await cli.fails(
    1,
    /topic compacted has no records to read/,
    'bench consume -t compacted'.split(' '),
  )
  await cli.fails(1, /topic nowhere does not exist/, 'bench -t nowhere'.split(' '))
  await cli.fails(3, /cannot connect to 127\.0\.0\.1:1/, 'bench -b 127.0.0.1:1'.split(' '))
  assert.equal((await topics()).sort(), ['compacted', 'kept'])
})

test('wrong usage is refused with what is allowed', async () => {
  const wrong = (line: RegExp, args: string): Promise<void> => cli.fails(2, line, args.split(' '))
  await wrong(/which topic\? give -t/, 'bench consume')
  await wrong(/whole number, from 1 to 256/, 'bench --connections 0')
  await wrong(/Allowed choices are all, 1/, 'bench produce --acks 0')
  await wrong(/Allowed choices are none, gzip/, 'bench -z rar')
  await wrong(/cannot be used with option '-t, --topic/, 'bench -t x -p 3')
  await wrong(/--size times --batch is 100000000 bytes, 67108864/, 'bench --size 1000000')
  await wrong(
    /is 2000000000 bytes, 1073741824/,
    'bench --size 500000 --connections 8 --in-flight 5',
  )
  await wrong(/takes up to 1048588 \(max.message.bytes\); lower --size/, 'bench --size 20000')
  await wrong(/unknown option '--size'/, 'bench consume -t x --size 3')
  await wrong(/too many arguments/, 'bench consum')
  assert.not.ok((await topics()).some(name => name.startsWith('odradek-bench')))
})

test('every command has examples and the exit codes in its help', async () => {
  for (const command of ['bench', 'bench produce', 'bench consume']) {
    const help = await cli.ok([...command.split(' '), '--help'])
    assert.match(help, new RegExp(`Examples:\n {2}\\$ odradek ${command}`))
    assert.match(help, /Exit codes: 0 done, 1 failed/)
  }
})

test('percentiles are within half a percent, the maximum is exact', () => {
  const all = new Latencies()
  assert.equal([all.at(0.5), all.max, all.count], [0, 0, 0])
  for (let i = 1; i <= 10_000; i++) all.add(i / 7)
  for (const share of [0, 0.5, 0.99, 0.999, 1]) {
    const exact = (1 + Math.floor(share * 9999)) / 7
    assert.ok(Math.abs(all.at(share) / exact - 1) <= 0.0051, `${share}: ${all.at(share)}, ${exact}`)
  }
  assert.is(all.max, 10_000 / 7)
  const one = new Latencies()
  one.add(3.21)
  assert.equal([one.at(0), one.at(1)], [3.21, 3.21])
  one.add(0)
  one.add(1e12)
  assert.equal([one.at(0), one.max], [0.001, 1e12])
})

test('a batch that has to wait for others is late from when it was due', async () => {
  using stop = new Stop()
  const turns = new Turns({ records: 25 }, 10, 1000, stop)
  const first = (await turns.next())!
  await new Promise(resolve => setTimeout(resolve, 50))
  const rest = [(await turns.next())!, (await turns.next())!]
  assert.equal(
    [first, ...rest].map(turn => turn.records),
    [10, 10, 5],
  )
  assert.ok(Math.abs(rest[0]!.dueMs - first.dueMs - 10) < 0.01, 'due by the rate')
  assert.ok(performance.now() - rest[1]!.dueMs > 25, 'and handed out later than that')
  assert.is(await turns.next(), null)
})

test('what fails first stops the others', async () => {
  using stop = new Stop()
  const turns = new Turns({ seconds: 60 }, 1, 1, stop)
  const waits = async (): Promise<void> => {
    while ((await turns.next()) !== null) await Promise.resolve()
  }
  const fails = Promise.reject(new Error('first'))
  try {
    await sideBySide([waits(), fails], stop)
    assert.unreachable()
  } catch (error) {
    assert.is((error as Error).message, 'first')
  }
})

test('progress is that of the amount which is reached first', () => {
  const tally = new Tally()
  tally.add(25, 1000, performance.now())
  assert.equal(tally.done({ records: 100, seconds: 1000 }).share, 0.25)
  assert.ok(tally.done({ seconds: 1000 }).share! < 0.01)
  assert.is(tally.done({ records: 10 }).share, 1)
})

test.run()
