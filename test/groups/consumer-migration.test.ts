import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import { upgradeFrom } from '../../src/groups/consumer/classic-bridge.ts'
import type {
  ClassicGroupState,
  ClassicMemberState,
  JoinRequest,
  JoinResponse,
  SyncRequest,
} from '../../src/groups/group.ts'
import type { GroupRecord } from '../../src/groups/records.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { encodeAssignment, encodeSubscription, parsedAssignment } from '../lib/consumer-protocol.ts'
import { CLIENT, GroupWorld, stateOf } from '../lib/group-world.ts'

const test = suite('groups that move between the classic and the consumer protocol')

const { NONE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION } = ErrorCode
const { INCONSISTENT_GROUP_PROTOCOL, GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED } = ErrorCode

type Partitions = { topic: string; partitions: number[] }[]

const cooperative = (topics: string[], owned: Partitions = []) => [
  { name: 'cooperative-sticky', metadata: encodeSubscription(topics, owned) },
]

function classicMember(
  memberId: string,
  assigned: Partitions,
  more: Partial<ClassicMemberState> = {},
): ClassicMemberState {
  return {
    ...{ memberId, instanceId: null, clientId: 'client', clientHost: '/host' },
    ...{ rebalanceTimeoutMs: 30_000, sessionTimeoutMs: 10_000 },
    protocols: cooperative(['a']),
    assignment: encodeAssignment(assigned),
    ...more,
  }
}

function classicGroup(
  members: ClassicMemberState[],
  more: Partial<ClassicGroupState> = {},
): ClassicGroupState {
  return {
    ...{ protocolType: 'consumer', generation: 7, protocol: 'cooperative-sticky', leaderId: null },
    members,
    ...more,
  }
}

/** A group with two classic members that have one partition each of `a`. */
function upgraded(): GroupWorld {
  const world = new GroupWorld()
  world.topic('a', 2)
  const state = classicGroup([
    classicMember('old1', [{ topic: 'a', partitions: [0] }]),
    classicMember('old2', [{ topic: 'a', partitions: [1] }]),
  ])
  world.group = upgradeFrom(state, world.context)
  return world
}

const beat = (world: GroupWorld, memberId: string, generation: number): number =>
  world.group.heartbeat(memberId, null, generation)

/** The partitions of `a` that a classic member is told to have when it syncs. */
function synced(world: GroupWorld, memberId: string, generationId: number): number[] {
  const answer = world.sync({ memberId, generationId, protocolName: 'cooperative-sticky' })
  assert.is(answer.errorCode, NONE)
  return parsedAssignment(answer.assignment!).flatMap(t => t.partitions)
}

function refused(action: () => unknown, errorCode: number): void {
  try {
    action()
  } catch (error) {
    assert.is(error instanceof BrokerError ? error.errorCode : error, errorCode)
    return
  }
  assert.unreachable(`not refused with ${errorCode}`)
}

test('an upgrade keeps generation, assignments and everybody', () => {
  const world = upgraded()
  const shown = world.group.describe()
  assert.is(shown.groupState, 'Stable')
  assert.is(shown.groupEpoch, 7)
  assert.equal(
    shown.members.map(m => [m.memberId, m.memberEpoch, m.memberType]),
    [
      ['old1', 7, 0],
      ['old2', 7, 0],
    ],
  )
  assert.is(beat(world, 'old1', 7), NONE)
  assert.equal(synced(world, 'old2', 7), [1])
  assert.equal(stateOf(world.reloaded()), stateOf(world.group))
})

test('who joined before an upgrade syncs with the protocol that its group had chosen', () => {
  const world = new GroupWorld()
  world.topic('a', 1)
  const [only] = cooperative(['a'])
  const protocols = [{ ...only!, name: 'preferred' }, only!]
  const assigned = [{ topic: 'a', partitions: [0] }]
  world.group = upgradeFrom(
    classicGroup([classicMember('m', assigned, { protocols })]),
    world.context,
  )
  assert.equal(synced(world, 'm', 7), [0])
  const strange = world.sync({ memberId: 'm', generationId: 7, protocolName: 'strange' })
  assert.is(strange.errorCode, INCONSISTENT_GROUP_PROTOCOL)
})

test('what cannot be upgraded', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  const one = classicMember('m', [])
  const all = [{ topic: 'a', partitions: [0] }]
  const refuse = (state: ClassicGroupState, errorCode: number = GROUP_ID_NOT_FOUND): void => {
    refused(() => upgradeFrom(state, world.context), errorCode)
    assert.equal(world.log, [])
  }
  refuse(classicGroup([one], { protocolType: 'connect' }))
  refuse(classicGroup([{ ...one, protocols: [{ name: 'range', metadata: Buffer.alloc(1) }] }]))
  refuse(classicGroup([{ ...one, protocols: [] }]))
  refuse(classicGroup([{ ...one, assignment: Buffer.from([0, 0, 9]) }]))
  refuse(classicGroup([{ ...one, assignment: encodeAssignment(all, Buffer.from('own')) }]))
  refuse(classicGroup([classicMember('m1', all), classicMember('m2', all)]))
  world.settings.consumerSizeMax = 1
  refuse(classicGroup([one]), GROUP_MAX_SIZE_REACHED)
  refuse(classicGroup([one, classicMember('m2', [])]))
  world.settings.consumerSizeMax = 10
  for (const policy of ['downgrade', 'disabled'] as const) {
    world.settings.consumerMigrationPolicy = policy
    refuse(classicGroup([one]))
  }
})

test('a group whose first rebalance is not over can be upgraded', () => {
  const world = new GroupWorld()
  world.topic('a', 1)
  const joining = classicMember('m', [], { assignment: Buffer.alloc(0) })
  const state = classicGroup([joining], { generation: 0, protocol: null })
  world.group = upgradeFrom(state, world.context)
  assert.is(world.group.describe().groupEpoch, 1)
  assert.is(beat(world, 'm', 0), ILLEGAL_GENERATION, 'it joins again')
})

test('the members move over one by one, and no partition has two of them', () => {
  const world = upgraded()
  const a = world.context.topics.byName('a')!.id
  const joined = world.enter('new', ['a'])
  assert.is(joined.memberEpoch, 8)
  assert.equal(joined.assignment, { topicPartitions: [] })

  assert.is(beat(world, 'old2', 7), REBALANCE_IN_PROGRESS)
  const owned = [{ topic: 'a', partitions: [1] }]
  const first = world.join({ memberId: 'old2', protocols: cooperative(['a'], owned) })
  assert.equal([first.errorCode, first.generationId, first.leader], [NONE, 8, ''])
  assert.is(first.protocolName, 'cooperative-sticky')
  assert.equal(synced(world, 'old2', first.generationId!), [1], 'nothing to give up with 3 members')
  const leaving = world.leave('old1')
  assert.is(leaving, NONE)
  assert.is(world.classic, null, 'there is still one of the consumer protocol')
  const answer = world.heartbeat({ memberId: 'new', memberEpoch: 8, topicPartitions: [] })
  assert.equal(answer.assignment, { topicPartitions: [{ topicId: a, partitions: [0] }] })
})

test('a classic member gives up a partition in two joins', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  const both = [{ topic: 'a', partitions: [0, 1] }]
  world.group = upgradeFrom(classicGroup([classicMember('old', both)]), world.context)
  world.enter('new', ['a'])
  assert.is(beat(world, 'old', 7), REBALANCE_IN_PROGRESS)
  const told = world.join({ memberId: 'old', protocols: cooperative(['a'], both) })
  assert.is(told.generationId, 7, 'it stays behind')
  assert.equal(synced(world, 'old', 7), [0])
  assert.is(beat(world, 'old', 7), REBALANCE_IN_PROGRESS, 'and has to say that it is done')
  const rest = [{ topic: 'a', partitions: [0] }]
  const done = world.join({ memberId: 'old', protocols: cooperative(['a'], rest) })
  assert.is(done.generationId, 8)
  assert.equal(synced(world, 'old', 8), [0])
  assert.is(beat(world, 'old', 8), NONE)
  const given = world.heartbeat({ memberId: 'new', memberEpoch: 8 })
  assert.is(given.assignment?.topicPartitions.length, 1)
})

test('a classic member waits for what others have, and is told when it can have it', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('new', ['a'])
  const { memberId } = world.join({ protocols: cooperative(['a']) })
  const joined = world.join({ memberId, protocols: cooperative(['a']) })
  assert.equal(synced(world, memberId, joined.generationId!), [])
  assert.is(beat(world, memberId, joined.generationId!), NONE, 'the other one is asked first')
  const asIs = { memberId: 'new', memberEpoch: 2 }
  world.heartbeat({ ...asIs, topicPartitions: [{ topicId: a, partitions: [0, 1] }] })
  world.heartbeat({ ...asIs, topicPartitions: [{ topicId: a, partitions: [0] }] })
  assert.is(beat(world, memberId, joined.generationId!), REBALANCE_IN_PROGRESS)
  const again = world.join({ memberId, protocols: cooperative(['a']) })
  assert.equal(synced(world, memberId, again.generationId!), [1])
})

test('how a classic member joins', () => {
  const world = new GroupWorld()
  world.topic('a', 1)
  world.enter('new', ['a'])
  const protocols = cooperative(['a'])
  const needsId = world.join({ protocols })
  assert.is(needsId.errorCode, ErrorCode.MEMBER_ID_REQUIRED)
  assert.is(needsId.memberId.length, 22)
  const old = world.join({ protocols }, { clientId: 'c', clientHost: '/h', version: 3 })
  assert.is(old.errorCode, NONE)
  assert.is(world.join({ protocols, groupInstanceId: 'i' }).errorCode, NONE)
  const asStatic = { protocols, groupInstanceId: 'i', memberId: 'x' }
  assert.is(world.join(asStatic).errorCode, ErrorCode.FENCED_INSTANCE_ID)
  const unknown = world.join({ protocols, groupInstanceId: 'j', memberId: 'x' })
  assert.is(unknown.errorCode, UNKNOWN_MEMBER_ID)
  const refuse = (request: object): void =>
    assert.is(world.join({ memberId: 'x', ...request }).errorCode, INCONSISTENT_GROUP_PROTOCOL)
  refuse({ protocols, protocolType: 'connect' })
  refuse({ protocols: [] })
  refuse({ protocols: [{ name: 'range', metadata: encodeSubscription(['a']) }] })
  refuse({ protocols: [{ name: 'cooperative-sticky', metadata: Buffer.from([0, 3, 1]) }] })
  world.settings.consumerSizeMax = world.group.size
  assert.is(world.join({ memberId: 'x', protocols }).errorCode, GROUP_MAX_SIZE_REACHED)
  world.settings.consumerMigrationPolicy = 'disabled'
  refuse({ protocols })
})

test('calls of the classic protocol that do not fit', () => {
  const world = upgraded()
  world.enter('new', ['b'])
  const sync = { memberId: 'old1', generationId: 7 }
  assert.is(world.sync({ ...sync, memberId: 'x' }).errorCode, UNKNOWN_MEMBER_ID)
  assert.is(world.sync({ ...sync, memberId: 'new' }).errorCode, UNKNOWN_MEMBER_ID)
  assert.is(world.sync({ ...sync, generationId: 6 }).errorCode, ILLEGAL_GENERATION)
  assert.is(world.sync({ ...sync, protocolType: 'connect' }).errorCode, INCONSISTENT_GROUP_PROTOCOL)
  assert.is(world.sync({ ...sync, protocolName: 'range' }).errorCode, INCONSISTENT_GROUP_PROTOCOL)
  assert.is(world.sync(sync).errorCode, REBALANCE_IN_PROGRESS, 'there is a newer target')
  assert.is(beat(world, 'x', 7), UNKNOWN_MEMBER_ID)
  assert.is(beat(world, 'new', 8), UNKNOWN_MEMBER_ID)
  assert.is(beat(world, 'old1', 8), ILLEGAL_GENERATION)
  assert.is(world.leave('x'), UNKNOWN_MEMBER_ID)
  assert.is(world.leave('', 'i'), UNKNOWN_MEMBER_ID)
})

test('a classic member that is not heard of, does not join or does not sync is removed', () => {
  const session = upgraded()
  session.enter('new', ['a'])
  session.pass(10_000)
  assert.is(session.group.size, 1, 'sessions of 10 s')

  const keep = (world: GroupWorld, until: number, memberIds: string[]): void => {
    while (world.now < until) {
      world.pass(5_000)
      const generation = (id: string) =>
        world.group.describe().members.find(m => m.memberId === id)?.memberEpoch ?? -1
      for (const id of memberIds) beat(world, id, generation(id))
      world.heartbeat({ memberId: 'new', memberEpoch: generation('new') })
    }
  }
  const joining = upgraded()
  joining.enter('new', ['a'])
  keep(joining, joining.now + 29_000, ['old1', 'old2'])
  assert.is(joining.group.size, 3)
  keep(joining, joining.now + 10_000, ['old1', 'old2'])
  assert.is(joining.group.size, 1, 'they were told to join for 30 s')

  const syncing = new GroupWorld()
  syncing.topic('a', 1)
  syncing.enter('new', ['a'])
  const { memberId } = syncing.join({ memberId: 'c', protocols: cooperative(['a']) })
  keep(syncing, syncing.now + 25_000, [memberId])
  assert.is(syncing.group.size, 2)
  keep(syncing, syncing.now + 10_000, [memberId])
  assert.is(syncing.group.size, 1, 'it has not synced for 30 s')
})

test('when the last member of the consumer protocol leaves, the group is a classic one again', () => {
  const world = upgraded()
  world.enter('new', ['a'])
  const epoch = world.group.describe().groupEpoch
  for (const memberId of ['old1', 'old2']) {
    world.join({ memberId, protocols: cooperative(['a']) })
  }
  world.heartbeat({ memberId: 'new', memberEpoch: -1 })
  const { classic } = world
  assert.ok(classic)
  assert.is(classic.generation, epoch, 'the generation that the members know')
  assert.is(classic.protocol, 'cooperative-sticky')
  assert.is(classic.state, 'PreparingRebalance', 'there are partitions to give to others')
  assert.is(classic.heartbeat('old1', null, epoch), REBALANCE_IN_PROGRESS)
  assert.equal([...classic.members].map(m => m.memberId).sort(), ['old1', 'old2'])
  assert.is(world.group.deadline, Number.POSITIVE_INFINITY)
  // All of the consumer group is gone from the log.
  const kept = new Map(world.log.map(record => [JSON.stringify([record.kind, record.key]), record]))
  const left = [...kept.values()].filter(r => r.value !== null).map(r => r.kind)
  assert.equal(left, ['groupMetadata'])
})

test('a kill between going back and the rebalance that it needs: the start rebalances', () => {
  const world = upgraded()
  world.enter('new', ['a'])
  const epoch = world.group.describe().groupEpoch
  const protocols = cooperative(['a'])
  for (const memberId of ['old1', 'old2']) world.join({ memberId, protocols })
  world.heartbeat({ memberId: 'new', memberEpoch: -1 })
  const after = classicOf(world, world.log)
  assert.is(after.state, 'PreparingRebalance')
  assert.is(after.heartbeat('old1', null, epoch), REBALANCE_IN_PROGRESS)
  assert.is(classicOf(world, after.snapshot()).state, 'PreparingRebalance', 'also by a snapshot')

  const told: (JoinResponse | undefined)[] = []
  for (const memberId of ['old1', 'old2']) {
    after.join(classicJoin(memberId, protocols), CLIENT, answer => told.push(answer))
  }
  assert.equal(
    told.map(answer => [answer?.errorCode, answer?.generationId]),
    [
      [NONE, epoch + 1],
      [NONE, epoch + 1],
    ],
  )
  assert.is(told.filter(answer => answer?.leader === answer?.memberId).length, 1)
  after.sync(classicSync(told[0]!.leader!, epoch + 1), CLIENT, () => {})
  const done = classicOf(world, world.log)
  assert.is(done.state, 'Stable', 'it is done once')
  assert.is(done.heartbeat('old1', null, epoch + 1), NONE)
})

/** The classic group as a start finds it in these records. */
function classicOf(world: GroupWorld, records: readonly GroupRecord[]): ClassicGroup {
  const group = new ClassicGroup(world.context)
  for (const record of records) {
    if (record.kind === 'groupMetadata' && record.value !== null) group.replay(record.value)
  }
  group.loaded()
  return group
}

const classicJoin = (memberId: string, protocols: JoinRequest['protocols']): JoinRequest => ({
  ...{ memberId, groupInstanceId: null, protocolType: 'consumer', protocols },
  ...{ sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 30_000, reason: null },
})

const classicSync = (memberId: string, generationId: number): SyncRequest => ({
  ...{ memberId, groupInstanceId: null, generationId, protocolType: null, protocolName: null },
  assignments: [],
})

test('when it is not heard of any more, too', () => {
  const world = upgraded()
  world.enter('new', ['a'])
  for (let i = 0; i < 9 && world.classic === null; i++) {
    for (const id of ['old1', 'old2']) {
      const { generationId } = world.join({ memberId: id, protocols: cooperative(['a']) })
      world.sync({ memberId: id, generationId: generationId! })
    }
    world.pass(5_000)
  }
  assert.ok(world.classic)
})

test('a static member that comes back with the classic protocol takes its place over', () => {
  const world = upgraded()
  world.enter('new', ['a'], { instanceId: 'i' })
  const protocols = cooperative(['a'])
  for (const memberId of ['old1', 'old2']) world.join({ memberId, protocols })
  const back = world.join({ groupInstanceId: 'i', protocols })
  assert.is(back.errorCode, NONE)
  const { classic } = world
  assert.ok(classic, 'it was the last one')
  assert.is(classic.state, 'Stable', 'and nothing has to move')
  assert.is(classic.generation, back.generationId)
  assert.is(classic.heartbeat(back.memberId, 'i', back.generationId!), NONE)
})

test('the policy may keep a group from going back', () => {
  const world = upgraded()
  world.settings.consumerMigrationPolicy = 'upgrade'
  world.enter('new', ['a'])
  world.heartbeat({ memberId: 'new', memberEpoch: -1 })
  assert.is(world.classic, null)
  // Its members still notice what changes, without one of the consumer protocol.
  assert.is(beat(world, 'old1', 7), REBALANCE_IN_PROGRESS)
})

test('a classic member becomes one of the consumer protocol under its own id', () => {
  const world = upgraded()
  const joined = world.enter('old1', ['a'])
  assert.is(joined.memberEpoch, 7)
  assert.equal(
    world.group.describe().members.map(m => m.memberType),
    [1, 0],
  )
  assert.is(beat(world, 'old1', 7), UNKNOWN_MEMBER_ID)
})

test('commits of classic members', () => {
  const world = upgraded()
  const { group } = world
  const a = world.context.topics.byName('a')!.id
  assert.is(group.validateCommit('old1', null, 7, 2), null)
  refused(() => group.validateCommit('old1', null, 8, 9), ILLEGAL_GENERATION)
  const check = group.validateCommit('old1', null, 6, 9)!
  refused(() => check(a, 0), ILLEGAL_GENERATION)
  refused(() => group.validateFetch('old1', 6), ILLEGAL_GENERATION)
})

test.run()
