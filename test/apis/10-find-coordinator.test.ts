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

test('every version answers that there is no coordinator, and nobody as the node', async () => {
  for (const version of versionsOf(findCoordinatorApi)) {
    const request = version < 4 ? { key: 'group' } : { coordinatorKeys: ['group', ''] }
    const answer = await wire.send(findCoordinatorApi, version, request)
    const coordinators = version < 4 ? [answer] : answer.coordinators
    assert.is(coordinators.length, version < 4 ? 1 : 2)
    for (const coordinator of coordinators) {
      expectError(coordinator, 'COORDINATOR_NOT_AVAILABLE')
      assert.is(coordinator.nodeId, -1)
      assert.is(coordinator.host, '')
      assert.is(coordinator.port, -1)
      if (version > 0) assert.match(coordinator.errorMessage ?? '', 'does not coordinate')
    }
  }
})

test('transactions are coordinated as little as groups', async () => {
  const answer = await wire.send(findCoordinatorApi, 3, { key: 'tx', keyType: 1 })
  expectError(answer, 'COORDINATOR_NOT_AVAILABLE')
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
