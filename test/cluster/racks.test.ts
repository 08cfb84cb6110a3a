import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { Kafka, logLevel } from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { makeTopic } from '../lib/cluster-ledger.ts'
import type { PartitionNow } from '../lib/process-cluster.ts'
import { javaCommand } from '../live/tools.ts'

const SELECTOR = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'
const READ_MS_MAX = 30_000
const rackOf = (id: number): string => `rack-${id}`

const test = suite('consumers read in their own rack')
let cluster: BrokerCluster
let place: PartitionNow

test.before(async () => {
  cluster = await BrokerCluster.start(3, id => [
    ...[`broker.rack=${rackOf(id)}`, `replica.selector.class=${SELECTOR}`],
  ])
  await makeTopic(cluster, 't', 1)
  place = (await cluster.untilWhole('t'))[0]!
  await send(...Array.from({ length: 100 }, (_, i) => String(i)))
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const kafka = (): Kafka =>
  new Kafka({ brokers: cluster.bootstrap.split(','), logLevel: logLevel.NOTHING })

async function send(...values: string[]): Promise<void> {
  const producer = kafka().producer()
  await producer.connect()
  await producer.send({ topic: 't', acks: -1, messages: values.map(value => ({ value })) })
  await producer.disconnect()
}

/** What a consumer has read. */
class Values {
  readonly #seen = new Set<string>()
  readonly #waiting = new Map<string, () => void>()

  add(value: string): void {
    this.#seen.add(value)
    this.#waiting.get(value)?.()
  }

  /** Resolves when it was read. */
  has(value: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#seen.has(value)) return resolve()
      this.#waiting.set(value, resolve)
      setTimeout(() => reject(new Error(`${value} was not read`)), READ_MS_MAX).unref()
    })
  }
}

/** One fetch of one partition. */
async function fetchAt(broker: number, version: number, fetchOffset: number, rackId: string) {
  const { port } = cluster.member(broker)
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }]
  const topics = [{ topic: 't', partitions }]
  const request = { ...{ maxWaitMs: 100, minBytes: 1, topics, rackId }, forgottenTopicsData: [] }
  const { responses } = await client.send(fetchApi, version, request)
  return responses[0]!.partitions[0]!
}

const followers = (): number[] => place.replicaNodes.filter(id => id !== place.leaderId)

test('the leader names the replica of the rack, and says nothing more', async () => {
  const [near] = followers()
  const answer = await fetchAt(place.leaderId, 12, 0, rackOf(near!))
  assert.is(answer.preferredReadReplica, near)
  assert.is(answer.records?.length ?? 0, 0)
  assert.is(answer.errorCode, ErrorCode.NONE)
})

test('those of its own rack, of none, and of one without a replica read from the leader', async () => {
  for (const rack of [rackOf(place.leaderId), '', 'elsewhere']) {
    const answer = await fetchAt(place.leaderId, 12, 0, rack)
    assert.is(answer.preferredReadReplica, -1)
    assert.ok(answer.records!.length > 0)
  }
})

test('a follower serves what is committed; not those who do not know that it may', async () => {
  const [near] = followers()
  const answer = await fetchAt(near!, 12, 0, rackOf(near!))
  assert.is(answer.errorCode, ErrorCode.NONE)
  assert.is(answer.highWatermark, 100)
  assert.ok(answer.records!.length > 0)
  assert.is((await fetchAt(near!, 12, 101, '')).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
  assert.is((await fetchAt(near!, 10, 0, '')).errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER)
})

test('KafkaJS reads there: what was written before, and what comes', async () => {
  const [near] = followers()
  const consumer = kafka().consumer({ groupId: 'g', rackId: rackOf(near!) })
  const servedBy = new Map<string, string>()
  let latest = ''
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    if (payload.apiName === 'Fetch') latest = payload.broker
  })
  await consumer.connect()
  await consumer.subscribe({ topic: 't', fromBeginning: true })
  const seen = new Values()
  await consumer.run({
    eachMessage: async ({ message }) => {
      servedBy.set(String(message.value), latest)
      seen.add(String(message.value))
    },
  })
  try {
    await seen.has('99')
    await send('new')
    await seen.has('new')
  } finally {
    await consumer.disconnect()
  }
  assert.is(servedBy.get('new'), `127.0.0.1:${cluster.member(near!).port}`)
})

test("Java's consumer reads on at the leader when the replica of its rack dies", async () => {
  const [near] = followers()
  const [java, ...args] = javaCommand('org.apache.kafka.tools.consumer.ConsoleConsumer')
  const consumer = spawn(java!, [
    ...[...args, '--bootstrap-server', cluster.bootstrap, '--topic', 't', '--partition', '0'],
    ...['--offset', 'earliest', '--command-property', `client.rack=${rackOf(near!)}`],
  ])
  const seen = new Values()
  createInterface({ input: consumer.stdout }).on('line', line => seen.add(line))
  try {
    await seen.has('99')
    await cluster.broker(near!).kill()
    await send('newer')
    await seen.has('newer')
  } finally {
    consumer.kill()
  }
})

test.run()
