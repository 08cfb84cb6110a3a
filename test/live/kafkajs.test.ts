import kafkajs, { type Kafka, type Producer } from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerProcess } from '../lib/broker-process.ts'
import { lines, program, run } from './tools.ts'

const test = suite('KafkaJS')
let broker: BrokerProcess
let kafka: Kafka

test.before(async () => {
  broker = await BrokerProcess.start()
  kafka = new kafkajs.Kafka({
    clientId: 'live',
    brokers: [broker.address],
    logLevel: kafkajs.logLevel.NOTHING,
  })
})
test.after(() => broker.remove())

async function withProducer<T>(
  options: { idempotent?: boolean },
  use: (producer: Producer) => Promise<T>,
): Promise<T> {
  const producer = kafka.producer({ allowAutoTopicCreation: true, ...options })
  await producer.connect()
  try {
    return await use(producer)
  } finally {
    await producer.disconnect()
  }
}

async function consume(topic: string): Promise<string[]> {
  const args = ['-b', broker.address, '-C', '-q', '-e', '-t', topic, '-p', '0', '-f', '%o|%k|%s\n']
  return lines((await run(program('kcat'), args)).stdout)
}

test('a producer makes its topic and writes; each acknowledgement names the offset', async () => {
  const messages = ['a', 'b', 'c'].map(value => ({ key: 'k', value }))
  const [first] = await withProducer({}, p => p.send({ topic: 'js', messages }))
  assert.is(first!.baseOffset, '0')
  const [second] = await withProducer({}, p => p.send({ topic: 'js', messages, compression: 1 }))
  assert.is(second!.baseOffset, '3')
  assert.equal(await consume('js'), ['0|k|a', '1|k|b', '2|k|c', '3|k|a', '4|k|b', '5|k|c'])
})

test('an idempotent producer writes', async () => {
  await withProducer({ idempotent: true }, async producer => {
    for (const value of ['x', 'y']) {
      await producer.send({ topic: 'js-idempotent', acks: -1, messages: [{ value }] })
    }
  })
  assert.equal(await consume('js-idempotent'), ['0||x', '1||y'])
})

test('an admin makes, lists, grows and deletes topics', async () => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    assert.ok(await admin.createTopics({ topics: [{ topic: 'made', numPartitions: 2 }] }))
    assert.not.ok(await admin.createTopics({ topics: [{ topic: 'made' }] }), 'it exists')
    assert.ok((await admin.listTopics()).includes('made'))
    await admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 3 }] })
    const { topics } = await admin.fetchTopicMetadata({ topics: ['made'] })
    assert.is(topics[0]!.partitions.length, 3)
    await admin.deleteTopics({ topics: ['made'] })
    assert.not.ok((await admin.listTopics()).includes('made'))
  } finally {
    await admin.disconnect()
  }
})

test('an admin reads offsets, deletes records, and reads and sets configs', async () => {
  await withProducer({}, producer =>
    producer.send({ topic: 'admin', messages: ['1', '2', '3'].map(value => ({ value })) }),
  )
  const admin = kafka.admin()
  await admin.connect()
  try {
    const [offsets] = await admin.fetchTopicOffsets('admin')
    assert.is(offsets!.high, '3')
    await admin.deleteTopicRecords({ topic: 'admin', partitions: [{ partition: 0, offset: '2' }] })
    const [after] = await admin.fetchTopicOffsets('admin')
    assert.is(after!.low, '2')
    assert.equal(await consume('admin'), ['2||3'])
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: 'admin' }
    const entry = { name: 'retention.ms', value: '12345' }
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries: [entry] }],
    })
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ ...resource, configNames: ['retention.ms'] }],
    })
    assert.is(resources[0]!.configEntries[0]!.configValue, '12345')
  } finally {
    await admin.disconnect()
  }
})

test('a producer goes on after the broker was killed and started again on its port', async () => {
  const override = [`listeners=PLAINTEXT://127.0.0.1:${broker.port}`]
  await withProducer({ idempotent: true }, async producer => {
    await producer.send({ topic: 'js-killed', acks: -1, messages: [{ value: 'before' }] })
    await broker.kill()
    broker = await BrokerProcess.start({ dir: broker.dir, overrides: override })
    await producer.send({ topic: 'js-killed', acks: -1, messages: [{ value: 'after' }] })
  })
  assert.equal(await consume('js-killed'), ['0||before', '1||after'])
})

test.run()
