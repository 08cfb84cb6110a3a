import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Program } from '../cli/program.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { makeTopic } from '../lib/cluster-ledger.ts'

const test = suite('odradek cluster, on three brokers')
let cluster: BrokerCluster
const cli = new Program()

test.before(async () => {
  cluster = await BrokerCluster.start(3)
  cli.env = { ODRADEK_BOOTSTRAP: cluster.bootstrap }
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
})

interface Broker {
  readonly id: number
  readonly isThere: boolean
  readonly leads: number
  readonly replicas: number
  readonly inSync: number
}

test('status shows a broker that is gone, and what is under-replicated and offline without it', async () => {
  await makeTopic(cluster, 'shown', 3)
  const well = await cli.json(['cluster', 'status'])
  assert.equal(
    well.brokers.map((b: Broker) => [b.isThere, b.leads, b.replicas, b.inSync]),
    [1, 2, 3].map(() => [true, 1, 3, 3]),
  )
  assert.equal([well.offline, well.underReplicated], [[], []])
  await cluster.broker(3).kill()
  await cluster.until('shown', all => all.every(p => p.isrNodes.length === 2))
  const one = await cli.json(['cluster', 'status'])
  const gone = one.brokers.find((b: Broker) => b.id === 3)
  assert.equal([gone.isThere, gone.leads, gone.replicas, gone.inSync], [false, 0, 3, 0])
  assert.is(one.underReplicated.length, 3)
  assert.match(await cli.ok(['cluster', 'status']), '0 offline, 3 under-replicated')
  // Below min.insync.replicas: who left last is as good as in sync.
  await cluster.broker(2).kill()
  await cluster.until('shown', all => all.every(p => p.isrNodes.length === 1))
  const two = await cli.json(['cluster', 'status'])
  for (const { isr, elr } of two.underReplicated) assert.equal([isr, elr], [[1], [2]])
})

test('elect has partitions led by the first of their replicas again', async () => {
  await cluster.startBroker(2)
  await cluster.startBroker(3)
  await cluster.untilWhole('shown')
  const elected = await cli.json(['cluster', 'elect', '--all'])
  assert.ok(elected.length > 0)
  assert.ok(elected.every((one: { result: string }) => one.result === 'elected'))
  const preferred = await cluster.until('shown', all =>
    all.every(p => p.leaderId === p.replicaNodes[0]),
  )
  assert.is(preferred.length, 3)
  assert.is(await cli.ok(['cluster', 'elect', '--all']), '0 leaders elected\n')
})

test.run()
