import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, Ledger, makeTopicOn, readAll } from '../lib/cluster-ledger.ts'
import { SmallDisk } from '../lib/small-disk.ts'

const test = suite('a disk without room in a cluster')
/** The broker with the small disk. */
const SMALL = 2

let disk: SmallDisk
let cluster: BrokerCluster

test.before(async () => {
  disk = new SmallDisk(160)
  const overrides = [
    ...['odradek.journal.bytes=4194304', 'replica.lag.time.max.ms=2000'],
    // Otherwise the leader goes back as soon as it can.
    'auto.leader.rebalance.enable=false',
  ]
  cluster = await BrokerCluster.start(3, id => [
    ...overrides,
    ...(id === SMALL ? [`log.dirs=${join(disk.path, 'data')}`] : []),
  ])
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
  disk[Symbol.dispose]()
})

/** While it has no room the disk is full; nothing is lost, and nobody sees an error. */
async function fillUnderLoad(
  topic: string,
  replicas: number[],
  whileFull: () => Promise<unknown>,
): Promise<void> {
  await makeTopicOn(cluster, topic, replicas)
  const ledger = await Ledger.start(cluster, topic)
  disk.fill()
  await whileFull()
  await ledger.more(20)
  disk.free()
  await cluster.untilWhole(topic)
  await ledger.more(20)
  await ledger.stop()
  assert.equal(ledger.errors, [])
  const found = await readAll(cluster, topic, ledger.acknowledged.length)
  assert.equal(judge(ledger.acknowledged, found), { lost: [], doubled: 0, isInOrder: true })
}

test('a follower without room leaves the ISR, and is back by itself when there is some', () =>
  fillUnderLoad('followed', [1, SMALL, 3], () =>
    cluster.until('followed', ([p]) => p!.isrNodes.length === 2),
  ))

test('a leader without room gives its place to one that has some, and follows when there is some', () =>
  fillUnderLoad('led', [SMALL, 3, 1], () =>
    cluster.until('led', ([p]) => p!.leaderId !== SMALL && p!.isrNodes.length === 2),
  ))

test.run()
