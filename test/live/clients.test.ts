import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { lines, program, run, tool } from './tools.ts'

const test = suite('clients in other languages')
let broker: BrokerProcess

test.before(async () => {
  broker = await BrokerProcess.start()
})
test.after(() => broker.remove())

test('franz-go writes and reads with every codec', async () => {
  const { stdout } = await run(tool('franz-go'), [broker.address])
  assert.is(stdout, 'ok\n')
})

test('confluent-kafka for Python writes and reads with every codec', async () => {
  const client = join(import.meta.dirname, 'client.py')
  const { stdout } = await run(tool('python/bin/python'), [client, broker.address])
  assert.is(stdout, 'ok\n')
})

test('@platformatic/kafka on the newest Node makes a topic and writes with every codec', async () => {
  const client = join(import.meta.dirname, 'platformatic.mjs')
  const folder = tool('newest')
  const node = tool('newest/node_modules/node/bin/node')
  const { stdout } = await run(node, [client, broker.address, folder])
  const { acknowledged, topics } = JSON.parse(stdout) as {
    acknowledged: number[]
    topics: string[]
  }
  assert.equal(acknowledged, [0, 3, 6, 9, 12, 15])
  assert.ok(topics.includes('platformatic'))
  const args = ['-b', broker.address, '-C', '-q', '-e', '-t', 'platformatic', '-f', '%o|%k|%h|%s\n']
  const read = lines((await run(program('kcat'), args)).stdout)
  assert.is(read.length, 18)
  assert.is(read[5], '5|2|n=2|none true 2')
  assert.is(read[17], '17|2|n=2|zstd true 2')
})

test.run()
