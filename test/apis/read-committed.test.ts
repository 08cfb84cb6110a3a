import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listOffsetsApi } from '../../src/protocol/messages/02-list-offsets.ts'
import { describeProducersApi } from '../../src/protocol/messages/61-describe-producers.ts'
import { TransactionWriter } from '../lib/append-here.ts'
import { fetchOne } from './fetching.ts'
import { Wire } from './wire.ts'

const test = suite('what is committed of transactions')
let wire: Wire
let log: TransactionWriter

test.before(async () => {
  wire = await Wire.start({ 'log.segment.bytes': 1_048_576 })
  log = new TransactionWriter(wire.node)
})
test.after(() => wire.close())

const COMMITTED = { isolationLevel: 1 }

async function latest(topic: string, isolationLevel: number): Promise<number> {
  const partitions = [{ partitionIndex: 0, timestamp: -1 }]
  const request = { isolationLevel, topics: [{ name: topic, partitions }] }
  const { topics } = await wire.send(listOffsetsApi, 6, request)
  return topics[0]!.partitions[0]!.offset
}

test('it ends where the first open transaction begins, with those that were aborted before', async () => {
  await wire.createTopic('open')
  await log.write('open', 1, 'a', 'b') // 0, 1
  await log.write('open', 2, 'c') // 2
  await log.end('open', 1, false) // 3
  await log.write('open', 1, 'd') // 4
  const read = await fetchOne(wire, 'open', 0, COMMITTED)
  assert.is(read.lastStableOffset, 2)
  assert.is(read.highWatermark, 5)
  assert.equal(read.abortedTransactions, [{ producerId: 1, firstOffset: 0 }])
  assert.is(await latest('open', 1), 2)
  assert.is(await latest('open', 0), 5)
  assert.is((await fetchOne(wire, 'open', 0)).abortedTransactions, null)
  await log.end('open', 2, true)
  await log.end('open', 1, true)
  assert.is(await latest('open', 1), 7)
  // What ended before is none of theirs who begin behind it.
  assert.equal((await fetchOne(wire, 'open', 4, COMMITTED)).abortedTransactions, [])
})

test('DescribeProducers says where an open transaction began, and who coordinated the last one', async () => {
  await wire.createTopic('producers')
  await log.write('producers', 1, 'a')
  await log.end('producers', 1, true)
  await log.write('producers', 1, 'b', 'c')
  const topics = [{ name: 'producers', partitionIndexes: [0] }]
  const answer = await wire.send(describeProducersApi, 0, { topics })
  const [producer] = answer.topics[0]!.partitions[0]!.activeProducers
  assert.is(producer!.currentTxnStartOffset, 2)
  assert.is(producer!.coordinatorEpoch, 0)
  assert.is(producer!.lastSequence, 2)
})

test('of many that were aborted those are named of which something is read', async () => {
  await wire.createTopic('many')
  for (let i = 0; i < 600; i++) {
    await log.write('many', 1, 'x') // 2 i
    await log.end('many', 1, i % 3 === 0) // 2 i + 1
  }
  const first = await fetchOne(wire, 'many', 1_000, { ...COMMITTED, partitionMaxBytes: 1_500 })
  const named = first.abortedTransactions!.map(({ firstOffset }) => firstOffset)
  const { length } = named
  assert.ok(length > 3 && length < 20, String(length))
  const expected = Array.from({ length: 600 }, (_, i) => 2 * i).filter(at => (at / 2) % 3 !== 0)
  assert.equal(named, expected.filter(at => at >= 1_000).slice(0, length))
  // Still so when the broker comes back.
  wire = await wire.restart()
  log = new TransactionWriter(wire.node)
  const again = await fetchOne(wire, 'many', 1_000, { ...COMMITTED, partitionMaxBytes: 1_500 })
  assert.equal(again.abortedTransactions, first.abortedTransactions)
})

test('KafkaJS reads what was committed, in order, and nothing else', async () => {
  await wire.createTopic('js')
  await log.write('js', 1, 'aborted 1')
  await log.write('js', 2, 'committed 1')
  await log.end('js', 1, false)
  await log.write('js', 1, 'committed 2')
  await log.end('js', 2, true)
  await log.end('js', 1, true)
  await log.write('js', 2, 'aborted 2')
  await log.end('js', 2, false)
  await wire.produce('js', 1)
  await log.write('js', 1, 'open')
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  const brokers = [`${host}:${port}`]
  const kafka = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: 'committed', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: ['js'], fromBeginning: true })
  const found: string[] = []
  const isWhole = new Promise<void>(resolve => {
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
      found.push(String(message.value))
      if (found.length === 3) resolve()
    }
    void consumer.run({ eachMessage })
  })
  await isWhole
  await consumer.disconnect()
  assert.equal(found, ['committed 1', 'committed 2', 'value'])
})

test.run()
