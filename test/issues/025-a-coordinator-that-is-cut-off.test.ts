import { setTimeout as rest } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { clientOf } from '../testing/kafkajs.ts'

const WAIT_MS = 20_000

const test = suite('a coordinator that is cut off')

async function connect(cluster: TestCluster, id: number): Promise<Client> {
  const [host, port] = cluster.broker(id).bootstrapServers.split(':')
  return Client.connect({ host: host!, port: Number(port) })
}

async function coordinatorOf(cluster: TestCluster, group: string): Promise<number> {
  await using client = await connect(cluster, 1)
  return (await client.send(findCoordinatorApi, 3, { key: group, keyType: 0 })).nodeId
}

/** It told its members for ever that all was well, while another broker gave to others what they had. */
test('it does not answer heartbeats of classic groups once another may coordinate them', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  const admin = clientOf(cluster).admin()
  await admin.connect()
  await admin.setOffsets({ groupId: 'g', topic: 't', partitions: [{ partition: 0, offset: '0' }] })
  await admin.disconnect()
  const id = await coordinatorOf(cluster, 'g')
  await using client = await connect(cluster, id)
  const request = { groupId: 'g', generationId: 1, memberId: 'nobody', groupInstanceId: null }
  const beat = async (): Promise<number> => (await client.send(heartbeatApi, 4, request)).errorCode
  assert.is(await beat(), ErrorCode.UNKNOWN_MEMBER_ID)
  cluster.partition(
    [id],
    [1, 2, 3].filter(other => other !== id),
  )
  const deadline = performance.now() + WAIT_MS
  let code = await beat()
  while (code === ErrorCode.UNKNOWN_MEMBER_ID && performance.now() < deadline) {
    await rest(50)
    code = await beat()
  }
  assert.is(code, ErrorCode.NOT_COORDINATOR)
})

test.run()
