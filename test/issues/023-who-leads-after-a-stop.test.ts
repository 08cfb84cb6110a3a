import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { startTestCluster } from '../../src/testing/index.ts'
import { plainBatch } from '../lib/batches.ts'

const timeout = 20_000

const test = suite('a leader that is stopped')

/** It closed as soon as it had handed over. franz-go, which asks for metadata every 5 s at most, wrote nothing for so long. */
test('it tells its clients who leads now before it closes their connections', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  await cluster.waitForIsr('t', 0, { timeout })
  await cluster.moveLeader('t', 0, 1)
  const [host, port] = cluster.broker(1).bootstrapServers.split(':')
  const client = await Client.connect({ host: host!, port: Number(port) })
  const stopped = cluster.broker(1).stop({})
  const leaderId = await cluster.waitForLeader('t', 0, { not: 1, timeout })
  const partitionData = [{ index: 0, records: plainBatch({ id: 1 }) }]
  const topicData = [{ name: 't', partitionData }]
  const { responses } = await client.send(produceApi, 10, { acks: -1, topicData })
  const [answer] = responses[0]!.partitionResponses
  assert.is(answer!.errorCode, ErrorCode.NOT_LEADER_OR_FOLLOWER)
  assert.is(answer!.currentLeader!.leaderId, leaderId)
  await client.close()
  await stopped
})

test.run()
