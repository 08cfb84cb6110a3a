import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { RequestContext } from '../../src/apis/handler.ts'
import { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { Random, seeds } from '../lib/random.ts'
import { until } from '../lib/until.ts'

const PARTITIONS = 40
const timeout = 20_000

/** What followers ask for goes by what is new, and all that they have to know reaches them all the same. */
const test = suite('replicas of many partitions')
let cluster: TestCluster

test.before(async () => {
  cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: PARTITIONS } })
  for (let i = 0; i < PARTITIONS; i++) await cluster.waitForIsr('t', i, { timeout })
})
test.after(() => cluster.close())

const ids = [1, 2, 3]
const partitionOn = (id: number, index: number) =>
  cluster.broker(id).node.registry.partition('t', index)!

async function append(index: number, value: string): Promise<void> {
  const leader = await cluster.waitForLeader('t', index, { timeout })
  await cluster.broker(leader).append('t', [{ value, partition: index }])
}

/** All replicas end at the same offset, and know that everything below is committed. */
const isEven = (index: number): boolean => {
  const all = ids.map(id => partitionOn(id, index))
  return all.every(
    p => p.logEndOffset === all[0]!.logEndOffset && p.highWatermark === p.logEndOffset,
  )
}
const untilEven = (): Promise<void> =>
  until(() => Array.from({ length: PARTITIONS }, (_, i) => i).every(isEven), timeout)

for (const seed of seeds(1, 5)) {
  test(`wherever records come: all replicas have them, and know that they are committed (seed ${seed})`, async () => {
    const random = new Random(seed)
    const count = random.below(2 * PARTITIONS) + 1
    const some = Array.from({ length: count }, () => random.below(PARTITIONS))
    await Promise.all(some.map((index, i) => append(index, String(i))))
    await untilEven()
  })
}

test('what a leader has deleted its followers delete, also while nothing is written', async () => {
  const leader = await cluster.waitForLeader('t', 0)
  await append(0, 'gone')
  await untilEven()
  const partition = partitionOn(leader, 0)
  await cluster
    .broker(leader)
    .node.registry.replicas.deleteRecords(partition, partition.logEndOffset)
  await until(
    () => ids.every(id => partitionOn(id, 0).logStartOffset === partition.logEndOffset),
    timeout,
  )
})

test('connections that are cut are made anew, with all that is followed', async () => {
  cluster.partition([1], [2], [3])
  cluster.heal()
  for (let i = 0; i < PARTITIONS; i++) await append(i, 'after')
  await untilEven()
})

test('a broker that was away is in sync again, also where nothing is written', async () => {
  cluster.pause(3)
  for (let i = 0; i < PARTITIONS; i++) {
    await cluster.waitForIsr('t', i, { isr: [1, 2], timeout })
  }
  cluster.resume(3)
  for (let i = 0; i < PARTITIONS; i++) await cluster.waitForIsr('t', i, { timeout })
})

/** What a replica has flushed counts towards what is acknowledged. */
test('nobody speaks for a broker who is none', async () => {
  const leader = await cluster.waitForLeader('t', 2)
  const follower = ids.find(id => id !== leader)!
  const { topicId, leaderEpoch } = partitionOn(leader, 2)
  const [host, port] = cluster.broker(leader).bootstrapServers.split(':')
  await using client = await Client.connect({ host: host!, port: Number(port) })
  const { epoch } = cluster.broker(leader).node.node!.image.broker(follower)!
  const partition = { partition: 2, currentLeaderEpoch: leaderEpoch, fetchOffset: 1_000_000 }
  for (const clusterId of [null, cluster.clusterId, '']) {
    const { errorCode, responses } = await client.send(fetchApi, 18, {
      ...{ clusterId, maxWaitMs: 0, minBytes: 0, forgottenTopicsData: [] },
      replicaState: { replicaId: follower, replicaEpoch: epoch },
      topics: [{ topicId, partitions: [{ ...partition, partitionMaxBytes: 1 }] }],
    })
    assert.is(errorCode, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    assert.equal(responses, [])
  }
})

test('a fetch names what is new, not all that is followed', async () => {
  await cluster.moveLeader('t', 1, 1)
  await append(1, 'first')
  await untilEven()
  const named: number[] = []
  const { node } = cluster.broker(1)
  const { apiKey } = fetchApi.request
  const handler = node.apis[apiKey]!
  const handle = (request: Named, context: RequestContext) => {
    named.push(request.topics.reduce((sum, { partitions }) => sum + partitions.length, 0))
    return handler.handle(request as never, context)
  }
  node.apis = { ...node.apis, [apiKey]: { ...handler, handle: handle as never } }
  for (let i = 0; i < 20; i++) await append(1, String(i))
  await untilEven()
  assert.ok(named.length > 0)
  assert.is(Math.max(...named), 1)
})

interface Named {
  readonly topics: readonly { readonly partitions: readonly unknown[] }[]
}

test.run()
