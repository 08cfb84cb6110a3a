import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Program } from '../cli/program.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, Ledger, makeTopic, readAll, rest } from '../lib/cluster-ledger.ts'

const test = suite('a cluster that grows and shrinks')
let cluster: BrokerCluster
const cli = new Program()

interface Planned {
  readonly executed: boolean
  readonly copies: number
  readonly moves: readonly { readonly to: readonly number[] }[]
}

test.before(async () => {
  cluster = await BrokerCluster.start(4)
  cli.env = { ODRADEK_BOOTSTRAP: cluster.bootstrap }
  await cluster.broker(4).kill()
  while ((await cli.json(['cluster', 'info'])).brokers.length > 3) await rest(20)
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
})

/** Of all topics: how many partitions each broker holds, and leads. */
async function held(): Promise<Record<number, readonly [number, number]>> {
  const { brokers } = await cli.json(['cluster', 'status'])
  return Object.fromEntries(
    brokers.map((b: { id: number; replicas: number; leads: number }) => [
      b.id,
      [b.replicas, b.leads],
    ]),
  )
}

test('a plan is shown and nothing done; a broker that is not there is refused', async () => {
  await makeTopic(cluster, 'grown', 8)
  const missing = await cli.run(['cluster', 'add', '4'])
  assert.is(missing.code, 1)
  assert.match(missing.stderr, /^odradek: broker 4 is not there: start it first/)
  await cluster.startBroker(4)
  const plan: Planned = await cli.json(['cluster', 'add', '4'])
  assert.equal([plan.executed, plan.copies], [false, 6])
  assert.ok(plan.moves.some(({ to }) => to.includes(4)))
  assert.match(
    await cli.ok(['cluster', 'add', '4']),
    /6 replicas to copy, .* add --execute to do it\.\n$/,
  )
  assert.equal((await held())[4], [0, 0])
})

test('a broker takes its share under load: nothing is lost, doubled or refused', async () => {
  const ledger = await Ledger.start(cluster, 'grown')
  const done: Planned = await cli.json(['cluster', 'add', '4', '--throttle', '50MB', '--execute'])
  assert.is(done.executed, true)
  await ledger.more(50)
  await cluster.untilWhole('grown')
  const now = await held()
  assert.equal(now[4], [6, 2])
  await ledger.stop()
  assert.equal(ledger.errors, [])
  const found = await readAll(cluster, 'grown', ledger.acknowledged.length)
  assert.equal(judge(ledger.acknowledged, found), { lost: [], doubled: 0, isInOrder: true })
  const entries = await cli.json(['config', 'get', 'topic', 'grown'])
  const throttled = entries.filter((one: { name: string }) => one.name.includes('throttled'))
  assert.ok(throttled.every((one: { value: string }) => one.value === ''))
  assert.is(await cli.ok(['cluster', 'rebalance']), 'nothing is to be moved\n')
})

test('what is being moved can be looked at, and left where it was', async () => {
  const topic = ['topic', 'create', 'large', '-p', '1', '-r', '1']
  await cli.ok([...topic, '-c', 'min.insync.replicas=1'])
  const { leaderId } = (await cluster.untilWhole('large'))[0]!
  const line = `${'x'.repeat(500_000)}\n`
  await cli.ok(['produce', 'large'], { input: line.repeat(8) })
  const args = ['cluster', 'drain', String(leaderId), '--throttle', '20kB', '--execute']
  const draining = cli.running(...args)
  await cluster.until('large', ([p]) => p!.replicaNodes.length === 2)
  const moving = await cli.json(['cluster', 'moves'])
  assert.ok(moving.some((one: { topic: string }) => one.topic === 'large'))
  const busy = await cli.run(['cluster', 'rebalance'])
  assert.match(busy.stderr, 'being moved already: odradek cluster moves')
  await cli.ok(['cluster', 'moves', '--cancel'])
  await once(draining.child, 'close')
  assert.is(draining.child.exitCode, 0)
  assert.is(await cli.ok(['cluster', 'moves']), 'nothing is being moved\n')
  assert.equal((await cluster.partitions('large'))[0]!.replicaNodes, [leaderId])
})

test('a broker that is drained holds nothing, and can go', async () => {
  const done: Planned = await cli.json(['cluster', 'drain', '4', '--execute'])
  assert.ok(done.copies >= 6)
  assert.equal((await held())[4], [0, 0])
  const impossible = await cli.run(['cluster', 'drain', '3,4'])
  assert.is(impossible.code, 1)
  assert.match(impossible.stderr, /no other broker can take the one of broker 3/)
})

test.run()
