import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { batchBytes } from '../../src/protocol/record-batch.ts'
import { unequal } from '../crash/cluster-cut/check.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, kafkaOf, Ledger, makeTopicOn, move, readAll } from '../lib/cluster-ledger.ts'
import { flip } from '../lib/flip.ts'

const test = suite('a damaged log on one of three brokers')
/** What a segment holds at least, and what is written before anything is damaged. */
const SEGMENT_BYTES = 1 << 20
const RECORDS = 400
const RECORD_BYTES = 10_000

let cluster: BrokerCluster

test.before(async () => {
  cluster = await BrokerCluster.start(3, ['auto.leader.rebalance.enable=false'])
})
test.after(() => cluster[Symbol.asyncDispose]())

/** Led by the first of its replicas, with several segments. */
async function makeTopic(name: string, replicas: number[]): Promise<void> {
  const segments = { name: 'segment.bytes', value: String(SEGMENT_BYTES) }
  await makeTopicOn(cluster, name, replicas, [segments])
  const producer = kafkaOf(cluster).producer()
  await producer.connect()
  const value = Buffer.alloc(RECORD_BYTES, 'old')
  for (let sent = 0; sent < RECORDS; sent += 50) {
    await producer.send({ topic: name, messages: new Array(50).fill({ value }) })
  }
  await producer.disconnect()
}

const segmentsOf = (id: number, topic: string): string[] => {
  const dir = join(cluster.member(id).dir, `${topic}-0`)
  const names = readdirSync(dir).filter(name => name.endsWith('.log'))
  return names.sort().map(name => join(dir, name))
}

/** A bit of the second batch in a segment that is closed. */
function damage(id: number, topic: string, at: number): void {
  const [first, ...later] = segmentsOf(id, topic)
  assert.ok(later.length > 1)
  flip(first!, batchBytes(readFileSync(first!)) + at)
}

async function expectWhole(topic: string, ledger: Ledger): Promise<void> {
  await cluster.until(topic, ([p]) => p!.isrNodes.length === 3)
  await ledger.more(20)
  await ledger.stop()
  assert.equal(ledger.errors, [])
  const found = await readAll(cluster, topic, RECORDS + ledger.acknowledged.length)
  const own = found.filter(value => !value.startsWith('old'))
  assert.is(found.length - own.length, RECORDS)
  assert.equal(judge(ledger.acknowledged, own), { lost: [], doubled: 0, isInOrder: true })
  assert.equal(await unequal(cluster, topic), [])
}

for (const [what, at] of [
  ['a record', 5_000],
  ['an offset', 3],
  ['a size', 9],
  ['a leader epoch', 13],
] as const) {
  test(`a leader that finds ${what} damaged as a new replica wants it gives way to another, and is filled anew`, async () => {
    const topic = `rotten-${at}`
    await makeTopic(topic, [1, 2])
    const ledger = await Ledger.start(cluster, topic)
    // The last 64 batches are read from memory.
    await ledger.more(70)
    damage(1, topic, at)
    await move(cluster, topic, [1, 2, 3])
    await cluster.until(topic, ([p]) => p!.leaderId === 2)
    await expectWhole(topic, ledger)
  })
}

test('a log that is found damaged at the start of its broker is filled anew', async () => {
  const topic = 'torn'
  await makeTopic(topic, [1, 2, 3])
  const ledger = await Ledger.start(cluster, topic)
  await cluster.broker(3).kill()
  const last = segmentsOf(3, topic).at(-1)!
  writeFileSync(last, readFileSync(last).subarray(0, 100))
  await cluster.startBroker(3)
  await expectWhole(topic, ledger)
  assert.ok(readdirSync(cluster.member(3).dir).some(name => /^torn-0\..*-stray$/.test(name)))
})

for (const id of [1, 2]) {
  test(`damage that nobody reads is found in time, and the log filled anew (broker ${id} of a leader and a follower)`, async () => {
    await cluster[Symbol.asyncDispose]()
    const scrub = ['odradek.scrub.interval.ms=500', 'odradek.scrub.bytes.per.second=100000000']
    cluster = await BrokerCluster.start(3, ['auto.leader.rebalance.enable=false', ...scrub])
    const topic = 'unread'
    await makeTopic(topic, [1, 2, 3])
    const ledger = await Ledger.start(cluster, topic)
    damage(id, topic, 5_000)
    const isAside = (): boolean =>
      readdirSync(cluster.member(id).dir).some(name => /^unread-0\..*-stray$/.test(name))
    await cluster.until(topic, () => isAside())
    await expectWhole(topic, ledger)
    assert.not(cluster.members.some(({ broker }) => /bug:/.test(broker!.output)))
  })
}

test.run()
