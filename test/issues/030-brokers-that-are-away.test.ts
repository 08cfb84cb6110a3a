import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { alterPartitionReassignmentsApi } from '../../src/protocol/messages/45-alter-partition-reassignments.ts'
import { describeClusterApi } from '../../src/protocol/messages/60-describe-cluster.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'

const timeout = 20_000

const test = suite('brokers that are away, as tools see them')
let cluster: TestCluster
let client: Client

test.before(async () => {
  cluster = await startTestCluster()
  await cluster.kill(3)
  const [host, port] = cluster.broker(1).bootstrapServers.split(':')
  client = await Client.connect({ host: host!, port: Number(port) })
  // Its registration goes with its lease.
  const { image } = cluster.broker(1).node.node!
  while (image.broker(3) !== null) await new Promise(resolve => setTimeout(resolve, 20))
})
test.after(async () => {
  await client.close()
  await cluster.close()
})

async function create(name: string, brokerIds: number[]): Promise<number> {
  const assignments = [{ partitionIndex: 0, brokerIds }]
  const topics = [{ name, numPartitions: -1, replicationFactor: -1, assignments }]
  return (await client.send(createTopicsApi, 5, { topics, timeoutMs: timeout })).topics[0]!
    .errorCode
}

async function move(name: string, replicas: number[]): Promise<number> {
  const topics = [{ name, partitions: [{ partitionIndex: 0, replicas }] }]
  const request = { topics, timeoutMs: timeout }
  const { responses } = await client.send(alterPartitionReassignmentsApi, 0, request)
  return responses[0]!.partitions[0]!.errorCode
}

test('DescribeCluster tells of those that are fenced, if it is asked to', async () => {
  const ask = (includeFencedBrokers: boolean) =>
    client.send(describeClusterApi, 2, { includeFencedBrokers })
  const told = ({ brokers }: Awaited<ReturnType<typeof ask>>) =>
    brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced])
  const running = [1, 2].map(id => [id, false])
  assert.equal(told(await ask(false)), running)
  const all = await ask(true)
  assert.equal(told(all), [...running, [3, true]])
  assert.equal([all.brokers[2]!.host, all.brokers[2]!.port], ['', -1])
})

/** INVALID_REPLICA_ASSIGNMENT, while a topic with three replicas and no assignment was made. */
test('a partition may be assigned and moved to them, and comes when they are back', async () => {
  const INVALID_REPLICA_ASSIGNMENT = 39
  assert.is(await create('made', [3, 1]), 0)
  assert.is(await create('moved', [1]), 0)
  assert.is(await move('moved', [1, 3]), 0)
  assert.is(await create('refused', [3]), INVALID_REPLICA_ASSIGNMENT)
  assert.is(await create('refused', [1, 9]), INVALID_REPLICA_ASSIGNMENT)
  await cluster.waitForLeader('made', 0, { timeout })
  await cluster.restart(3)
  for (const topic of ['made', 'moved']) {
    assert.equal(await cluster.waitForIsr(topic, 0, { isr: [1, 3], timeout }), [1, 3])
  }
})

test.run()
