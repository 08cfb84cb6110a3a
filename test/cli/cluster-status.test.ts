import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestBroker } from '../../src/testing/index.ts'
import type { Wire } from '../apis/wire.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek cluster status and elect')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
  await wire.createTopic('here', 3)
})
test.after(() => wire.close())

test('a cluster that is well: what each broker has, and no partition', async () => {
  const found = await cli.json(['cluster', 'status'])
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  const place = { id: 1, isThere: true, host, port, rack: null }
  assert.equal(found.brokers, [{ ...place, leads: 3, replicas: 3, inSync: 3 }])
  assert.equal([found.controller, found.partitionCount], [1, 3])
  assert.equal([found.offline, found.underReplicated], [[], []])
  assert.match(
    await cli.ok(['cluster', 'status']),
    /^cluster \S{22}, controller 1, 1 topic with 3 partitions\nBROKER.*\n +1 .*\nall partitions have a leader and all replicas in sync\n$/,
  )
})

test('--all lists all partitions, with ELR where the cluster tells it', async () => {
  const { partitions } = await cli.json(['cluster', 'status', '--all'])
  const ids = { leader: 1, replicas: [1], isr: [1] }
  const expected = [0, 1, 2].map(partition => ({ topic: 'here', partition, ...ids }))
  assert.equal(
    partitions,
    expected.map(one => ({ ...one, elr: [] })),
  )
  await using old = await startTestBroker({ numPartitions: 1 })
  await old.seed({ one: [] })
  old.emulate('3.5')
  const found = await cli.json(['cluster', 'status', '--all', '-b', old.bootstrapServers])
  assert.is(found.partitions[0].elr, null)
})

test('elect says which partitions need none', async () => {
  assert.is(await cli.ok(['cluster', 'elect', '--all']), '0 leaders elected\n')
  const found = await cli.json(['cluster', 'elect', '^he', '-p', '0,2'])
  const result = { result: 'not needed', reason: null }
  assert.equal(found, [
    { topic: 'here', partition: 0, ...result },
    { topic: 'here', partition: 2, ...result },
  ])
})

test('elect ends with 1 and the reason where there is no leader to be had, and with 2 if nothing is named', async () => {
  const missing = await cli.run(['cluster', 'elect', 'here', '-p', '9'])
  assert.is(missing.code, 1)
  assert.match(missing.stdout, /here +9 +failed +There is no partition here-9/)
  assert.match(missing.stderr, '1 of 1 could not be elected')
  for (const args of [[], ['here', '--all'], ['--all', '-p', '0']]) {
    assert.is((await cli.run(['cluster', 'elect', ...args])).code, 2)
  }
  wire.node.registry.partition('here', 1)!.goOffline('for the test')
  const { offline, underReplicated } = await cli.json(['cluster', 'status'])
  const where = { leader: -1, replicas: [1], isr: [1], elr: [] }
  assert.equal(offline, [{ topic: 'here', partition: 1, ...where }])
  assert.equal(underReplicated, [])
  assert.match(await cli.ok(['cluster', 'status']), '1 offline, 0 under-replicated')
  const unclean = await cli.run(['cluster', 'elect', '--all', '--unclean', '--json'])
  assert.is(unclean.code, 1)
  const [only] = JSON.parse(unclean.stdout)
  assert.match(only.reason, 'ELIGIBLE_LEADERS_NOT_AVAILABLE')
})

test.run()
