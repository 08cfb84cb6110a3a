import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { describeClusterApi } from '../../src/protocol/messages/60-describe-cluster.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { makeTopic } from '../lib/cluster-ledger.ts'
import { kafkaTool, lines, type RunOptions } from '../live/tools.ts'

const QUORUM = 'org.apache.kafka.tools.MetadataQuorumCommand'
const FEATURES = 'org.apache.kafka.tools.FeatureCommand'
const CLUSTER = 'org.apache.kafka.tools.ClusterTool'
const LOG_DIRS = 'org.apache.kafka.tools.LogDirsCommand'
const ELR = 'eligible.leader.replicas.version'

const test = suite("Kafka's tools that look after a cluster")
let cluster: BrokerCluster

test.before(async () => {
  cluster = await BrokerCluster.start(3)
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
})

const tool = (name: string, args: readonly string[], options: RunOptions = {}) =>
  kafkaTool(name, ['--bootstrap-server', cluster.bootstrap, ...args], options)
/** This one wants its command first. */
const clusterTool = (args: readonly string[], options: RunOptions = {}) =>
  kafkaTool(CLUSTER, [...args, '--bootstrap-server', cluster.bootstrap], options)

async function controller(): Promise<number> {
  const client = await Client.connect({ host: '127.0.0.1', port: cluster.member(1).port })
  try {
    return (await client.send(describeClusterApi, 1, {})).controllerId
  } finally {
    await client.close()
  }
}

const told = (text: string, name: string): string =>
  new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(text)?.[1] ?? ''
const idsIn = (text: string): number[] =>
  [...text.matchAll(/"id": (\d+)/g)].map(([, id]) => Number(id)).sort()

test('kafka-metadata-quorum tells the controller as the leader, and the others as observers', async () => {
  const leader = await controller()
  const others = [1, 2, 3].filter(id => id !== leader)
  const { stdout } = await tool(QUORUM, ['describe', '--status'])
  assert.is(told(stdout, 'LeaderId'), String(leader))
  assert.ok(Number(told(stdout, 'LeaderEpoch')) > 0)
  assert.ok(Number(told(stdout, 'HighWatermark')) > 0)
  assert.is(told(stdout, 'MaxFollowerLag'), '0')
  const voters = told(stdout, 'CurrentVoters')
  assert.equal(idsIn(voters), [leader])
  assert.match(voters, `PLAINTEXT://127.0.0.1:${cluster.member(leader).port}`)
  assert.equal(idsIn(told(stdout, 'CurrentObservers')), others)
})

test('kafka-metadata-quorum lists each broker with its data folder', async () => {
  const leader = await controller()
  const { stdout } = await tool(QUORUM, ['describe', '--replication'])
  const rows = lines(stdout)
    .slice(1)
    .map(line => line.trim().split(/\s+/))
  const dirs = new Set(rows.map(([, dir]) => dir))
  assert.is(dirs.size, 3)
  const roles = rows.map(row => [Number(row[0]), row.at(-1)]).sort()
  const expected = [1, 2, 3].map(id => [id, id === leader ? 'Leader' : 'Observer'])
  assert.equal(roles, expected)
})

test('kafka-features shows what the cluster goes by, and changes nothing of it', async () => {
  const { stdout } = await tool(FEATURES, ['describe'])
  const row = new RegExp(
    `^Feature: ${ELR}\\s+SupportedMinVersion: 1\\s+SupportedMaxVersion: 1\\s+FinalizedVersionLevel: 1\\s+Epoch: [1-9]\\d*$`,
  )
  assert.is(lines(stdout).length, 1)
  assert.match(lines(stdout)[0]!, row)
  const same = await tool(FEATURES, ['upgrade', '--feature', `${ELR}=1`])
  assert.match(same.stdout, `${ELR} was upgraded to 1`)
  const down = await tool(FEATURES, ['disable', '--feature', ELR], { mayFail: true })
  assert.is(down.code, 1)
  assert.match(`${down.stdout}${down.stderr}`, /Invalid update version 0 for feature/)
})

test('kafka-cluster lists the endpoints of all brokers', async () => {
  const { stdout } = await clusterTool(['list-endpoints'])
  const found = lines(stdout)
    .slice(1)
    .map(line => line.trim().split(/\s+/).slice(0, 3).join(' '))
  assert.equal(
    found.sort(),
    cluster.members.map(({ id, port }) => `${id} 127.0.0.1 ${port}`),
  )
})

test('kafka-cluster unregisters a broker when it is gone and has no replica, and not before', async () => {
  const unregister = async (id: number) => {
    const ran = await clusterTool(['unregister', '--id', String(id)], { mayFail: true })
    return `${ran.code} ${ran.stdout}${ran.stderr}`
  }
  assert.match(await unregister(3), /^1 .*This broker ID is already in use|^1 .*is running/s)
  assert.match(await unregister(9), /^1 .*(BrokerIdNotRegistered|not currently registered)/s)
  await cluster.broker(3).stop()
  assert.match(await unregister(3), /^0 .*Broker 3 is no longer registered/s)
  assert.is(await nodeKeys(), 2)
  // It comes back as a new one, and takes replicas again.
  await cluster.startBroker(3)
  await makeTopic(cluster, 'placed')
  await cluster.broker(3).stop()
  assert.match(await unregister(3), /^1 .*(already in use|is a replica of)/s)
  assert.is(await nodeKeys(), 3)
  await cluster.startBroker(3)
  await cluster.untilWhole('placed')
})

/** `nodes/<id>` in etcd: how many there are. */
async function nodeKeys(): Promise<number> {
  const range = (key: string): string => Buffer.from(`test/${key}`).toString('base64')
  const asked = { key: range('nodes/'), range_end: range('nodes0'), count_only: true }
  return Number((await cluster.etcd.ask('/v3/kv/range', asked)).count)
}

test('kafka-log-dirs describes the folder of each broker', async () => {
  const { stdout } = await tool(LOG_DIRS, ['--describe', '--broker-list', '1,2,3'])
  for (const { dir } of cluster.members) assert.match(stdout, dir)
})

test.run()
