import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ImageFeed } from '../../src/cluster/feed.ts'
import { PARTITION_PREFIX } from '../../src/replication/partition-state.ts'
import { startTestCluster } from '../../src/testing/index.ts'

const timeout = 20_000

const test = suite('partitions that could not be added')

/** Until it is called off, transactions about partition records come to nothing. */
function refuse(feed: ImageFeed, outcome: 'unknown' | 'refused'): () => void {
  const { transact } = feed
  feed.transact = async (compares, changes) => {
    const isOfRecords = changes.some(one => 'key' in one && one.key.startsWith(PARTITION_PREFIX))
    if (!isOfRecords) return transact.call(feed, compares, changes)
    return outcome === 'unknown' ? { outcome } : { outcome, revision: 1, now: [] }
  }
  return () => {
    feed.transact = transact
  }
}

for (const outcome of ['unknown', 'refused'] as const) {
  /** The records of all partitions of the topic were deleted then, with those that it had. */
  test(`those that are there stay as they are (${outcome})`, async () => {
    await using cluster = await startTestCluster()
    const { registry, node } = cluster.broker(1).node
    await cluster.broker(1).seed({ t: { partitions: 1 } })
    await cluster.waitForIsr('t', 0, { timeout })
    await cluster.moveLeader('t', 0, 1)
    await cluster.broker(1).append('t', [{ value: 'a', partition: 0 }])
    const topic = registry.topic('t')!
    const before = node!.image.partition(topic.id, 0)
    const restore = refuse(node!.feed, outcome)
    const failed = await registry.addPartitions(topic, 3).then(
      () => null,
      (error: Error) => error,
    )
    restore()
    assert.instance(failed, Error)
    await registry.addPartitions(topic, 3)
    for (let i = 0; i < 3; i++) {
      assert.is((await cluster.waitForIsr('t', i, { timeout })).length, 3)
    }
    assert.equal(node!.image.partition(topic.id, 0), before)
    await cluster.broker(1).append('t', [{ value: 'b', partition: 0 }])
    assert.is(registry.partition('t', 0)!.highWatermark, 2)
  })
}

test('two brokers that add to one topic at the same time: one of them does', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  await cluster.waitForIsr('t', 0, { timeout })
  const counts = [3, 4]
  const done = await Promise.allSettled(
    counts.map((count, at) => {
      const { registry } = cluster.broker(1 + at).node
      return registry.addPartitions(registry.topic('t')!, count)
    }),
  )
  const made = counts.filter((_, at) => done[at]!.status === 'fulfilled')
  assert.ok(made.length > 0)
  const count = Math.max(...made)
  for (let i = 0; i < count; i++) {
    const leader = await cluster.waitForLeader('t', i, { timeout })
    await cluster.broker(leader).append('t', [{ value: `${i}`, partition: i }])
  }
})

test.run()
