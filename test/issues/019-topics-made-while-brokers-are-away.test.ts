import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'

const COORDINATOR_NOT_AVAILABLE = 15
const timeout = 20_000

const test = suite('topics that are made while brokers are away')

const clientOf = (cluster: TestCluster, id: number): Promise<Client> => {
  const [host, port] = cluster.broker(id).bootstrapServers.split(':')
  return Client.connect({ host: host!, port: Number(port) })
}

async function replicasOf(cluster: TestCluster, topic: string): Promise<readonly number[][]> {
  await using client = await clientOf(cluster, 1)
  const request = { topics: [{ name: topic }], allowAutoTopicCreation: false }
  const { topics } = await client.send(metadataApi, 9, request)
  return topics[0]!.partitions.map(({ replicaNodes }) => [...replicaNodes].sort())
}

/** It got as many as there were at the moment, for good. */
test('a topic that is made while a broker is restarted has all its replicas', async () => {
  await using cluster = await startTestCluster()
  await cluster.kill(3)
  // Its registration, too, which goes with its lease.
  const { image } = cluster.broker(1).node.node!
  while (image.broker(3) !== null) await new Promise(resolve => setTimeout(resolve, 20))
  await cluster.broker(1).seed({ t: { partitions: 4 } })
  for (let i = 0; i < 4; i++) await cluster.waitForLeader('t', i, { timeout })
  const all = Array.from({ length: 4 }, () => [1, 2, 3])
  assert.equal(await replicasOf(cluster, 't'), all)
  await cluster.restart(3)
  for (let i = 0; i < 4; i++) assert.equal(await cluster.waitForIsr('t', i, { timeout }), [1, 2, 3])
})

/** The first consumer of a cluster whose other brokers were still starting hung all groups on one disk. */
test('offsets wait for their brokers: no topic of one replica because others are still to come', async () => {
  await using cluster = await startTestCluster({
    brokers: 1,
    'offsets.topic.replication.factor': 3,
  })
  await using client = await clientOf(cluster, 1)
  const asked = { key: 'g', keyType: 0 }
  const { errorCode } = await client.send(findCoordinatorApi, 3, asked)
  assert.is(errorCode, COORDINATOR_NOT_AVAILABLE)
  assert.equal(await replicasOf(cluster, '__consumer_offsets'), [])
})

test.run()
