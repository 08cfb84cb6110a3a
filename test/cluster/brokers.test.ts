import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, kafkaOf, Ledger, makeTopic, readAll } from '../lib/cluster-ledger.ts'

const { ConfigResourceTypes } = kafkajs

const test = suite('three brokers')

let cluster: BrokerCluster

test.before(async () => {
  cluster = await BrokerCluster.start(3)
})

test.after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const leaderOf = async (topic: string): Promise<number> =>
  (await cluster.untilWhole(topic))[0]!.leaderId

/** Nothing lost, doubled or out of order. */
async function check(topic: string, { acknowledged }: Ledger): Promise<void> {
  const found = await readAll(cluster, topic, acknowledged.length)
  assert.equal(judge(acknowledged, found), { lost: [], doubled: 0, isInOrder: true })
}

/** The bytes of a partition's segments on one broker. */
function logOf(id: number, partition: string): Buffer {
  const dir = join(cluster.member(id).dir, partition)
  const names = readdirSync(dir).filter(name => name.endsWith('.log'))
  return Buffer.concat(names.sort().map(name => readFileSync(join(dir, name))))
}

test('leaders are spread over brokers, and each broker tells the same of them', async () => {
  await makeTopic(cluster, 'spread', 6)
  const seen = await Promise.all([1, 2, 3].map(id => cluster.partitions('spread', id)))
  assert.equal(seen[1], seen[0])
  assert.equal(seen[2], seen[0])
  assert.equal(new Set(seen[0]!.map(({ leaderId }) => leaderId)).size, 3)
})

test('a follower that dies under load costs nothing, comes back, and has the same bytes', async () => {
  await makeTopic(cluster, 'followed')
  const ledger = await Ledger.start(cluster, 'followed')
  const leader = await leaderOf('followed')
  const follower = [1, 2, 3].find(id => id !== leader)!
  await cluster.broker(follower).kill()
  await ledger.more(30)
  await cluster.startBroker(follower)
  await cluster.untilWhole('followed')
  await ledger.more(5)
  await ledger.stop()
  assert.equal(ledger.errors, [])
  await check('followed', ledger)
  const logs = [1, 2, 3].map(id => logOf(id, 'followed-0'))
  assert.ok(logs[0]!.length > 0)
  assert.ok(logs[1]!.equals(logs[0]!) && logs[2]!.equals(logs[0]!))
})

test('configs that one broker was asked to change are in force on all, also for leaders', async () => {
  await makeTopic(cluster, 'configured')
  const admin = kafkaOf(cluster).admin()
  await admin.connect()
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: 'configured',
        configEntries: [{ name: 'min.insync.replicas', value: '3' }],
      },
    ],
  })
  const leader = await leaderOf('configured')
  const follower = [1, 2, 3].find(id => id !== leader)!
  await cluster.broker(follower).kill()
  await cluster.until('configured', ([p]) => p!.isrNodes.length === 2)
  const producer = kafkaOf(cluster).producer({ retry: { retries: 0 } })
  await producer.connect()
  const messages = [{ value: 'x' }]
  const refused = await producer.send({ topic: 'configured', acks: -1, messages }).catch(e => e)
  assert.match(String(refused), /not enough in-sync replicas|Messages are rejected/i)
  await producer.send({ topic: 'configured', acks: 1, messages })
  await producer.disconnect()
  await admin.disconnect()
  await cluster.startBroker(follower)
  await cluster.untilWhole('configured')
})

test('a leader that is killed is replaced within a second, and nothing acknowledged is lost', async () => {
  await makeTopic(cluster, 'led')
  const ledger = await Ledger.start(cluster, 'led')
  const gaps: number[] = []
  for (let cycle = 0; cycle < 3; cycle++) {
    const leader = await leaderOf('led')
    ledger.resetGap()
    await cluster.broker(leader).kill()
    await ledger.more(5)
    gaps.push(ledger.gapMs)
    await cluster.startBroker(leader)
  }
  await cluster.untilWhole('led')
  await ledger.stop()
  await check('led', ledger)
  const median = gaps.sort((a, b) => a - b)[1]!
  // Of the aim of 1 s; the machine may be busy.
  assert.ok(median < 3_000, `gaps ${gaps}`)
})

test('a group goes on when its coordinator dies, where it had committed', async () => {
  await makeTopic(cluster, 'grouped')
  const ledger = await Ledger.start(cluster, 'grouped')
  await ledger.more(20)
  await ledger.stop()
  const first = await readAll(cluster, 'grouped', ledger.acknowledged.length, 'group')
  assert.is(first.length, ledger.acknowledged.length)
  for (const id of [1, 2, 3]) {
    await cluster.broker(id).kill()
    await cluster.startBroker(id)
    await cluster.untilWhole('__consumer_offsets')
  }
  const more = await Ledger.start(cluster, 'grouped')
  await more.more(10)
  await more.stop()
  const second = await readAll(cluster, 'grouped', more.acknowledged.length, 'group')
  assert.equal(second, more.acknowledged)
})

test('etcd away: records are written and read; it comes back: brokers are replaced again', async () => {
  await makeTopic(cluster, 'alone')
  const ledger = await Ledger.start(cluster, 'alone')
  await cluster.etcd.kill()
  // Longer than the leases.
  const until = Date.now() + 8_000
  while (Date.now() < until) await ledger.more(1)
  assert.equal(ledger.errors, [])
  await cluster.etcd.start()
  const leader = await leaderOf('alone')
  await cluster.broker(leader).kill()
  await ledger.more(5)
  await cluster.startBroker(leader)
  await cluster.untilWhole('alone')
  await ledger.stop()
  await check('alone', ledger)
})

test('all three killed at once have everything that was acknowledged', async () => {
  await makeTopic(cluster, 'all')
  const ledger = await Ledger.start(cluster, 'all')
  await ledger.more(30)
  await Promise.all([1, 2, 3].map(id => cluster.broker(id).kill()))
  await Promise.all([1, 2, 3].map(id => cluster.startBroker(id)))
  await cluster.untilWhole('all')
  await ledger.more(5)
  await ledger.stop()
  await check('all', ledger)
})

test('a broker that is told to stop hands over first: producers see no error', async () => {
  await makeTopic(cluster, 'rolled')
  const ledger = await Ledger.start(cluster, 'rolled')
  for (const id of [1, 2, 3]) {
    const { code } = await cluster.broker(id).stop()
    assert.is(code, 0)
    await ledger.more(5)
    await cluster.startBroker(id)
    await cluster.untilWhole('rolled')
  }
  await ledger.more(5)
  await ledger.stop()
  assert.equal(ledger.errors, [])
  await check('rolled', ledger)
})

test.run()
