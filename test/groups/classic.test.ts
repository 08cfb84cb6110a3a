import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { type ErrorName, errorName } from '../../src/protocol/error-codes.ts'
import { ClassicDriver, REBALANCE_MS, SESSION_MS, SETTINGS } from './classic-driver.ts'

const test = suite('a classic group')

const expectError = (answer: { errorCode: number }, name: ErrorName): void =>
  assert.is(errorName(answer.errorCode), name)

const protocols = (...names: string[]) =>
  names.map(name => ({ name, metadata: Buffer.from(`${name} metadata`) }))

/** A stable group of so many dynamic members, the first of which leads it. */
function stable(count = 1, driver = new ClassicDriver()) {
  const ids: string[] = []
  for (let i = 0; i < count; i++) {
    const joining = driver.joinNew()
    const again = ids.map(memberId => driver.join({ memberId }))
    const { memberId, generationId } = joining.value
    ids.push(memberId)
    for (const one of again) assert.is(one.value.generationId, generationId)
    for (const id of ids.slice(1)) driver.sync(id, generationId!)
    const assignments = Object.fromEntries(ids.map(id => [id, `for ${id}`]))
    expectError(driver.sync(ids[0]!, generationId!, assignments).value, 'NONE')
  }
  assert.is(driver.group.state, 'Stable')
  return { driver, ids, generation: driver.group.generation }
}

test('a member without an id is told to come again with one (v4), and is a member at once before', () => {
  const driver = new ClassicDriver()
  const first = driver.join({ version: 4 }).value
  expectError(first, 'MEMBER_ID_REQUIRED')
  assert.match(first.memberId, /^client-uuid\d+$/)
  const joined = driver.join({ memberId: first.memberId }).value
  expectError(joined, 'NONE')
  assert.is(joined.generationId, 1)
  assert.is(joined.leader, first.memberId)
  assert.is(joined.members!.length, 1)
  const old = new ClassicDriver().join({ version: 3 }).value
  expectError(old, 'NONE')
  assert.is(old.generationId, 1)
})

test('an id that was given out and not used expires with the session timeout', () => {
  const driver = new ClassicDriver()
  const { memberId } = driver.join().value
  driver.pass(SESSION_MS)
  expectError(driver.join({ memberId }).value, 'UNKNOWN_MEMBER_ID')
})

test('a member that was never told its id cannot join', () => {
  expectError(stable().driver.join({ memberId: 'stranger' }).value, 'UNKNOWN_MEMBER_ID')
})

test('a new group waits for more members as long as they come, at most the rebalance timeout', () => {
  const driver = new ClassicDriver({ initialRebalanceDelayMs: 500 })
  const first = driver.joinNew()
  driver.pass(400)
  const second = driver.joinNew()
  driver.pass(100)
  assert.ok(first.isWaiting, 'the second member has put it off')
  driver.pass(499)
  assert.ok(first.isWaiting)
  driver.pass(1)
  assert.is(first.value.generationId, 1)
  assert.is(second.value.generationId, 1)
  assert.is(first.value.members!.length, 2)
  assert.is(second.value.members!.length, 0)

  const filling = new ClassicDriver({ initialRebalanceDelayMs: 500 })
  const joins = [filling.joinNew()]
  for (let i = 0; i < 10; i++) {
    filling.pass(REBALANCE_MS / 10)
    if (joins[0]!.isWaiting) joins.push(filling.joinNew())
  }
  assert.not(joins[0]!.isWaiting)
})

test('without a delay the first member has its assignment at once', () => {
  const driver = new ClassicDriver()
  const { memberId, generationId } = driver.joinNew().value
  const synced = driver.sync(memberId, generationId!, { [memberId]: 'all of it' }).value
  expectError(synced, 'NONE')
  assert.is(synced.assignment!.toString(), 'all of it')
  assert.is(driver.group.state, 'Stable')
})

test('a second member leads to a rebalance: the first is told by its heartbeat and joins again', () => {
  const { driver, ids, generation } = stable()
  const second = driver.joinNew()
  assert.ok(second.isWaiting)
  assert.is(errorName(driver.group.heartbeat(ids[0]!, null, generation)), 'REBALANCE_IN_PROGRESS')
  expectError(driver.sync(ids[0]!, generation).value, 'REBALANCE_IN_PROGRESS')
  const again = driver.join({ memberId: ids[0]! })
  assert.is(again.value.generationId, generation + 1)
  assert.is(second.value.generationId, generation + 1)
  assert.is(again.value.members!.length, 2)
  assert.is(second.value.leader, ids[0])
})

test('followers that sync before the leader wait for it; a member that is given nothing gets nothing', () => {
  const { driver, ids } = stable(2)
  const rejoined = ids.map(memberId => driver.join({ memberId, protocols: protocols('range') }))
  const generation = rejoined[0]!.value.generationId!
  const follower = driver.sync(ids[1]!, generation)
  assert.ok(follower.isWaiting)
  const leader = driver.sync(ids[0]!, generation, { [ids[0]!]: 'everything' })
  assert.is(leader.value.assignment!.toString(), 'everything')
  expectError(follower.value, 'NONE')
  assert.is(follower.value.assignment!.length, 0)
})

test('members who do not join again in time are out; static ones stay', () => {
  const { driver, ids, generation } = stable(2)
  const joining = driver.joinNew()
  const again = driver.join({ memberId: ids[0]! })
  for (let ms = 0; ms < REBALANCE_MS; ms += 500) {
    driver.group.heartbeat(ids[1]!, null, generation)
    driver.pass(500)
  }
  assert.is(again.value.generationId, generation + 1)
  expectError(joining.value, 'NONE')
  assert.is(driver.group.size, 2)
  assert.is(errorName(driver.group.heartbeat(ids[1]!, null, generation + 1)), 'UNKNOWN_MEMBER_ID')

  const withStatic = new ClassicDriver()
  const first = withStatic.join({ groupInstanceId: 's' }).value
  withStatic.sync(first.memberId, 1, {}, 's')
  const other = withStatic.joinNew({ sessionTimeoutMs: 10_000 })
  for (let ms = 0; ms < REBALANCE_MS; ms += 500) {
    withStatic.group.heartbeat(first.memberId, 's', 1)
    withStatic.pass(500)
  }
  assert.is(other.value.generationId, 2)
  assert.is(other.value.leader, other.value.memberId, 'one that has joined leads')
  assert.is(withStatic.group.size, 2)
})

test('members who do not sync in time are out', () => {
  const { driver, ids } = stable(2)
  const rejoined = ids.map(memberId => driver.join({ memberId, protocols: protocols('range') }))
  const generation = rejoined[0]!.value.generationId!
  driver.sync(ids[0]!, generation, {})
  for (let ms = 0; ms < REBALANCE_MS; ms += 500) {
    for (const id of ids) driver.group.heartbeat(id, null, generation)
    driver.pass(500)
  }
  assert.is(driver.group.size, 1)
  assert.is(errorName(driver.group.heartbeat(ids[0]!, null, generation)), 'REBALANCE_IN_PROGRESS')
})

test('a session ends without heartbeats, and not with them', () => {
  const { driver, ids, generation } = stable()
  for (let i = 0; i < 5; i++) {
    driver.pass(SESSION_MS - 1)
    assert.is(driver.group.heartbeat(ids[0]!, null, generation), 0)
  }
  driver.pass(SESSION_MS)
  assert.is(driver.group.state, 'Empty')
  assert.is(errorName(driver.group.heartbeat(ids[0]!, null, generation)), 'UNKNOWN_MEMBER_ID')
})

test('a member that waits for others is not expected to send heartbeats', () => {
  const { driver, ids, generation } = stable(2)
  const joining = driver.join({ memberId: ids[1]!, protocols: protocols('range') })
  const beatFor = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += SESSION_MS / 2) {
      driver.group.heartbeat(ids[0]!, null, driver.group.generation)
      driver.pass(SESSION_MS / 2)
    }
  }
  beatFor(SESSION_MS * 1.5)
  driver.join({ memberId: ids[0]! })
  assert.is(joining.value.generationId, generation + 1)
  const syncing = driver.sync(ids[1]!, generation + 1)
  beatFor(SESSION_MS * 1.5)
  driver.sync(ids[0]!, generation + 1)
  expectError(syncing.value, 'NONE')
  driver.pass(SESSION_MS - 1)
  assert.is(driver.group.size, 2, 'from then on its session counts again')
})

test('who syncs late, when the group is stable already, has a whole session from then on', () => {
  const { driver, ids } = stable(2)
  const again = ids.map(memberId => driver.join({ memberId, protocols: protocols('range') }))
  const generation = again[0]!.value.generationId!
  driver.sync(ids[0]!, generation)
  driver.pass(SESSION_MS - 1)
  driver.group.heartbeat(ids[0]!, null, generation)
  expectError(driver.sync(ids[1]!, generation).value, 'NONE')
  driver.pass(SESSION_MS - 1)
  assert.is(driver.group.heartbeat(ids[1]!, null, generation), 0)
})

test('a commit keeps the session, a wrong generation and a stranger may not commit', () => {
  const { driver, ids, generation } = stable()
  const commit = (id: string, generationId: number) => () =>
    driver.group.validateCommit(id, null, generationId)
  for (let i = 0; i < 3; i++) {
    driver.pass(SESSION_MS - 1)
    commit(ids[0]!, generation)()
  }
  const refused = (name: ErrorName) => (error: unknown) =>
    error instanceof BrokerError && errorName(error.errorCode) === name
  assert.throws(commit(ids[0]!, generation - 1), refused('ILLEGAL_GENERATION'))
  assert.throws(commit('stranger', generation), refused('UNKNOWN_MEMBER_ID'))
  assert.throws(commit('', -1), refused('UNKNOWN_MEMBER_ID'))
  driver.pass(SESSION_MS)
  commit('', -1)()
})

test('joining with what is known again is answered at once; the leader and changed metadata rebalance', () => {
  const { driver, ids, generation } = stable(2)
  const follower = driver.join({ memberId: ids[1]! }).value
  assert.is(follower.generationId, generation)
  assert.is(driver.group.state, 'Stable')
  const changed = driver.join({ memberId: ids[1]!, protocols: protocols('range') })
  assert.ok(changed.isWaiting)
  assert.is(driver.group.state, 'PreparingRebalance')
  driver.join({ memberId: ids[0]! })
  assert.is(changed.value.generationId, generation + 1)
})

test('the protocol is one that all have, by the votes of the members; the type is one for all', () => {
  const driver = new ClassicDriver({ initialRebalanceDelayMs: 100 })
  const joins = [
    driver.joinNew({ protocols: protocols('a', 'b', 'c') }),
    driver.joinNew({ protocols: protocols('b', 'c') }),
    driver.joinNew({ protocols: protocols('c', 'b') }),
  ]
  expectError(driver.join({ protocols: protocols('d') }).value, 'INCONSISTENT_GROUP_PROTOCOL')
  expectError(driver.join({ protocolType: 'connect' }).value, 'INCONSISTENT_GROUP_PROTOCOL')
  driver.pass(REBALANCE_MS)
  assert.equal(
    joins.map(join => join.value.protocolName),
    ['b', 'b', 'b'],
  )
  assert.equal(
    joins[0]!.value.members!.map(member => member.metadata.toString()),
    ['b metadata', 'b metadata', 'b metadata'],
  )
})

test('an empty group takes no member without protocol or type', () => {
  const driver = new ClassicDriver()
  expectError(driver.join({ protocols: [] }).value, 'INCONSISTENT_GROUP_PROTOCOL')
  expectError(driver.join({ protocolType: '' }).value, 'INCONSISTENT_GROUP_PROTOCOL')
})

test('a member may not say more than a record can hold', () => {
  const { driver } = stable()
  const metadata = Buffer.alloc(512 * 1024 + 1)
  const names = ['range', 'other'].map(name => ({ name, metadata }))
  expectError(driver.join({ protocols: names }).value, 'INVALID_REQUEST')
  expectError(driver.join({ protocols: names.slice(0, 1) }).value, 'MEMBER_ID_REQUIRED')
})

test('a static member that comes back keeps its place without a rebalance, and fences the old one', () => {
  const { driver, ids, generation } = stable()
  const joining = driver.join({ groupInstanceId: 's' })
  driver.join({ memberId: ids[0]! })
  const { memberId } = joining.value
  driver.sync(memberId, generation + 1, {}, 's')
  driver.sync(ids[0]!, generation + 1, { [memberId]: 'mine' })
  const back = driver.join({ groupInstanceId: 's' }).value
  expectError(back, 'NONE')
  assert.is(back.generationId, generation + 1)
  assert.is.not(back.memberId, memberId)
  assert.is(driver.group.state, 'Stable')
  const synced = driver.sync(back.memberId, generation + 1, {}, 's').value
  assert.is(synced.assignment!.toString(), 'mine')
  assert.is(errorName(driver.group.heartbeat(memberId, 's', generation + 1)), 'FENCED_INSTANCE_ID')
  expectError(driver.join({ memberId, groupInstanceId: 's' }).value, 'FENCED_INSTANCE_ID')
  assert.is(driver.replayed().size, 2)
})

test('a static leader that comes back is told that the assignment stands (v9), or that another leads', () => {
  for (const version of [8, 9]) {
    const driver = new ClassicDriver()
    const first = driver.join({ groupInstanceId: 's' }).value
    driver.sync(first.memberId, 1, { [first.memberId]: 'mine' }, 's')
    const back = driver.join({ groupInstanceId: 's', version }).value
    assert.is(back.skipAssignment ?? false, version === 9)
    assert.is(back.leader, version === 9 ? back.memberId : first.memberId)
    assert.is(back.members!.length, version === 9 ? 1 : 0)
    assert.is(driver.sync(back.memberId, 1, {}, 's').value.assignment!.toString(), 'mine')
  }
})

test('a parked static member is fenced when another one takes its id', () => {
  const { driver, ids } = stable()
  const first = driver.join({ groupInstanceId: 's' })
  assert.ok(first.isWaiting)
  const second = driver.join({ groupInstanceId: 's' })
  expectError(first.value, 'FENCED_INSTANCE_ID')
  driver.join({ memberId: ids[0]! })
  expectError(second.value, 'NONE')
})

test('leaving: by member id, by instance id alone, before joining; strangers are unknown', () => {
  const { driver, ids, generation } = stable(2)
  const pending = driver.join().value.memberId
  assert.is(driver.group.leave(pending, null, null), 0)
  assert.is(driver.group.leave(ids[1]!, null, 'enough'), 0)
  const again = driver.join({ memberId: ids[0]! }).value
  assert.is(again.generationId, generation + 1)
  assert.is(errorName(driver.group.leave('stranger', null, null)), 'UNKNOWN_MEMBER_ID')
  assert.is(errorName(driver.group.leave('', 'nobody', null)), 'UNKNOWN_MEMBER_ID')
  const one = new ClassicDriver()
  one.join({ groupInstanceId: 's' })
  assert.is(one.group.leave('', 's', null), 0)
  assert.is(one.group.state, 'Empty')
})

test('the last member leaves an empty group behind, which is written', () => {
  const { driver, ids, generation } = stable()
  driver.group.leave(ids[0]!, null, null)
  assert.is(driver.group.state, 'Empty')
  const last = driver.records.at(-1)!
  assert.is(last.kind === 'groupMetadata' && last.value?.members.length, 0)
  assert.is(driver.replayed().generation, generation + 1)
  assert.is(driver.joinNew().value.generationId, generation + 2)
})

test('a new member that dies while it waits is given up after five minutes', () => {
  const { driver, ids, generation } = stable()
  const joining = driver.joinNew({ rebalanceTimeoutMs: 20 * 60_000 })
  for (let ms = 0; ms <= 5 * 60_000; ms += SESSION_MS / 2) {
    driver.group.heartbeat(ids[0]!, null, generation)
    driver.pass(SESSION_MS / 2)
  }
  expectError(joining.value, 'UNKNOWN_MEMBER_ID')
})

test('group.max.size: no more members than that, those who are in may come back', () => {
  const { driver, ids } = stable(2)
  driver.settings = { ...driver.settings, sizeMax: 2 }
  expectError(driver.join().value, 'GROUP_MAX_SIZE_REACHED')
  assert.is(driver.join({ memberId: ids[1]! }).value.errorCode, 0)
})

test('assignments that the log cannot take are refused, and the group goes on', () => {
  const { driver, ids } = stable()
  driver.recordBytesMax = 2_000
  const { generationId } = driver.join({ memberId: ids[0]! }).value
  const big = { [ids[0]!]: 'x'.repeat(3_000) }
  expectError(driver.sync(ids[0]!, generationId!, big).value, 'UNKNOWN_SERVER_ERROR')
  const again = driver.join({ memberId: ids[0]! }).value
  expectError(driver.sync(ids[0]!, again.generationId!, { [ids[0]!]: 'x' }).value, 'NONE')
})

test('a wrong protocol type or name is refused by SyncGroup', () => {
  const { driver, ids, generation } = stable()
  for (const wrong of [{ protocolType: 'connect' }, { protocolName: 'roundrobin' }]) {
    let code = -1
    const request = { memberId: ids[0]!, groupInstanceId: null, generationId: generation }
    driver.group.sync(
      { ...request, protocolType: null, protocolName: null, assignments: [], ...wrong },
      { clientId: '', clientHost: '', version: 5 },
      answer => {
        code = answer.errorCode
      },
    )
    assert.is(errorName(code), 'INCONSISTENT_GROUP_PROTOCOL')
  }
})

test('when the last member leaves, the group is empty at once, whoever has been given an id', () => {
  const { driver, ids } = stable()
  const pending = driver.join().value.memberId
  assert.is(driver.group.leave(ids[0]!, null, null), 0)
  assert.is(driver.group.state, 'Empty')
  const late = driver.join({ memberId: pending })
  driver.pass(SETTINGS.initialRebalanceDelayMs)
  expectError(late.value, 'NONE')
})

test('after a restart the group is as it was, and its members have a whole session to be heard of', () => {
  const { driver, ids, generation } = stable(2)
  driver.time = 50_000
  const after = driver.replayed()
  after.loaded()
  assert.is(after.state, 'Stable')
  assert.is(after.heartbeat(ids[1]!, null, generation), 0)
  driver.group = after
  driver.pass(SESSION_MS - 1)
  assert.is(driver.group.size, 2)
  driver.pass(1)
  assert.is(driver.group.size, 0)
})

test('when the coordinator goes, all who wait are told', () => {
  const { driver, ids } = stable(2)
  const join = driver.joinNew()
  const again = driver.join({ memberId: ids[0]! })
  driver.group.close(16)
  expectError(join.value, 'NOT_COORDINATOR')
  expectError(again.value, 'NOT_COORDINATOR')
  assert.is(driver.group.deadline, Number.POSITIVE_INFINITY)
})

test.run()
