import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { produceRequest } from '../../src/protocol/messages/00-produce.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/test-broker.ts'
import { addressOf } from './fault-requests.ts'
import { clientOf, produce } from './kafkajs.ts'

const test = suite('faults of a test broker')
let broker: TestBroker

test.before(async () => {
  broker = await startTestBroker()
})
test.after(() => broker.close())
test.before.each(async () => {
  await broker.seed({ t: { partitions: 2 } })
})
test.after.each(() => broker.reset())

async function valuesOf(topic: string): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of broker.read(topic, { until: 'end' })) values.push(String(value))
  return values
}

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    error => String(error.message),
  )

for (const error of ['NOT_LEADER_OR_FOLLOWER', 'NOT_ENOUGH_REPLICAS'] as const) {
  test(`KafkaJS tries a Produce again after ${error}, and its record arrives once`, async () => {
    const fault = broker.fault({ api: 'Produce', topic: 't', error, times: 2 })
    await produce(clientOf(broker), 't', ['once'])
    assert.is(fault.hits, 2)
    assert.equal(await valuesOf('t'), ['once'])
  })
}

test('an error that KafkaJS does not try again after reaches the program', async () => {
  broker.fault({ api: 'Produce', error: 'MESSAGE_TOO_LARGE' })
  assert.match(await messageOf(produce(clientOf(broker), 't', ['x'])), /larger|too large/i)
  assert.equal(await valuesOf('t'), [])
})

test('a Produce that wants no answer closes the connection instead, and is not written', async () => {
  const fault = broker.fault({ api: 'Produce', topic: 't', error: 'NOT_LEADER_OR_FOLLOWER' })
  await using client = await Client.connect(addressOf(broker))
  const records = await encodeBatch([{ timestamp: 0, value: Buffer.from('x') }])
  const topicData = [{ name: 't', partitionData: [{ index: 0, records }] }]
  client.sendOneWay(produceRequest, 9, { acks: 0, topicData })
  const next = await messageOf(client.send(metadataApi, 12, { topics: [] }))
  assert.match(next, /closed the connection/)
  assert.is(fault.hits, 1)
  assert.equal(await valuesOf('t'), [])
})

test('a dropped request is not handled; one whose answer is dropped is, and is sent again', async () => {
  broker.fault({ api: 'Produce', drop: true })
  await produce(clientOf(broker), 't', ['a'])
  assert.equal(await valuesOf('t'), ['a'])
  broker.fault({ api: 'Produce', drop: 'answer' })
  await produce(clientOf(broker), 't', ['b'])
  assert.equal((await valuesOf('t')).sort(), ['a', 'b', 'b'])
})

test('a delayed request waits with all after it on its connection, in their order', async () => {
  const delay = 120
  broker.fault({ api: 'Metadata', delay })
  await using client = await Client.connect(addressOf(broker))
  const start = performance.now()
  const order: string[] = []
  await Promise.all([
    client.send(metadataApi, 12, { topics: [] }).then(() => order.push('delayed')),
    client.send(heartbeatApi, 4, { groupId: 'g' }).then(() => order.push('after it')),
  ])
  assert.equal(order, ['delayed', 'after it'])
  assert.ok(performance.now() - start >= delay - 1)
})

test('a delayed produce is written as it was sent', async () => {
  broker.fault({ api: 'Produce', delay: 50 })
  const values = Array.from({ length: 100 }, (_, i) => `value ${i}`)
  await produce(clientOf(broker), 't', values)
  assert.equal((await valuesOf('t')).sort(), values.sort())
})

test('a client that is gone, and a broker that stops, do not wait for a delay', async () => {
  const own = await startTestBroker()
  own.fault({ api: 'Metadata', delay: 60_000 })
  const client = await Client.connect(addressOf(own))
  const answer = messageOf(client.send(metadataApi, 12, { topics: [] }))
  const start = performance.now()
  await own.close()
  assert.match(await answer, /closed the connection/)
  assert.ok(performance.now() - start < 5_000)
  await client.close()
})

test('a fetch is answered with the error at once, also one of a session', async () => {
  await using client = await Client.connect(addressOf(broker))
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }
  const topics = [{ topic: 't', partitions: [partition] }]
  const whole = { maxWaitMs: 0, minBytes: 1, topics }
  const { sessionId } = await client.send(fetchApi, 12, { ...whole, sessionEpoch: 0 })
  assert.ok(sessionId > 0)
  const fault = broker.fault({
    api: 'Fetch',
    topic: 't',
    partition: 0,
    error: 'KAFKA_STORAGE_ERROR',
  })
  const next = { maxWaitMs: 60_000, minBytes: 1, sessionId, sessionEpoch: 1 }
  const sentBack = await client.send(fetchApi, 12, next)
  assert.is(sentBack.errorCode, 70, 'FETCH_SESSION_ID_NOT_FOUND')
  const anew = { ...whole, maxWaitMs: 60_000, sessionEpoch: 0 }
  const answer = await client.send(fetchApi, 12, anew)
  assert.is(answer.responses[0]!.partitions[0]!.errorCode, 56)
  assert.is(answer.sessionId, 0, 'the partition would be missing from a session')
  assert.is(fault.hits, 1)
})

test('Metadata of one partition may have no leader while the others have one', async () => {
  broker.fault({ api: 'Metadata', topic: 't', partition: 1, error: 'LEADER_NOT_AVAILABLE' })
  await using client = await Client.connect(addressOf(broker))
  const { topics } = await client.send(metadataApi, 12, { topics: [{ name: 't' }] })
  const shown = topics[0]!.partitions.map(p => [p.partitionIndex, p.errorCode, p.leaderId])
  assert.equal(shown, [
    [0, 0, 1],
    [1, 5, -1],
  ])
})

test('a fault that is removed, by hand, by `using` or by reset, does not strike', async () => {
  const forever = { times: Number.POSITIVE_INFINITY, error: 'MESSAGE_TOO_LARGE' } as const
  const one = broker.fault({ api: 'Produce', ...forever })
  one.remove()
  {
    using two = broker.fault({ api: 'Produce', ...forever })
    assert.is(two.hits, 0)
  }
  await produce(clientOf(broker), 't', ['a'])
  broker.fault({ api: 'Produce', ...forever })
  await broker.reset()
  await broker.seed({ t: {} })
  await produce(clientOf(broker), 't', ['b'])
  assert.equal(await valuesOf('t'), ['b'])
})

test('a fault survives a restart', async () => {
  const fault = broker.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER' })
  await broker.restart()
  await produce(clientOf(broker), 't', ['x'])
  assert.is(fault.hits, 1)
})

test('a fault that cannot be is refused with what is allowed', () => {
  const refusals: [object, RegExp][] = [
    [{ api: 'Nonsense', error: 'NONE' }, /There is no API 'Nonsense'; there is Produce, /],
    [{ api: 'Produce', error: 'NOPE' }, /Kafka has no error 'NOPE'/],
    [{ api: 'Produce' }, /needs an error, a delay or a drop/],
    [{ api: 'Produce', drop: true, error: 'NOT_CONTROLLER' }, /give one of both/],
    [{ api: 'Produce', partition: 0, delay: 1 }, /the topic that it belongs to/],
    [{ api: 'JoinGroup', topic: 't', delay: 1 }, /cannot be told by its topic; Produce, /],
    [{ api: 'CreateTopics', topic: 't', partition: 0, delay: 1 }, /by its partition; Produce, /],
    [{ api: 'Produce', delay: -1 }, /delay is in ms/],
    [{ api: 'Produce', delay: 1, times: 0 }, /times is a whole number above 0/],
  ]
  for (const [options, message] of refusals) {
    assert.throws(() => broker.fault(options as never), message)
  }
})

test.run()
