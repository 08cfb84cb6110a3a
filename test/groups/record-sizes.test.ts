import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { upgradeFrom } from '../../src/groups/consumer/classic-bridge.ts'
import type { ClassicMemberState } from '../../src/groups/group.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { encodeAssignment, encodeSubscription } from '../lib/consumer-protocol.ts'
import { GroupWorld } from '../lib/group-world.ts'
import { ClassicDriver, recordBytes, SESSION_MS } from './classic-driver.ts'

/** What a change would write is held against what the log takes before the change is made. */
const test = suite('records of groups that would be too large')

const BYTES_MAX = 10_000
const says = (bytes: number) => [{ name: 'range', metadata: Buffer.alloc(bytes) }]

/** Two static members that say 1,000 bytes each, with assignments of 3,000 bytes each. */
function stable(): { driver: ClassicDriver; generation: number; leader: string } {
  const driver = new ClassicDriver({ initialRebalanceDelayMs: 0 })
  driver.recordBytesMax = BYTES_MAX
  const one = driver.join({ groupInstanceId: 'one', protocols: says(1_000) })
  driver.join({ groupInstanceId: 'two', protocols: says(1_000) })
  driver.pass(1)
  driver.join({ memberId: one.value.memberId, groupInstanceId: 'one', protocols: says(1_000) })
  driver.pass(SESSION_MS / 2)
  const { members } = driver.group.snapshot()[0]!.value as { members: { memberId: string }[] }
  const leader = members[0]!.memberId
  const { generation } = driver.group
  const assignments = Object.fromEntries(members.map(m => [m.memberId, 'x'.repeat(3_000)]))
  assert.is(driver.sync(leader, generation, assignments, 'one').value.errorCode, 0)
  assert.is(driver.group.state, 'Stable')
  return { driver, generation, leader }
}

/** Everything that was written, and would be if the log were written anew, fits. */
function assertFits(driver: ClassicDriver): void {
  for (const record of [...driver.records, ...driver.group.snapshot()]) {
    assert.ok(recordBytes(record) <= BYTES_MAX, `${recordBytes(record)} bytes`)
  }
}

test('a member that says more than the record of all members can hold is refused', () => {
  const { driver } = stable()
  const before = driver.records.length
  for (const request of [{}, { groupInstanceId: 'three' }, { groupInstanceId: 'two' }]) {
    const { value } = driver.join({ ...request, protocols: says(9_500) })
    assert.is(errorName(value.errorCode), 'INVALID_REQUEST')
  }
  assert.is(driver.group.state, 'Stable')
  assert.is(driver.records.length, before)
  assertFits(driver)
})

test('a static member that is back and says more starts a new generation instead of a record that does not fit', () => {
  const { driver, generation } = stable()
  const parked = driver.join({ groupInstanceId: 'two', protocols: says(4_000) })
  assert.is(driver.group.state, 'PreparingRebalance')
  assert.ok(parked.isWaiting)
  assertFits(driver)
  driver.pass(10 * SESSION_MS)
  assert.ok(driver.group.generation > generation)
  assertFits(driver)
})

test('one that says no more than before is not refused for what others have come to say', () => {
  const { driver } = stable()
  driver.recordBytesMax = 2_000
  const parked = driver.join({ groupInstanceId: 'two', protocols: says(1_000) })
  assert.ok(parked.isWaiting)
})

test('a log that is written anew while members say more than before holds them without their assignments', () => {
  const { driver, leader } = stable()
  driver.join({ memberId: leader, groupInstanceId: 'one', protocols: says(4_500) })
  assert.is(driver.group.state, 'PreparingRebalance')
  const [record] = driver.group.snapshot()
  const { members } = record!.value as { members: { assignment: Buffer }[] }
  assert.equal(
    members.map(member => member.assignment.length),
    [0, 0],
  )
  assertFits(driver)
})

const classic = (memberId: string, bytes: number): ClassicMemberState => ({
  ...{ memberId, instanceId: null, clientId: 'client', clientHost: '/host' },
  ...{ rebalanceTimeoutMs: 30_000, sessionTimeoutMs: 10_000 },
  protocols: [
    { name: 'range', metadata: encodeSubscription(['a']) },
    { name: 'other', metadata: Buffer.alloc(bytes) },
  ],
  assignment: encodeAssignment([]),
})

const group = (members: readonly ClassicMemberState[]) => ({
  ...{ protocolType: 'consumer', generation: 7, protocol: 'range', leaderId: null },
  members,
})

test('a classic group of which one member would be too large as it is does not move to the consumer protocol', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.recordBytesMax = BYTES_MAX
  assert.throws(
    () => upgradeFrom(group([classic('m', 9_950)]), world.context),
    (error: Error) =>
      error instanceof BrokerError && errorName(error.errorCode) === 'GROUP_ID_NOT_FOUND',
  )
  assert.equal(world.writes, [])
})

test('members that do not fit into the record of a classic group stay as they are, and the group goes on', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.recordBytesMax = 1_000
  const names = ['m', 'n', 'o'].map(name => name.repeat(300))
  world.group = upgradeFrom(group(names.map(name => classic(name, 10))), world.context)
  assert.is(world.enter('last', ['a']).memberEpoch > 0, true)
  const before = world.group.describe().groupEpoch
  world.leave('last')
  assert.is(world.classic, null)
  assert.ok(world.group.describe().groupEpoch > before)
  assert.is(world.group.size, 3)
  for (const name of names) world.group.heartbeat(name, null, 7)
  assert.is(world.group.describe().assignmentEpoch, world.group.describe().groupEpoch)
  // With one less they fit.
  world.leave(names[0]!)
  assert.is(world.classic?.size, 2)
})

test.run()
