import { setTimeout as rest } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster } from '../../src/testing/index.ts'

const timeout = 20_000
const CONFIGS = { 'min.insync.replicas': 1 }

const test = suite('a partition whose replicas in sync are gone')

/** Of a topic of which only broker 1 has the last record, and is dead; broker 2 is back. */
async function orphaned(configs: Record<string, string | number>) {
  const cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: 1, configs: { ...CONFIGS, ...configs } } })
  await cluster.waitForIsr('t', 0, { timeout })
  await cluster.moveLeader('t', 0, 1)
  await cluster.broker(1).append('t', [{ value: 'on all' }])
  await cluster.kill(2)
  await cluster.kill(3)
  await cluster.waitForIsr('t', 0, { isr: [1], timeout })
  await cluster.broker(1).append('t', [{ value: 'on one' }])
  await cluster.kill(1)
  await cluster.restart(2)
  return cluster
}

test('where unclean.leader.election.enable is set, whoever is there leads, and what only others had is lost', async () => {
  await using cluster = await orphaned({ 'unclean.leader.election.enable': 'true' })
  await cluster.waitForLeader('t', 0, { id: 2, timeout })
  const values: string[] = []
  for await (const { value } of cluster.broker(2).read('t', { until: 'end' })) {
    values.push(String(value))
  }
  assert.equal(values, ['on all'])
  await cluster.restart(1)
  await cluster.waitForIsr('t', 0, { isr: [1, 2], timeout })
})

test('elsewhere it waits for them, until that is set while it waits', async () => {
  await using cluster = await orphaned({})
  const { registry, node } = cluster.broker(2).node
  const topic = registry.topic('t')!
  const leader = (): number => node!.image.partition(topic.id, 0)!.leader
  while (leader() === 1) await rest(20)
  assert.is(leader(), -1)
  await registry.setConfigs(topic, configs => ({
    ...configs,
    'unclean.leader.election.enable': 'true',
  }))
  await cluster.waitForLeader('t', 0, { id: 2, timeout })
})

test.run()
