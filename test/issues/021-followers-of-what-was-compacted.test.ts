import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'

const SMALL = { 'segment.ms': '1', 'min.cleanable.dirty.ratio': '0' }
const ROUNDS = 20
const timeout = 20_000

const test = suite('followers of a topic that is or was compacted')

/** Sets the topic's configs where it is led, for all. */
async function configure(cluster: TestCluster, leader: number, configs: Record<string, string>) {
  const { registry } = cluster.broker(leader).node
  await registry.setConfigs(registry.topic('t')!, () => configs)
}

/** Batches of one key each, until the leader's log lacks some of them. */
async function compacted(cluster: TestCluster, leader: number): Promise<void> {
  const broker = cluster.broker(leader)
  const start = broker.node.registry.partition('t', 0)!.logEndOffset
  for (let i = 0; i < ROUNDS; i++) await broker.append('t', [{ key: 'k', value: `${i}` }])
  const { cleaner } = broker.node
  for (;;) {
    await cleaner.clean()
    let found = 0
    for await (const { offset } of broker.read('t', { until: 'end' })) if (offset >= start) found++
    if (found < ROUNDS) return
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** They refused what their leader sent, for the gaps in it, and were in sync never again. */
test('a follower that was away gets what is left, also when the topic is not compacted any more', async () => {
  await using cluster = await startTestCluster({ logCleanerEnable: false })
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  await cluster.waitForIsr('t', 0, { timeout })
  await cluster.moveLeader('t', 0, 1)
  await cluster.kill(3)
  await cluster.waitForIsr('t', 0, { isr: [1, 2], timeout })
  await configure(cluster, 1, { ...SMALL, 'cleanup.policy': 'compact' })
  await compacted(cluster, 1)
  await configure(cluster, 1, {})
  await cluster.restart(3)
  assert.equal(await cluster.waitForIsr('t', 0, { timeout }), [1, 2, 3])
})

test('a follower that knew the topic before it was compacted', async () => {
  await using cluster = await startTestCluster({ logCleanerEnable: false })
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  await cluster.waitForIsr('t', 0, { timeout })
  await cluster.moveLeader('t', 0, 1)
  await configure(cluster, 1, { ...SMALL, 'cleanup.policy': 'compact' })
  cluster.partition([1, 2], [3])
  await cluster.waitForIsr('t', 0, { isr: [1, 2], timeout: 60_000 })
  await compacted(cluster, 1)
  cluster.heal()
  assert.equal(await cluster.waitForIsr('t', 0, { timeout }), [1, 2, 3])
})

test.run()
