import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { clientOf } from './kafkajs.ts'

const test = suite('a cluster for tests')
let cluster: TestCluster
let topics = 0

const client = () => clientOf(cluster)
let admin: ReturnType<ReturnType<typeof client>['admin']>
let producer: ReturnType<ReturnType<typeof client>['producer']>

test.before(async () => {
  cluster = await startTestCluster()
  admin = client().admin()
  producer = client().producer()
  await Promise.all([admin.connect(), producer.connect()])
})
test.after(async () => {
  await Promise.all([admin.disconnect(), producer.disconnect()])
  await cluster.close()
})

/** A topic of one partition, led and in sync. */
async function topicOf(replicas = 3): Promise<string> {
  const topic = `t${topics++}`
  await admin.createTopics({
    topics: [{ topic, numPartitions: 1, replicationFactor: replicas }],
    waitForLeaders: false,
  })
  await cluster.waitForIsr(topic)
  return topic
}

async function write(topic: string, value: string): Promise<void> {
  await producer.send({ topic, acks: -1, messages: [{ value }] })
}

async function rejects(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, Error)
  assert.match((error as Error).message, pattern)
}

/** What the broker that leads it has. */
async function valuesOf(topic: string): Promise<string[]> {
  const leader = await cluster.waitForLeader(topic)
  const values: string[] = []
  for await (const { value } of cluster.broker(leader).read(topic, { until: 'end' })) {
    values.push(String(value))
  }
  return values
}

test('its leader is killed: another one leads, with all that was acknowledged; and it comes back', async () => {
  const topic = await topicOf()
  const first = await cluster.waitForLeader(topic)
  await write(topic, 'a')
  await cluster.kill(first)
  const second = await cluster.waitForLeader(topic, 0, { not: first })
  await write(topic, 'b')
  assert.equal(await valuesOf(topic), ['a', 'b'])
  await cluster.restart(first)
  assert.equal(await cluster.waitForIsr(topic), [1, 2, 3])
  await cluster.kill(second)
  await cluster.waitForLeader(topic, 0, { not: second })
  assert.equal(await valuesOf(topic), ['a', 'b'])
  await cluster.restart(second)
  await cluster.waitForIsr(topic)
})

test('a leader that is moved', async () => {
  const topic = await topicOf()
  for (const id of [3, 1, 2, 2]) {
    await cluster.moveLeader(topic, 0, id)
    await write(topic, `${id}`)
  }
  assert.equal(await valuesOf(topic), ['3', '1', '2', '2'])
  const single = await topicOf(1)
  const leader = await cluster.waitForLeader(single)
  const other = (leader % 3) + 1
  await rejects(cluster.moveLeader(single, 0, other), /has no replica of .*; \d have one/)
})

/** By whoever leads it, when it is committed. */
async function append(topic: string, value: string): Promise<void> {
  await cluster.broker(await cluster.waitForLeader(topic)).append(topic, [{ value }])
}

test('a leader that stands still answers when it goes on; another one leads by then', async () => {
  const topic = await topicOf()
  await cluster.moveLeader(topic, 0, 1)
  await append(topic, 'a')
  const [host, port] = cluster.broker(1).bootstrapServers.split(':')
  await using asking = await Client.connect({ host: host!, port: Number(port) })
  cluster.pause(1)
  let isAnswered = false
  const request = { topics: [{ name: topic }], allowAutoTopicCreation: false }
  const answer = asking.send(metadataApi, 9, request).finally(() => {
    isAnswered = true
  })
  const leader = await cluster.waitForLeader(topic, 0, { not: 1, timeout: 20_000 })
  assert.equal(await cluster.waitForIsr(topic, 0, { isr: [2, 3], timeout: 20_000 }), [2, 3])
  await append(topic, 'b')
  assert.not(isAnswered)
  cluster.resume(1)
  assert.is((await answer).topics[0]!.partitions.length, 1)
  await cluster.waitForLeader(topic, 0, { id: leader })
  assert.equal(await cluster.waitForIsr(topic, 0, { timeout: 20_000 }), [1, 2, 3])
  assert.equal(await valuesOf(topic), ['a', 'b'])
})

test('a leader that is cut off acknowledges nothing; those who are together go on, and it appends there when it can', async () => {
  const topic = await topicOf()
  await cluster.moveLeader(topic, 0, 1)
  await append(topic, 'a')
  cluster.partition([1], [2, 3])
  let isAcknowledged = false
  const late = cluster.broker(1).append(topic, [{ value: 'late' }])
  const told = late.then(() => {
    isAcknowledged = true
  })
  await cluster.waitForLeader(topic, 0, { not: 1, timeout: 20_000 })
  await cluster.waitForIsr(topic, 0, { isr: [2, 3], timeout: 20_000 })
  await append(topic, 'b')
  assert.not(isAcknowledged)
  cluster.heal()
  assert.equal(await cluster.waitForIsr(topic, 0, { timeout: 20_000 }), [1, 2, 3])
  await told
  assert.equal(await valuesOf(topic), ['a', 'b', 'late'])
})

test('what does not come about is said, and what is asked wrongly', async () => {
  const topic = await topicOf()
  const leader = await cluster.waitForLeader(topic)
  await rejects(
    cluster.waitForLeader(topic, 0, { not: leader, timeout: 50 }),
    new RegExp(`${topic}-0 had no leader.* after 50 ms: broker 1 says leader ${leader}, in sync`),
  )
  await rejects(
    cluster.waitForIsr(topic, 0, { isr: [1], timeout: 50 }),
    /was not in sync on 1 after 50 ms: broker 1 says/,
  )
  await rejects(cluster.waitForLeader('nowhere', 0, { timeout: 50 }), /no running broker knows it/)
  assert.throws(() => cluster.broker(4), /There is no broker 4; there is 1, 2, 3/)
  assert.throws(() => cluster.partition([1], [1, 2]), /in two of them/)
  assert.throws(() => cluster.partition(), /arrays of ids/)
  await rejects(cluster.waitForIsr(topic, 0, { isrs: [1] } as never), /did you mean isr/)
  await rejects(startTestCluster({ brokers: 0 }), /a whole number from 1 to 9/)
  await rejects(startTestCluster({ 'node.id': 7 } as never), /left out: the brokers are 1, 2/)
})

test('more brokers than a topic has replicas: each partition is found where it is', async () => {
  await using larger = await startTestCluster({ brokers: 5 })
  await larger.broker(1).seed({ t: { partitions: 5 } })
  for (let i = 0; i < 5; i++) {
    const isr = await larger.waitForIsr('t', i)
    assert.is(isr.length, 3)
    await larger.moveLeader('t', i, isr[2]!)
    assert.is(await larger.waitForLeader('t', i), isr[2])
  }
})

test('one and two brokers are clusters, too; a closed one refuses', async () => {
  for (const brokers of [1, 2]) {
    const small = await startTestCluster({ brokers })
    const leader = small.broker(1)
    await leader.seed({ t: { partitions: brokers } })
    for (let i = 0; i < brokers; i++) {
      assert.is((await small.waitForIsr('t', i)).length, brokers)
    }
    await small.close()
    await small.close()
    await rejects(small.waitForLeader('t'), /closed/)
    assert.throws(() => small.broker(1), /closed/)
  }
})

test.run()
