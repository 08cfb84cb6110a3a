import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { lines, program, run } from './tools.ts'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const test = suite('kcat')
let broker: BrokerProcess

test.before(async () => {
  broker = await BrokerProcess.start()
})
test.after(() => broker.remove())

const kcat = (args: string[], input?: string) =>
  run(program('kcat'), ['-b', broker.address, ...args], input === undefined ? {} : { input })

async function consume(topic: string): Promise<string[]> {
  const format = ['-f', '%o|%k|%h|%s\n']
  const { stdout } = await kcat(['-C', '-q', '-e', '-t', topic, '-p', '0', ...format])
  return lines(stdout)
}

for (const codec of CODECS) {
  test(`what it writes with ${codec} it reads: keys, headers, values, offsets`, async () => {
    const topic = `kcat-${codec}`
    const numbers = Array.from({ length: 1_000 }, (_, i) => i)
    const input = numbers.map(i => `key${i}:value ${i} ${'x'.repeat(i % 50)}`).join('\n')
    await kcat(['-P', '-t', topic, '-p', '0', '-z', codec, '-K:', '-H', 'a=b'], input)
    const expected = numbers.map(i => `${i}|key${i}|a=b|value ${i} ${'x'.repeat(i % 50)}`)
    assert.equal(await consume(topic), expected)
  })
}

test('an idempotent producer writes', async () => {
  await kcat(['-P', '-t', 'kcat-idempotent', '-p', '0', '-X', 'enable.idempotence=true'], 'a\nb\n')
  assert.equal(await consume('kcat-idempotent'), ['0|||a', '1|||b'])
})

test('acks=0 and acks=1 write', async () => {
  for (const acks of ['0', '1']) {
    await kcat(['-P', '-t', `kcat-acks${acks}`, '-p', '0', '-X', `acks=${acks}`], 'a\n')
    assert.equal(await consume(`kcat-acks${acks}`), ['0|||a'])
  }
})

test('metadata lists the broker and its topics', async () => {
  const { stdout } = await kcat(['-L', '-J'])
  const metadata = JSON.parse(stdout) as {
    brokers: { name: string }[]
    topics: { topic: string }[]
  }
  assert.equal(
    metadata.brokers.map(b => b.name),
    [broker.address],
  )
  assert.ok(metadata.topics.some(({ topic }) => topic === 'kcat-zstd'))
})

test('queries find offsets by time: the first, the last, one between', async () => {
  const query = async (time: string) => {
    const { stdout } = await kcat(['-Q', '-t', `kcat-none:0:${time}`])
    return Number(/offset (-?\d+)/.exec(stdout)?.[1])
  }
  assert.is(await query('-2'), 0)
  assert.is(await query('-1'), 1_000)
  assert.is(await query('1'), 0)
})

test('what was acknowledged is there after a restart, after kill -9, and the port can change', async () => {
  const before = await consume('kcat-lz4')
  assert.is((await broker.stop()).code, 0)
  broker = await BrokerProcess.start({ dir: broker.dir })
  assert.equal(await consume('kcat-lz4'), before)
  await kcat(['-P', '-t', 'kcat-lz4', '-p', '0'], 'one more\n')
  await broker.kill()
  broker = await BrokerProcess.start({ dir: broker.dir })
  assert.equal(await consume('kcat-lz4'), [...before, '1000|||one more'])
})

test.run()
