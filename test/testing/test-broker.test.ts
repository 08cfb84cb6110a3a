import { existsSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { ALL_BROKERS } from '../../src/configs/dynamic.ts'
import { InvalidOption } from '../../src/errors.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { incrementalAlterConfigsApi } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/test-broker.ts'
import { addressOf } from './fault-requests.ts'
import { clientOf, produce, QUICK } from './kafkajs.ts'

const test = suite('a test broker')

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    error => error,
  )

async function valuesOf(broker: TestBroker, topic: string): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of broker.read(topic, { until: 'end' })) values.push(String(value))
  return values
}

/** The state of a fresh broker, as a client sees it. */
async function contents(broker: TestBroker) {
  const admin = clientOf(broker).admin()
  await admin.connect()
  try {
    const { groups } = await admin.listGroups()
    return { topics: await admin.listTopics(), groups: groups.map(({ groupId }) => groupId) }
  } finally {
    await admin.disconnect()
  }
}

test('brokers one after the other leave nothing open', async () => {
  // Some listeners are made once for all brokers of a process.
  await (await startTestBroker()).close()
  const before = process.getActiveResourcesInfo().sort()
  const listeners = process.listenerCount('exit')
  for (let i = 0; i < 5; i++) {
    await using broker = await startTestBroker()
    await broker.append('t', [{ value: 'x' }])
  }
  assert.equal(process.getActiveResourcesInfo().sort(), before)
  assert.is(process.listenerCount('exit'), listeners)
})

test('each has a port and a folder of its own, and leaves neither', async () => {
  const [one, two] = await Promise.all([startTestBroker(), startTestBroker()])
  assert.is.not(one.bootstrapServers, two.bootstrapServers)
  assert.is.not(one.dataDir, two.dataDir)
  await one.append('t', [{ value: 'of one' }])
  await produce(clientOf(two), 't', ['of two'])
  assert.equal([await valuesOf(one, 't'), await valuesOf(two, 't')], [['of one'], ['of two']])
  await Promise.all([one.close(), two.close(), two.close()])
  assert.not(existsSync(one.dataDir))
  const refused = await errorOf(Client.connect(addressOf(two)))
  assert.match(String(refused), /ECONNREFUSED/)
})

test('any option of a broker can be given, but not its address or folder', async () => {
  await using broker = await startTestBroker({
    numPartitions: 3,
    'auto.create.topics.enable': true,
  })
  const placed = await broker.append('t', [{ value: 'a' }, { value: 'b', partition: 2 }])
  assert.is(placed[1]!.partition, 2)
  for (const key of ['dataDir', 'listeners', 'logDirs']) {
    const error = await errorOf(startTestBroker({ [key]: '/tmp' }))
    assert.instance(error, InvalidOption)
  }
})

test('a batch may be as large as message.max.bytes says, whatever ring a test broker has by itself', async () => {
  await using broker = await startTestBroker({ messageMaxBytes: 8_000_000 })
  const value = Buffer.alloc(7_999_000, 'x')
  await produce(clientOf(broker), 'large', [String(value)])
  await broker.append('large', [{ value }])
  assert.equal(await valuesOf(broker, 'large'), [String(value), String(value)])
})

test('an aborted signal stops the start, and closes a broker that runs', async () => {
  const reason = new Error('enough')
  assert.is(await errorOf(startTestBroker({ signal: AbortSignal.abort(reason) })), reason)
  const stop = new AbortController()
  const broker = await startTestBroker({ signal: stop.signal })
  stop.abort(reason)
  await broker.close()
  assert.not(existsSync(broker.dataDir))
})

test('seed makes topics as told, and says where their records are', async () => {
  await using broker = await startTestBroker()
  const placed = await broker.seed({
    plain: [{ value: 'a' }, { value: 'b' }],
    wide: { partitions: 3, records: [{ value: 'c', partition: 1 }] },
    compacted: { configs: { 'cleanup.policy': 'compact' } },
  })
  assert.equal(placed, {
    plain: [
      { partition: 0, offset: 0 },
      { partition: 0, offset: 1 },
    ],
    wide: [{ partition: 1, offset: 0 }],
    compacted: [],
  })
  await broker.seed({ plain: [{ value: 'more' }] })
  assert.equal(await valuesOf(broker, 'plain'), ['a', 'b', 'more'])
  const twice = await errorOf(broker.seed({ wide: { partitions: 4 } }))
  assert.match(String(twice), /Topic 'wide' already exists/)
  const unknown = await errorOf(broker.seed({ bad: { configs: { 'no.such': '1' } } }))
  assert.match(String(unknown), /no\.such/)
})

test('reset leaves an empty broker at the same address, connections as they are', async () => {
  await using broker = await startTestBroker()
  await broker.seed({ a: [{ value: 'old' }], b: { partitions: 3 } })
  const consumer = clientOf(broker).consumer({ groupId: 'g', ...QUICK })
  await consumer.connect()
  await consumer.subscribe({ topics: ['a'], fromBeginning: true })
  await consumer.run({ eachMessage: async () => {} })
  await broker.waitForGroupStable('g')
  await consumer.disconnect()
  broker.fault({ api: 'Metadata', error: 'BROKER_NOT_AVAILABLE', times: Number.POSITIVE_INFINITY })
  await using client = await Client.connect(addressOf(broker))
  await setDynamicConfig(client)
  await broker.reset()
  assert.equal(await contents(broker), { topics: [], groups: [] })
  await produce(clientOf(broker), 'a', ['new']).catch(() => {})
  await broker.append('a', [{ value: 'new' }])
  assert.is((await valuesOf(broker, 'a')).at(-1), 'new')
  const answer = await setDynamicConfig(client)
  assert.is(answer, 0, 'the connection from before is still served')
})

test('seed makes a topic anew that a client has asked into being, if nobody has written to it', async () => {
  await using broker = await startTestBroker({ numPartitions: 2 })
  await using client = await Client.connect(addressOf(broker))
  const ask = async (...names: string[]) => {
    const topics = names.map(name => ({ name }))
    const answer = await client.send(metadataApi, 12, { topics, allowAutoTopicCreation: true })
    return answer.topics.map(({ topicId, partitions }) => ({ topicId, count: partitions.length }))
  }
  const names = ['fewer', 'more', 'set', 'alike', 'untold']
  const made = await ask(...names)
  const placed = await broker.seed({
    fewer: { partitions: 1, records: [{ value: 'a', partition: 0 }] },
    more: { partitions: 3, records: [{ value: 'a', partition: 2 }] },
    set: { configs: { 'cleanup.policy': ['compact', 'delete'], 'retention.ms': 1000 } },
    alike: { partitions: 2, records: [{ value: 'a', partition: 1 }] },
    untold: [{ value: 'a', partition: 1 }],
  })
  assert.equal(placed.more, [{ partition: 2, offset: 0 }])
  const found = await ask(...names)
  assert.equal(
    found.map(({ count }) => count),
    [1, 3, 2, 2, 2],
  )
  const isSame = found.map(({ topicId }, i) => topicId === made[i]!.topicId)
  assert.equal(isSame, [false, false, false, true, true])
  // Not what somebody has written to or made otherwise.
  for (const name of names) {
    const error = await errorOf(broker.seed({ [name]: { partitions: 4 } }))
    assert.match(String(error), `Topic '${name}' already exists`)
  }
  const wrong = await errorOf(broker.seed({ t: { configs: { 'retention.ms': {} as never } } }))
  assert.match(String(wrong), /^TypeError: configs\.retention\.ms must be a text, a number/)
})

test('reset and seed work while a consumer runs, which goes on with what was seeded', async () => {
  await using broker = await startTestBroker()
  let wake = (): void => {}
  const seen = new Set<string>()
  const consumer = clientOf(broker).consumer({ groupId: 'g', ...QUICK })
  await broker.seed({ orders: { partitions: 1 } })
  await consumer.connect()
  await consumer.subscribe({ topics: ['orders'], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      seen.add(String(message.value))
      wake()
    },
  })
  await broker.waitForGroupStable('g')
  for (let round = 0; round < 3; round++) {
    await broker.reset()
    const value = String(round)
    await broker.seed({ orders: { partitions: 3, records: [{ value, partition: 0 }] } })
    while (!seen.has(value)) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  await consumer.disconnect()
})

/** @returns the error code */
async function setDynamicConfig(client: Client): Promise<number> {
  const configs = [{ name: 'log.retention.ms', configOperation: 0, value: '1000' }]
  const resources = [{ resourceType: 4, resourceName: ALL_BROKERS, configs }]
  const answer = await client.send(incrementalAlterConfigsApi, 1, { resources })
  return answer.responses[0]!.errorCode
}

for (const crash of [false, true]) {
  test(`a restart ${crash ? 'by a crash ' : ''}keeps address and acknowledged records`, async () => {
    await using broker = await startTestBroker()
    const address = broker.bootstrapServers
    await broker.seed({ t: {} })
    await produce(clientOf(broker), 't', ['acknowledged'])
    await broker.restart({ crash })
    assert.is(broker.bootstrapServers, address)
    assert.equal(await valuesOf(broker, 't'), ['acknowledged'])
    await produce(clientOf(broker), 't', ['after'])
    assert.equal(await valuesOf(broker, 't'), ['acknowledged', 'after'])
  })
}

test('a client that is connected lives through a restart, and committed offsets too', async () => {
  await using broker = await startTestBroker()
  await broker.seed({ t: [{ value: '0' }] })
  const seen: string[] = []
  let wake = (): void => {}
  const consumer = clientOf(broker).consumer({
    groupId: 'g',
    ...QUICK,
    retry: { initialRetryTime: 20 },
  })
  const committed = new Promise<void>(resolve => {
    consumer.on(consumer.events.COMMIT_OFFSETS, () => resolve())
  })
  await consumer.connect()
  await consumer.subscribe({ topics: ['t'], fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => {
      seen.push(String(message.value))
      wake()
    },
  })
  const until = async (count: number): Promise<void> => {
    while (seen.length < count) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  await until(1)
  await committed
  await broker.restart({ crash: true })
  await broker.append('t', [{ value: '1' }])
  await until(2)
  await consumer.disconnect()
  assert.equal(seen, ['0', '1'])
})

test.run()
