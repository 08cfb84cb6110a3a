import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { encodeRecord } from '../../src/groups/records.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { CLIENT, GroupWorld, SESSION_MS, stateOf } from '../lib/group-world.ts'

const test = suite('a group of the consumer protocol')

function refused(action: () => unknown, errorCode: number): void {
  try {
    action()
  } catch (error) {
    assert.instance(error, BrokerError)
    assert.is((error as BrokerError).errorCode, errorCode, (error as BrokerError).message)
    return
  }
  assert.unreachable(`not refused with ${errorCode}`)
}

/** Partitions of an answer: `name:0,1 name:2`. */
function given(world: GroupWorld, response: ReturnType<GroupWorld['heartbeat']>): string | null {
  if (response.assignment === null) return null
  return response.assignment.topicPartitions
    .map(t => `${world.nameOf(t.topicId)}:${t.partitions.join()}`)
    .sort()
    .join(' ')
}

const owned = (topicId: string, ...partitions: number[]) => [{ topicId, partitions }]

test('a lone member has everything in the answer to its join', () => {
  const world = new GroupWorld()
  world.topic('a', 3)
  world.topic('b', 2)
  const joined = world.enter('m1', ['b', 'a', 'missing'])
  assert.is(joined.memberId, 'm1')
  assert.is(joined.memberEpoch, 2)
  assert.is(joined.heartbeatIntervalMs, 5_000)
  assert.is(given(world, joined), 'a:0,1,2 b:0,1')
  assert.equal(world.kinds(), [
    'groupEpoch',
    'member',
    'targetMember',
    'targetEpoch',
    'currentMember',
  ])
  assert.is(world.group.state, 'Stable')
  const again = world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  assert.is(again.assignment, null, 'nothing is new')
  assert.is(world.writes.length, 1, 'and nothing is written')
})

test('the broker makes the member id for version 0', () => {
  const world = new GroupWorld()
  const joined = world.heartbeat(
    { rebalanceTimeoutMs: 1, subscribedTopicNames: [], topicPartitions: [] },
    { ...CLIENT, version: 0 },
  )
  assert.is(joined.memberId?.length, 22)
  refused(() => world.enter('', []), ErrorCode.INVALID_REQUEST)
})

test('a partition moves in three steps: revoked, reported as gone, given', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'])
  const joined = world.enter('m2', ['a'])
  assert.is(joined.memberEpoch, 3)
  assert.is(given(world, joined), '', 'm1 has both')
  assert.is(world.group.state, 'Reconciling')

  const told = world.heartbeat({ memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 1) })
  assert.is(given(world, told), 'a:0')
  assert.is(told.memberEpoch, 2, 'it stays behind until it has given it up')
  const waiting = world.heartbeat({ memberId: 'm2', memberEpoch: 3, topicPartitions: [] })
  assert.is(waiting.assignment, null)

  const silent = world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  assert.is(silent.memberEpoch, 2, 'not to say what it has is not to have given it up')
  const done = world.heartbeat({ memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0) })
  assert.is(done.memberEpoch, 3)
  assert.is(given(world, world.heartbeat({ memberId: 'm2', memberEpoch: 3 })), 'a:1')
  assert.is(world.group.state, 'Stable')
})

test('requests that make no sense', () => {
  const world = new GroupWorld()
  const invalid = (request: object): void =>
    refused(() => world.heartbeat(request), ErrorCode.INVALID_REQUEST)
  const join = {
    memberId: 'm',
    rebalanceTimeoutMs: 1,
    subscribedTopicNames: [],
    topicPartitions: [],
  }
  invalid({ ...join, groupId: '' })
  invalid({ ...join, instanceId: '' })
  invalid({ ...join, rackId: '' })
  invalid({ ...join, rebalanceTimeoutMs: -1 })
  invalid({ ...join, topicPartitions: null })
  invalid({ ...join, topicPartitions: owned('t', 1) })
  invalid({ ...join, subscribedTopicNames: null })
  invalid({ memberId: '', memberEpoch: 5 })
  invalid({ memberId: '', memberEpoch: -1 })
  invalid({ memberId: 'm', memberEpoch: -2 })
  invalid({ memberId: 'm', memberEpoch: -3 })
  refused(() => world.heartbeat({ ...join, serverAssignor: 'no' }), ErrorCode.UNSUPPORTED_ASSIGNOR)
  assert.equal(world.log, [])
})

test('who is not a member', () => {
  const world = new GroupWorld()
  const { UNKNOWN_MEMBER_ID } = ErrorCode
  refused(() => world.heartbeat({ memberId: 'm', memberEpoch: 1 }), UNKNOWN_MEMBER_ID)
  refused(() => world.heartbeat({ memberId: 'm', memberEpoch: -1 }), UNKNOWN_MEMBER_ID)
  const asStatic = { memberId: 'm', instanceId: 'i' }
  refused(() => world.heartbeat({ ...asStatic, memberEpoch: 1 }), UNKNOWN_MEMBER_ID)
  refused(() => world.heartbeat({ ...asStatic, memberEpoch: -2 }), UNKNOWN_MEMBER_ID)
})

test('a group has a maximum size', () => {
  const world = new GroupWorld()
  world.settings.consumerSizeMax = 1
  world.enter('m1', [])
  refused(() => world.enter('m2', []), ErrorCode.GROUP_MAX_SIZE_REACHED)
  world.enter('m1', ['a'])
})

test('a member whose answer was lost may come with the epoch before, and what it had', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'])
  world.topic('a', 3)
  world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  const { FENCED_MEMBER_EPOCH } = ErrorCode
  refused(() => world.heartbeat({ memberId: 'm1', memberEpoch: 2 }), FENCED_MEMBER_EPOCH)
  const others = { memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 7) }
  refused(() => world.heartbeat(others), FENCED_MEMBER_EPOCH)
  refused(() => world.heartbeat({ memberId: 'm1', memberEpoch: 4 }), FENCED_MEMBER_EPOCH)
  const full = { rebalanceTimeoutMs: 1_000, subscribedTopicNames: ['a'] }
  const repeated = world.heartbeat({
    ...{ memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 1) },
    ...full,
  })
  assert.is(repeated.memberEpoch, 3)
  assert.is(given(world, repeated), 'a:0,1,2')
  const fenced = world.enter('m1', ['a'])
  assert.is(given(world, fenced), 'a:0,1,2', 'a fenced member joins again and has what it had')
})

test('a member leaves: its partitions are free at once', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'])
  world.enter('m2', ['a'])
  const left = world.heartbeat({ memberId: 'm1', memberEpoch: -1 })
  assert.equal(left, { memberId: 'm1', memberEpoch: -1, heartbeatIntervalMs: 0, assignment: null })
  assert.equal(world.kinds(), ['groupEpoch', '-currentMember', '-targetMember', '-member'])
  const next = world.heartbeat({ memberId: 'm2', memberEpoch: 3, topicPartitions: owned(a) })
  assert.is(given(world, next), 'a:0,1')
  world.heartbeat({ memberId: 'm2', memberEpoch: -1 })
  assert.is(world.group.state, 'Empty')
  assert.ok(world.group.isEmpty)
})

test('a member that is not heard of is removed', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.enter('m1', ['a'])
  world.pass(SESSION_MS / 2)
  world.enter('m2', ['a'])
  world.pass(SESSION_MS / 2 - 1)
  assert.is(world.group.size, 2)
  world.pass(1)
  assert.equal(
    world.group.describe().members.map(m => m.memberId),
    ['m2'],
  )
  world.heartbeat({ memberId: 'm2', memberEpoch: 3 })
  world.pass(SESSION_MS - 1)
  assert.is(world.group.size, 1)
  world.pass(1)
  assert.is(world.group.deadline, Number.POSITIVE_INFINITY)
})

test('a member that does not give up a partition within its rebalance timeout is removed', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'])
  world.enter('m2', ['a'])
  const asIs = { memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 1) }
  world.heartbeat(asIs)
  world.pass(29_000)
  world.heartbeat(asIs)
  world.heartbeat({ memberId: 'm2', memberEpoch: 3 })
  world.pass(1_000)
  refused(() => world.heartbeat(asIs), ErrorCode.UNKNOWN_MEMBER_ID)
  assert.is(given(world, world.heartbeat({ memberId: 'm2', memberEpoch: 3 })), 'a:0,1')
})

test('topics come, grow and go', () => {
  const world = new GroupWorld()
  const joined = world.enter('m1', ['a', 'b'])
  assert.is(given(world, joined), '')
  const beat = (memberEpoch: number, more = {}) =>
    world.heartbeat({ memberId: 'm1', memberEpoch, ...more })
  world.topic('other', 5)
  assert.is(beat(2).assignment, null, 'none of its business')
  assert.is(world.writes.length, 1)
  const a = world.topic('a', 1)
  assert.is(given(world, beat(2)), 'a:0')
  world.topic('a', 2)
  assert.is(given(world, beat(3)), 'a:0,1')
  world.deleteTopic('a')
  const gone = beat(4, { topicPartitions: owned(a, 0, 1) })
  assert.is(given(world, gone), '')
  assert.is(gone.memberEpoch, 4)
  world.topic('a', 1)
  const back = beat(4, { topicPartitions: [] })
  assert.is(given(world, back), 'a:0', 'a topic of the same name is another topic')
  assert.is(world.group.state, 'Stable')
})

test('who unsubscribes from a topic is told so in the same answer', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 1)
  const b = world.topic('b', 1)
  world.enter('m1', ['a', 'b'])
  const answer = world.heartbeat({
    ...{ memberId: 'm1', memberEpoch: 2, subscribedTopicNames: ['b'] },
    topicPartitions: [...owned(a, 0), ...owned(b, 0)],
  })
  assert.is(given(world, answer), 'b:0')
  assert.not(world.group.isSubscribedTo('a'))
  assert.ok(world.group.isSubscribedTo('b'))
})

test('most members decide on the assignor', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.topic('b', 2)
  world.enter('m1', ['a', 'b'])
  assert.is(world.group.describe().assignorName, 'uniform')
  world.enter('m2', ['a', 'b'], { serverAssignor: 'range' })
  assert.is(world.group.describe().assignorName, 'range')
  const targets = world.group.describe().members.map(m => m.targetAssignment.topicPartitions)
  assert.equal(
    targets.map(ts => ts.map(t => t.partitions)),
    [
      [[0], [0]],
      [[1], [1]],
    ],
  )
})

const STATIC = { instanceId: 'i' }

test('a static member leaves for a while and comes back under a new id', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.enter('m1', ['a'], STATIC)
  world.enter('other', ['a'])
  const { UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID } = ErrorCode
  refused(() => world.enter('m2', ['a'], STATIC), UNRELEASED_INSTANCE_ID)
  const epoch = world.group.describe().groupEpoch
  const left = world.heartbeat({ memberId: 'm1', memberEpoch: -2, ...STATIC })
  assert.is(left.memberEpoch, -2)
  assert.equal(world.kinds(), ['currentMember'])
  const back = world.enter('m2', ['a'], STATIC)
  assert.is(back.memberEpoch, epoch, 'no rebalance')
  assert.is(given(world, back), 'a:0')
  assert.equal(world.kinds().slice(0, 3), ['-currentMember', '-targetMember', '-member'])
  refused(() => world.heartbeat({ memberId: 'm1', memberEpoch: 2, ...STATIC }), FENCED_INSTANCE_ID)
  refused(() => world.heartbeat({ memberId: 'm1', memberEpoch: -2, ...STATIC }), FENCED_INSTANCE_ID)
  assert.is(stateOf(world.group).join('\n'), stateOf(world.reloaded()).join('\n'))
})

test('a static member that stays away loses its place', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.enter('m1', ['a'], STATIC)
  world.heartbeat({ memberId: 'm1', memberEpoch: -2, ...STATIC })
  world.pass(SESSION_MS)
  assert.ok(world.group.isEmpty)
})

test('a static member may join again under its own id', () => {
  const world = new GroupWorld()
  world.topic('a', 1)
  world.enter('m1', ['a'], STATIC)
  assert.is(given(world, world.enter('m1', ['a'], STATIC)), 'a:0')
})

test('commits: of the epoch it is in, or an older one since when it has the partition', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  const { group } = world
  assert.is(group.validateCommit('', null, -1, 9), null, 'nobody is there to mind')
  world.enter('m1', ['a'])
  refused(() => group.validateCommit('', null, -1, 9), ErrorCode.UNKNOWN_MEMBER_ID)
  refused(() => group.validateCommit('m1', null, 2, 8), ErrorCode.UNSUPPORTED_VERSION)
  refused(() => group.validateCommit('m1', null, 3, 9), ErrorCode.STALE_MEMBER_EPOCH)
  assert.is(group.validateCommit('m1', null, 2, 9), null)
  world.topic('a', 3)
  world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  const check = group.validateCommit('m1', null, 2, 9)!
  check(a, 0)
  refused(() => check(a, 2), ErrorCode.STALE_MEMBER_EPOCH)
  refused(() => check('unknown', 0), ErrorCode.STALE_MEMBER_EPOCH)
  group.validateFetch(null, -1)
  group.validateFetch('m1', 3)
  refused(() => group.validateFetch('m1', 2), ErrorCode.STALE_MEMBER_EPOCH)
  refused(() => group.validateFetch('m2', 2), ErrorCode.UNKNOWN_MEMBER_ID)
})

test('a restart changes nothing but that sessions begin anew', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'])
  world.enter('m2', ['a'])
  world.heartbeat({ memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 1) })
  const before = stateOf(world.group)
  world.now += SESSION_MS * 10
  world.restart()
  assert.equal(stateOf(world.group), before)
  world.pass(SESSION_MS - 15_001)
  assert.is(world.group.size, 2)
  world.pass(1)
  assert.is(world.group.size, 1, 'the rebalance timeout of m1')
  assert.equal(stateOf(world.reloaded(world.group.snapshot())), stateOf(world.group))
})

test('tombstones leave nothing', () => {
  const world = new GroupWorld()
  world.topic('a', 2)
  world.enter('m1', ['a'])
  world.enter('m2', null, { subscribedTopicRegex: 'a.*' })
  world.resolve()
  const { group } = world
  for (const record of group.tombstones()) group.replay(record as never)
  assert.equal(stateOf(group), stateOf(new GroupWorld().group))
})

test('what the log would not take is refused before anything changes', () => {
  const world = new GroupWorld()
  world.enter('m1', ['a'])
  world.recordBytesMax = 100
  const writes = world.writes.length
  refused(() => world.enter('m2', ['b'.repeat(200)]), ErrorCode.UNKNOWN_SERVER_ERROR)
  assert.is(world.group.size, 1)
  assert.is(world.writes.length, writes)
})

test('a member of the consumer protocol is written as Kafka writes it', () => {
  const world = new GroupWorld()
  world.enter('m1', ['a'])
  const record = world.log.find(r => r.kind === 'member')!
  // One tag, number 0, of one byte: there is no metadata of the classic protocol.
  assert.match(encodeRecord(record).value!.toString('hex'), /01000100$/)
})

test('500 members over 1,000 partitions', () => {
  const world = new GroupWorld()
  const names = Array.from({ length: 10 }, (_, i) => `t${i}`)
  for (const name of names) world.topic(name, 100)
  const started = performance.now()
  for (let i = 0; i < 500; i++) world.enter(`m${i}`, names)
  const joined = performance.now()
  assert.ok(joined - started < 5_000, `joining took ${joined - started} ms`)
  const beat = { memberId: 'm499', memberEpoch: world.group.describe().groupEpoch }
  for (let i = 0; i < 10_000; i++) world.heartbeat(beat)
  const ms = performance.now() - joined
  assert.ok(ms < 500, `10,000 heartbeats took ${ms} ms`)
})

test('a description shows what a member still holds as its own', () => {
  const world = new GroupWorld()
  const a = world.topic('a', 2)
  world.enter('m1', ['a'], { rackId: 'r' })
  world.enter('m2', ['a'])
  world.heartbeat({ memberId: 'm1', memberEpoch: 2, topicPartitions: owned(a, 0, 1) })
  const shown = world.group.describe()
  assert.is(shown.groupState, 'Reconciling')
  assert.is(shown.groupEpoch, 3)
  assert.is(shown.assignmentEpoch, 3)
  const m1 = shown.members[0]!
  assert.equal(m1.assignment.topicPartitions, [{ topicId: a, topicName: 'a', partitions: [0, 1] }])
  assert.equal(m1.targetAssignment.topicPartitions, [
    { topicId: a, topicName: 'a', partitions: [0] },
  ])
  assert.is(m1.rackId, 'r')
  assert.is(m1.memberType, 1)
})

test.run()
