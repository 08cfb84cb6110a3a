import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { joinGroupApi } from '../../src/protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { leaveGroupApi } from '../../src/protocol/messages/13-leave-group.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { describeGroupsApi } from '../../src/protocol/messages/15-describe-groups.ts'
import { listGroupsApi } from '../../src/protocol/messages/16-list-groups.ts'
import { consumerGroupDescribeApi } from '../../src/protocol/messages/69-consumer-group-describe.ts'
import { beat, join, joined, subscription } from './grouping.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('JoinGroup, SyncGroup, Heartbeat, LeaveGroup')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 3 })
  await wire.createTopic('topic', 6)
})
test.after(() => wire.close())

test('in every version a member joins, syncs, beats and leaves', async () => {
  for (const version of versionsOf(joinGroupApi)) {
    const groupId = `version-${version}`
    const first = await join(wire, groupId, {}, version)
    expectError(first, version >= 4 ? 'MEMBER_ID_REQUIRED' : 'NONE')
    const { memberId } = first
    const joining = version >= 4 ? await join(wire, groupId, { memberId }, version) : first
    expectError(joining, 'NONE')
    const { generationId, leader, protocolName, members } = joining
    assert.equal([generationId, leader, protocolName], [1, memberId, 'range'])
    assert.equal(
      members.map(member => [member.memberId, member.metadata]),
      [[memberId, subscription('topic')]],
    )
    const at = (max: number) => Math.min(version, max)
    const assignments = [{ memberId, assignment: Buffer.from('yours') }]
    const named = { protocolType: 'consumer', protocolName: 'range' }
    const member = { groupId, memberId, generationId }
    const synced = await wire.send(syncGroupApi, at(5), { ...member, ...named, assignments })
    expectError(synced, 'NONE')
    assert.is(synced.assignment.toString(), 'yours')
    expectError(await wire.send(heartbeatApi, at(4), member), 'NONE')
    const leaving = version >= 3 ? { members: [{ memberId }] } : { memberId }
    const left = await wire.send(leaveGroupApi, at(5), { groupId, ...leaving })
    expectError(left, 'NONE')
    for (const one of left.members) expectError(one, 'NONE')
    expectError(await wire.send(heartbeatApi, at(4), member), 'UNKNOWN_MEMBER_ID')
  }
})

test('what cannot be is refused: session timeouts, empty names, unknown members', async () => {
  const asks = async (over: Parameters<typeof join>[2], groupId = 'refused') =>
    errorName((await join(wire, groupId, over)).errorCode)
  assert.is(await asks({ sessionTimeoutMs: 5_999 }), 'INVALID_SESSION_TIMEOUT')
  assert.is(await asks({ sessionTimeoutMs: 1_800_001 }), 'INVALID_SESSION_TIMEOUT')
  assert.is(await asks({}, ''), 'INVALID_GROUP_ID')
  assert.is(await asks({ memberId: 'stranger' }), 'UNKNOWN_MEMBER_ID')
  assert.is(await asks({ protocols: [] }), 'INCONSISTENT_GROUP_PROTOCOL')
  assert.is(await asks({ protocolType: '' }), 'INCONSISTENT_GROUP_PROTOCOL')
  const member = { groupId: 'refused', memberId: 'm', generationId: 1 }
  expectError(await wire.send(heartbeatApi, 4, member), 'UNKNOWN_MEMBER_ID')
  expectError(await wire.send(heartbeatApi, 4, { ...member, groupId: '' }), 'INVALID_GROUP_ID')
  expectError(await wire.send(syncGroupApi, 4, member), 'UNKNOWN_MEMBER_ID')
  expectError(await wire.send(syncGroupApi, 5, member), 'INCONSISTENT_GROUP_PROTOCOL')
  const { groups } = await wire.send(listGroupsApi, 5, {})
  assert.not(
    groups.some(({ groupId }) => groupId === 'refused'),
    'a refusal leaves no group',
  )
})

test('an id that was given to a dynamic member cannot be used with an instance id', async () => {
  const first = await join(wire, 'instances', { groupInstanceId: 'i' })
  expectError(first, 'NONE')
  const { memberId } = await join(wire, 'instances')
  const second = await join(wire, 'instances', { memberId, groupInstanceId: 'i' })
  expectError(second, 'UNKNOWN_MEMBER_ID')
  const { groups } = await wire.send(describeGroupsApi, 5, { groups: ['instances'] })
  assert.equal(
    groups[0]!.members.map(member => [member.memberId, member.groupInstanceId]),
    [[first.memberId, 'i']],
  )
})

test('while a group is being rebalanced, what its members had is still shown', async () => {
  await joined(wire, 'moving', 'topic')
  const other = await wire.connect()
  const waiting = join(wire.over(other), 'moving', {}, 3).catch(() => null)
  let described: { groupState: string; members: readonly { memberAssignment: Buffer }[] }
  do {
    const { groups } = await wire.send(describeGroupsApi, 5, { groups: ['moving'] })
    described = groups[0]!
  } while (described.groupState !== 'PreparingRebalance')
  assert.is(described.members[0]!.memberAssignment.toString(), 'assigned')
  await other.close()
  await waiting
})

test('a refused join does not change the type of an empty group', async () => {
  await beat(wire, 'was-848', 'm', 0)
  await beat(wire, 'was-848', 'm', -1)
  expectError(await join(wire, 'was-848', { memberId: 'nobody' }), 'UNKNOWN_MEMBER_ID')
  const asked = { groupIds: ['was-848'] }
  const { groups } = await wire.send(consumerGroupDescribeApi, 1, asked)
  expectError(groups[0]!, 'NONE')
})

test('several members leave in one request, each with an outcome', async () => {
  const { memberId } = await joined(wire, 'leaving', 'topic')
  const members = [{ memberId: 'stranger' }, { memberId }, { groupInstanceId: 'nobody' }]
  const left = await wire.send(leaveGroupApi, 5, { groupId: 'leaving', members })
  expectError(left, 'NONE')
  assert.equal(
    left.members.map(({ errorCode }) => errorName(errorCode)),
    ['UNKNOWN_MEMBER_ID', 'NONE', 'UNKNOWN_MEMBER_ID'],
  )
})

test('the first member of a new group has its assignment within 50 ms', async () => {
  const own = await Wire.start({ groupInitialRebalanceDelayMs: 0 })
  await joined(own, 'first', 'topic')
  // The best of some: what else the machine does must not decide.
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    const started = performance.now()
    await joined(own, `quick-${i}`, 'topic')
    times.push(performance.now() - started)
  }
  assert.ok(Math.min(...times) < 50, `${times} ms`)
  await own.close()
})

test('members that start together are in one generation, also without a delay', async () => {
  const other = await wire.connect()
  const ids = [await join(wire, 'together'), await join(wire, 'together')].map(a => a.memberId)
  const [first, second] = await Promise.all([
    join(wire, 'together', { memberId: ids[0]! }),
    join(wire.over(other), 'together', { memberId: ids[1]! }),
  ])
  assert.equal([first.generationId, second.generationId], [1, 1])
  assert.equal([first.members.length + second.members.length], [2])
  await other.close()
})

test('a stopped broker expires no session for the time that it did not run', async () => {
  const { memberId, generationId } = await joined(wire, 'blocked', 'topic')
  const { group } = wire.node.groups.entry('blocked')!.entry
  const member = { groupId: 'blocked', memberId, generationId }
  // A session of 30 s is shortened for the test: 6 s are the least, and the loop stands still for longer.
  await join(wire, 'blocked', { memberId, sessionTimeoutMs: 6_000 })
  await wire.send(syncGroupApi, 3, { ...member, generationId: generationId + 1 })
  const until = performance.now() + 7_000
  while (performance.now() < until) {}
  await sleep(300)
  assert.not(group.isEmpty)
  const beaten = await wire.send(heartbeatApi, 3, { ...member, generationId: generationId + 1 })
  expectError(beaten, 'NONE')
})

test('a closing broker tells those who wait', async () => {
  const own = await Wire.start({ groupInitialRebalanceDelayMs: 60_000 })
  const { memberId } = await join(own, 'g')
  const waiting = join(own, 'g', { memberId })
  while (own.node.groups.entry('g')?.entry.group.state !== 'PreparingRebalance') await sleep(5)
  const closing = own.node.close()
  expectError(await waiting, 'NOT_COORDINATOR')
  await closing
  await own.close()
})

test('groups are listed by state and type, and described', async () => {
  await joined(wire, 'listed', 'topic')
  await beat(wire, 'listed-848', 'm', 0)
  const list = async (over: { statesFilter?: string[]; typesFilter?: string[] }) => {
    const { groups } = await wire.send(listGroupsApi, 5, over)
    return groups
      .filter(({ groupId }) => groupId.startsWith('listed'))
      .map(({ groupId, groupState, groupType }) => `${groupId} ${groupState} ${groupType}`)
      .sort()
  }
  const both = ['listed Stable classic', 'listed-848 Stable consumer']
  assert.equal(await list({}), both)
  assert.equal(await list({ statesFilter: ['STABLE'] }), both)
  assert.equal(await list({ statesFilter: ['empty'] }), [])
  assert.equal(await list({ typesFilter: ['Consumer'] }), both.slice(1))
  for (const version of versionsOf(listGroupsApi)) {
    const { groups } = await wire.send(listGroupsApi, version, {})
    assert.is(groups.find(({ groupId }) => groupId === 'listed')!.protocolType, 'consumer')
  }
  for (const version of versionsOf(describeGroupsApi)) {
    const asked = { groups: ['listed', 'listed-848', 'nobody'] }
    const { groups } = await wire.send(describeGroupsApi, version, asked)
    const [listed, other, nobody] = groups
    assert.equal([listed!.groupState, listed!.protocolData], ['Stable', 'range'])
    assert.is(listed!.members[0]!.memberAssignment.toString(), 'assigned')
    assert.is(listed!.members[0]!.clientHost, '/127.0.0.1')
    for (const missing of [other!, nobody!]) {
      assert.is(missing.groupState, 'Dead')
      expectError(missing, version >= 6 ? 'GROUP_ID_NOT_FOUND' : 'NONE')
    }
  }
})

test('every version of DescribeGroups can say that a group id is empty', async () => {
  for (const version of versionsOf(describeGroupsApi)) {
    const { groups } = await wire.send(describeGroupsApi, version, { groups: ['', 'nobody'] })
    expectError(groups[0]!, 'INVALID_GROUP_ID')
    expectError(groups[1]!, version >= 6 ? 'GROUP_ID_NOT_FOUND' : 'NONE')
  }
})

test('what may be done with a group is told if it is asked for and there is no error', async () => {
  const asked = { groups: ['nobody'], includeAuthorizedOperations: true }
  const dead = await wire.send(describeGroupsApi, 5, asked)
  assert.is(dead.groups[0]!.authorizedOperations, 3400)
  const missing = await wire.send(describeGroupsApi, 6, asked)
  assert.is(missing.groups[0]!.authorizedOperations, -(2 ** 31))
  const ids = { groupIds: ['nobody'], includeAuthorizedOperations: true }
  const consumers = await wire.send(consumerGroupDescribeApi, 1, ids)
  assert.is(consumers.groups[0]!.authorizedOperations, -(2 ** 31))
})

test.run()
