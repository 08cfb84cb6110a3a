import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('FindCoordinator')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

test('every version names this broker, whose offsets topic is there when it is answered', async () => {
  const own = wire.node.endpoint('PLAINTEXT')
  for (const version of versionsOf(findCoordinatorApi)) {
    const request = version < 4 ? { key: 'group' } : { coordinatorKeys: ['group', ''] }
    const answer = await wire.send(findCoordinatorApi, version, request)
    const coordinators = version < 4 ? [answer] : answer.coordinators
    assert.is(coordinators.length, version < 4 ? 1 : 2)
    for (const { errorCode, nodeId, host, port } of coordinators) {
      assert.equal({ errorCode, nodeId, host, port }, { errorCode: 0, nodeId: 1, ...own })
    }
  }
  const topic = wire.node.registry.topic('__consumer_offsets')!
  assert.is(topic.partitions.length, 50)
  assert.equal(topic.config.cleanupPolicy, ['compact'])
})

test('many who ask at once for the first coordinator all get it', async () => {
  const other = await Wire.start()
  const asked = Array.from({ length: 20 }, (_, i) =>
    other.send(findCoordinatorApi, 3, { key: `g${i}` }),
  )
  for (const answer of await Promise.all(asked)) expectError(answer, 'NONE')
  await other.close()
})

test('a group whose log is offline has no coordinator', async () => {
  const other = await Wire.start({ offsetsTopicNumPartitions: 1 })
  expectError(await other.send(findCoordinatorApi, 3, { key: 'g' }), 'NONE')
  other.node.registry.topic('__consumer_offsets')!.partitions[0]!.goOffline('for the test')
  const answer = await other.send(findCoordinatorApi, 3, { key: 'g' })
  expectError(answer, 'COORDINATOR_NOT_AVAILABLE')
  assert.match(answer.errorMessage ?? '', 'for the test')
  assert.is(answer.nodeId, -1)
  await other.close()
})

test('transactions are not coordinated yet', async () => {
  const answer = await wire.send(findCoordinatorApi, 3, { key: 'tx', keyType: 1 })
  expectError(answer, 'COORDINATOR_NOT_AVAILABLE')
  assert.is(answer.nodeId, -1)
})

test('an unknown key type is refused', async () => {
  expectError(await wire.send(findCoordinatorApi, 1, { key: 'x', keyType: 9 }), 'INVALID_REQUEST')
  const { coordinators } = await wire.send(findCoordinatorApi, 4, {
    keyType: -1,
    coordinatorKeys: ['x'],
  })
  expectError(coordinators[0]!, 'INVALID_REQUEST')
})

test('a share key must be group:topicId:partition, and needs version 6', async () => {
  const good = 'my:group:AAAAAAAAAAAAAAAAAAAAcQ:0'
  const coordinatorKeys = [good, 'group', 'group:short:0', 'group:AAAAAAAAAAAAAAAAAAAAcQ:x']
  const v6 = await wire.send(findCoordinatorApi, 6, { keyType: 2, coordinatorKeys })
  assert.equal(
    errorsBy(v6.coordinators, c => c.key),
    {
      [good]: 'COORDINATOR_NOT_AVAILABLE',
      group: 'INVALID_REQUEST',
      'group:short:0': 'INVALID_REQUEST',
      'group:AAAAAAAAAAAAAAAAAAAAcQ:x': 'INVALID_REQUEST',
    },
  )
  const v5 = await wire.send(findCoordinatorApi, 5, { keyType: 2, coordinatorKeys: [good] })
  expectError(v5.coordinators[0]!, 'INVALID_REQUEST')
})

test('no keys, no coordinators', async () => {
  const { coordinators } = await wire.send(findCoordinatorApi, 6, { coordinatorKeys: [] })
  assert.equal(coordinators, [])
})

test.run()
