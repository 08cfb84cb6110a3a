import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster } from '../../src/testing/index.ts'

const timeout = 20_000

const test = suite('topics that are made while a broker starts')

/** What the watch told while it opened its logs was dropped, and it never knew these topics. */
test('it has its replicas of each, and is in sync', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ before: { partitions: 20 } })
  await cluster.kill(3)
  let isUp = false
  const restarted = cluster.restart(3).then(() => {
    isUp = true
  })
  const made: string[] = []
  while (!isUp) {
    const topic = `during-${made.length}`
    await cluster.broker(1).seed({ [topic]: { partitions: 1 } })
    made.push(topic)
  }
  await restarted
  assert.ok(made.length > 1)
  for (const topic of made) {
    assert.equal(await cluster.waitForIsr(topic, 0, { timeout }), [1, 2, 3], topic)
  }
})

test.run()
