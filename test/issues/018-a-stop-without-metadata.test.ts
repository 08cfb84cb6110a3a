import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster } from '../../src/testing/index.ts'

const SESSION_MS = 2_000
const timeout = 20_000

const test = suite('a broker is stopped while the metadata is out of reach')

/** It waited for its whole drain (30 s), and then for nothing: what it leads is led by others when its lease has ended. */
test('it stops when its lease may have ended, and comes back in sync', async () => {
  await using cluster = await startTestCluster({ 'broker.session.timeout.ms': SESSION_MS })
  await cluster.broker(1).seed({ t: { partitions: 3 } })
  for (let i = 0; i < 3; i++) await cluster.waitForIsr('t', i, { timeout })
  await cluster.moveLeader('t', 0, 1)
  cluster.partition([1], [2, 3])
  const start = performance.now()
  await cluster.broker(1).stop({})
  const tookMs = performance.now() - start
  assert.ok(tookMs < 5 * SESSION_MS, `${tookMs} ms`)
  cluster.heal()
  await cluster.restart(1)
  assert.equal(await cluster.waitForIsr('t', 0, { timeout }), [1, 2, 3])
})

test('the last one of a cluster does not wait for a successor', async () => {
  await using cluster = await startTestCluster({ 'broker.session.timeout.ms': SESSION_MS })
  await cluster.broker(1).seed({ t: { partitions: 3 } })
  for (let i = 0; i < 3; i++) await cluster.waitForIsr('t', i, { timeout })
  const start = performance.now()
  for (const id of [1, 2, 3]) await cluster.broker(id).stop({})
  const tookMs = performance.now() - start
  assert.ok(tookMs < 5 * SESSION_MS, `${tookMs} ms`)
})

test.run()
