import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { makeTopicOn, writeLarge } from '../lib/cluster-ledger.ts'
import { kafkaTool, lines } from '../live/tools.ts'

const REASSIGN = 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand'
const ELECT = 'org.apache.kafka.tools.LeaderElectionCommand'
const TOPICS = 'org.apache.kafka.tools.TopicCommand'
const CONFIGS = 'kafka.admin.ConfigCommand'
const MIB = 1024 * 1024

const test = suite("Kafka's tools that move partitions")
const dir = mkdtempSync(join(tmpdir(), 'odradek-reassign-'))
let cluster: BrokerCluster

test.before(async () => {
  cluster = await BrokerCluster.start(3)
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

const at = (): string[] => ['--bootstrap-server', cluster.bootstrap]

function planFile(topic: string, replicas: readonly number[]): string {
  const path = join(dir, `${topic}.json`)
  const partitions = [{ topic, partition: 0, replicas }]
  writeFileSync(path, JSON.stringify({ version: 1, partitions }))
  return path
}

async function describe(...args: string[]): Promise<string[]> {
  return lines((await kafkaTool(TOPICS, [...at(), '--describe', ...args])).stdout)
}

test('kafka-reassign-partitions moves one at the rate that it is given, says how it goes, and takes the throttle off', async () => {
  await makeTopicOn(cluster, 'm', [1])
  await writeLarge(cluster, 'm', 12)
  const file = planFile('m', [2])
  const plan = ['--reassignment-json-file', file]
  // Nearly a minute and a half.
  await kafkaTool(REASSIGN, [...at(), ...plan, '--execute', '--throttle', String(MIB / 16)])
  const { stdout: listed } = await kafkaTool(REASSIGN, [...at(), '--list'])
  const { stdout: configs } = await kafkaTool(CONFIGS, [
    ...[...at(), '--describe', '--entity-type', 'brokers', '--entity-name', '2'],
  ])
  assert.match(listed, 'm-0: replicas: 2,1. adding: 2. removing: 1.')
  assert.match(configs, `follower.replication.throttled.rate=${MIB / 16}`)
  const faster = ['--execute', '--additional', '--throttle', String(100 * MIB)]
  await kafkaTool(REASSIGN, [...at(), ...plan, ...faster])
  await cluster.until('m', ([p]) => p!.replicaNodes.join() === '2')
  const { stdout: verified } = await kafkaTool(REASSIGN, [...at(), ...plan, '--verify'])
  assert.match(verified, 'Reassignment of partition m-0 is completed.')
  const { stdout: after } = await kafkaTool(CONFIGS, [
    ...[...at(), '--describe', '--entity-type', 'brokers', '--entity-name', '2'],
  ])
  assert.not.match(after, 'throttled')
})

test('kafka-reassign-partitions --cancel leaves it where it was', async () => {
  await makeTopicOn(cluster, 'c', [1])
  await writeLarge(cluster, 'c', 8)
  const plan = ['--reassignment-json-file', planFile('c', [3])]
  await kafkaTool(REASSIGN, [...at(), ...plan, '--execute', '--throttle', String(MIB / 2)])
  await kafkaTool(REASSIGN, [...at(), ...plan, '--cancel'])
  const [partition] = await cluster.partitions('c')
  assert.equal(partition!.replicaNodes, [1])
  const { stdout } = await kafkaTool(REASSIGN, [...at(), '--list'])
  assert.match(stdout, 'No partition reassignments found.')
})

test('kafka-topics tells what is under-replicated, at its minimum, and unavailable; kafka-leader-election gives it back', async () => {
  await makeTopicOn(cluster, 'u', [1, 2, 3])
  assert.equal(await describe('--under-replicated-partitions', '--topic', 'u'), [])
  await cluster.broker(1).kill()
  await cluster.until('u', ([p]) => p!.isrNodes.length === 2 && p!.leaderId !== -1, 2)
  const [under] = await describe('--under-replicated-partitions', '--topic', 'u')
  assert.match(under!, /Leader: [23]\s+Replicas: 1,2,3\s+Isr: (2,3|3,2)/)
  assert.is((await describe('--at-min-isr-partitions', '--topic', 'u')).length, 1)
  assert.is((await describe('--under-min-isr-partitions', '--topic', 'u')).length, 0)
  assert.is((await describe('--unavailable-partitions', '--topic', 'm')).length, 0)
  await cluster.startBroker(1)
  await cluster.untilWhole('u')
  const preferred = ['--election-type', 'preferred', '--topic', 'u', '--partition', '0']
  const { stdout } = await kafkaTool(ELECT, [...at(), ...preferred])
  assert.match(stdout, /Successfully completed leader election \(PREFERRED\) for partitions u-0/)
  const again = await kafkaTool(ELECT, [...at(), ...preferred])
  assert.match(again.stdout, 'Valid replica already elected for partitions u-0')
  assert.is((await cluster.partitions('u'))[0]!.leaderId, 1)
})

test.run()
