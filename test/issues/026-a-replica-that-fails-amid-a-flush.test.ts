import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster } from '../../src/testing/index.ts'

const timeout = 20_000
/** The lag time, after which others would go on without the follower, is longer. */
const SOON_MS = 10_000

const test = suite('a replica that fails amid a flush')

/** The fetches of all partitions that shared its connection waited for that flush, which never came. */
test('others that are followed at the same broker go on', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ bad: { partitions: 1 }, good: { partitions: 1 } })
  for (const topic of ['bad', 'good']) {
    await cluster.waitForIsr(topic, 0, { timeout })
    await cluster.moveLeader(topic, 0, 1)
    await cluster.broker(1).append(topic, [{ value: 'on all' }])
  }
  // All that it follows is asked for by one connection then.
  await cluster.restart(2)
  for (const topic of ['bad', 'good']) await cluster.waitForIsr(topic, 0, { timeout })
  const { registry, node } = cluster.broker(2).node
  const bad = registry.partition('bad', 0)!
  // It is never to come back: that would end the wait, too.
  const replica = node!.host.find(`p/${bad.topicId}/0`)!
  replica.machine.refilled = () => {}
  const offline = new Promise<void>(resolve => {
    bad.replicate = () => {
      bad.goOffline('its disk has failed')
      resolve()
      return true
    }
  })
  const first = cluster.broker(1).append('bad', [{ value: 'not on 2' }])
  await offline
  const began = performance.now()
  await cluster.broker(1).append('good', [{ value: 'on all' }])
  assert.ok(performance.now() - began < SOON_MS)
  await first
})

test.run()
