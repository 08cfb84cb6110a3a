import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import { ClosedGroups } from '../../src/groups/closed-groups.ts'
import { GroupOffsets } from '../../src/groups/offsets.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { beat, commit, committed, join, joined } from '../apis/grouping.ts'
import { Wire } from '../apis/wire.ts'
import { LogLines, planted } from './planted.ts'

const test = suite('an exception in a group costs the group, until it is loaded again')
const OPTIONS = {
  groupInitialRebalanceDelayMs: 0,
  groupMinSessionTimeoutMs: 1,
  offsetsTopicNumPartitions: 1,
}
const CLOSED = /^bug: a group has failed: it is closed, and loaded again/
const LOADED = /^the group is loaded again/
let wire: Wire
let log: LogLines

test.before.each(async () => {
  wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'other', 'topic', 7), 0)
  log = new LogLines(wire.node)
})
test.after.each(() => wire.close())

async function restart(): Promise<void> {
  wire = await wire.restart()
  log = new LogLines(wire.node)
}

const entryOf = (groupId: string) => wire.node.groups.entry(groupId)!
const shardOf = () => wire.node.groups.shards[0]!

async function heartbeat(groupId: string, memberId: string, generationId: number) {
  const answer = await wire.send(heartbeatApi, 3, { groupId, memberId, generationId })
  return errorName(answer.errorCode)
}

/** The group is closed and others go on; then it is there again, with all that was acknowledged. */
async function costsTheGroup(groupId: string, offsets: Record<string, number>): Promise<void> {
  const { errorCode } = await wire.send(offsetFetchApi, 7, { groupId, topics: null })
  assert.is(errorName(errorCode), 'NOT_COORDINATOR')
  assert.is(errorName(await commit(wire, groupId, 'topic', 1)), 'NOT_COORDINATOR')
  const found = await wire.send(findCoordinatorApi, 3, { key: groupId })
  assert.is(errorName(found.errorCode), 'NONE')
  assert.is(await commit(wire, 'other', 'topic', 8), 0)
  assert.equal(await committed(wire, 'other'), { 'topic-0': 8 })
  await log.has(LOADED)
  log.expectOne(CLOSED)
  assert.equal(await committed(wire, groupId), offsets)
}

test('of the classic protocol, in a request', async () => {
  const { memberId, generationId } = await joined(wire, 'broken', 'topic')
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  assert.is(await commit(wire, 'broken', 'topic', 5, over), 0)
  entryOf('broken').entry.group.heartbeat = planted
  assert.is(await heartbeat('broken', memberId, generationId), 'NOT_COORDINATOR')
  await costsTheGroup('broken', { 'topic-0': 5 })
  assert.is(await heartbeat('broken', memberId, generationId), 'NONE')
  assert.is(await commit(wire, 'broken', 'topic', 6, over), 0)
})

test('of the consumer protocol, in a request', async () => {
  const { memberEpoch } = await beat(wire, 'broken', 'm', 0)
  const over = { memberId: 'm', generationIdOrMemberEpoch: memberEpoch }
  assert.is(await commit(wire, 'broken', 'topic', 5, over, 9), 0)
  const { group } = entryOf('broken').entry
  Object.assign(group, { heartbeat: planted })
  const { errorCode } = await beat(wire, 'broken', 'm', memberEpoch)
  assert.is(errorName(errorCode), 'NOT_COORDINATOR')
  await costsTheGroup('broken', { 'topic-0': 5 })
  assert.is((await beat(wire, 'broken', 'm', memberEpoch)).errorCode, 0)
})

test('in a commit, whose half that is written is no harm', async () => {
  assert.is(await commit(wire, 'broken', 'topic', 5), 0)
  const { apply } = GroupOffsets.prototype
  GroupOffsets.prototype.apply = planted
  try {
    assert.is(errorName(await commit(wire, 'broken', 'topic', 6)), 'NOT_COORDINATOR')
  } finally {
    GroupOffsets.prototype.apply = apply
  }
  await costsTheGroup('broken', { 'topic-0': 5 })
})

test('of which somebody waits for an answer', async () => {
  const { memberId, generationId } = await joined(wire, 'broken', 'topic')
  const client = await wire.connect()
  const { memberId: second } = await join(wire, 'broken')
  const waiting = join(wire.over(client), 'broken', { memberId: second })
  // The first one is asked to join again: the second one waits for it.
  while ((await heartbeat('broken', memberId, generationId)) === 'NONE') {}
  const { group } = entryOf('broken').entry
  group.close = planted
  group.leave = planted
  group.heartbeat = planted
  assert.is(await heartbeat('broken', memberId, generationId), 'NOT_COORDINATOR')
  assert.is(errorName((await waiting).errorCode), 'NOT_COORDINATOR')
  await log.has(LOADED)
  assert.equal(
    log.errors.map(({ message }) => message),
    [
      'bug: a group has failed: it is closed, and loaded again',
      'bug: a group cannot be closed in order',
    ],
  )
  assert.is(await heartbeat('broken', memberId, generationId), 'NONE')
  await client.close()
})

for (const [what, plant] of [
  ['what is due', { onTime: planted }],
  ['when', {}],
] as const) {
  test(`in its deadline: ${what}`, async () => {
    const { memberId, generationId } = await joined(wire, 'broken', 'topic')
    const { shard, entry } = entryOf('broken')
    let asked = 0
    // The deadline is now; who asks a second time has come back for it.
    const get = what === 'when' ? () => (asked++ === 0 ? 0 : planted()) : () => 0
    Object.assign(entry.group, plant)
    Object.defineProperty(entry.group, 'deadline', { get })
    shard.run(entry, () => {})
    await log.has(LOADED)
    log.expectOne(CLOSED)
    assert.is(await heartbeat('broken', memberId, generationId), 'NONE')
  })
}

test('when offsets expire, and when a topic is deleted: those of others go', async () => {
  await wire.createTopic('gone')
  for (const group of ['a', 'broken', 'z']) assert.is(await commit(wire, group, 'gone', 1), 0)
  const { entry } = entryOf('broken')
  entry.offsets.tombstones = planted
  await wire.node.registry.delete(wire.node.registry.topic('gone')!)
  for (const group of ['a', 'z']) assert.equal(await committed(wire, group), {})
  await costsTheGroup('broken', {})

  assert.is(await commit(wire, 'broken', 'topic', 1), 0)
  Object.defineProperty(entryOf('broken').entry.group, 'offsetsExpireFrom', { get: planted })
  wire.node.groups.expire()
  await costsTheGroup('broken', { 'topic-0': 1 })
})

test('when the log is written anew: it keeps its start, and nothing is lost', async () => {
  for (const group of ['a', 'broken', 'z']) assert.is(await commit(wire, group, 'topic', 3), 0)
  const partition = wire.node.registry.partition('__consumer_offsets', 0)!
  const { entry } = entryOf('broken')
  entry.offsets.snapshot = planted
  await shardOf().compaction.run()
  assert.is(partition.logStartOffset, 0)
  // Nor is it while a group is closed.
  await shardOf().compaction.run()
  assert.is(partition.logStartOffset, 0)
  await costsTheGroup('broken', { 'topic-0': 3 })
  await shardOf().compaction.run()
  assert.ok(partition.logStartOffset > 0)
  await restart()
  for (const group of ['a', 'broken', 'z']) {
    assert.equal(await committed(wire, group), { 'topic-0': 3 })
  }
})

test('planted bug: a log that is written anew while a group is closed loses the group', async () => {
  assert.is(await commit(wire, 'broken', 'topic', 3), 0)
  entryOf('broken').entry.offsets.snapshot = planted
  const { closed, compaction } = shardOf()
  Object.defineProperty(closed, 'closings', { get: () => 0, set: () => {} })
  await compaction.run()
  await log.has(LOADED)
  assert.equal(await committed(wire, 'broken'), {})
})

test('a group that fails again and again rests longer than one that has failed once', async () => {
  const loaded: string[] = []
  await new Promise<void>(resolve => {
    const closed = new ClosedGroups(
      async ids => {
        for (const id of ids) {
          loaded.push(id)
          closed.opened(id)
        }
        if (loaded.length === 2) resolve()
      },
      () => assert.unreachable(),
    )
    for (let i = 0; i < 3; i++) closed.add('again')
    closed.add('once')
    assert.is(closed.areKnown, false)
  })
  assert.equal(loaded, ['once', 'again'])
})

test('a record that is larger than the log takes at all', async () => {
  assert.is(await commit(wire, 'broken', 'topic', 5), 0)
  const { shard, entry } = entryOf('broken')
  const value = { ...entry.offsets.get('topic', 0)!, metadata: 'x'.repeat(30_000) }
  Object.defineProperty(shardOf().log.partition, 'config', {
    value: { ...shardOf().log.partition.config, segmentBytes: 10_000 },
  })
  assert.throws(() => shard.commit(entry, [entry.offsets.record('topic', 0, value)]), /is closed/)
  await log.has(LOADED)
  const [line] = log.errors
  assert.match(line!.fields.err!.message, /larger than its log takes/)
  assert.equal(await committed(wire, 'broken'), { 'topic-0': 5 })
  assert.equal(await committed(wire, 'other'), { 'topic-0': 7 })
})

test('a record that cannot be applied when the log is loaded: the others are, and it is kept', async () => {
  const { memberId, generationId } = await joined(wire, 'broken', 'topic')
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  assert.is(await commit(wire, 'broken', 'topic', 5, over), 0)
  const { replay } = ClassicGroup.prototype
  ClassicGroup.prototype.replay = planted
  try {
    for (let start = 0; start < 2; start++) {
      await restart()
      assert.equal(await committed(wire, 'other'), { 'topic-0': 7 })
      assert.is(errorName(await commit(wire, 'broken', 'topic', 6)), 'NOT_COORDINATOR')
      // What is written anew has its records.
      await shardOf().compaction.run()
      const partition = wire.node.registry.partition('__consumer_offsets', 0)!
      assert.ok(partition.logStartOffset > 0)
    }
  } finally {
    ClassicGroup.prototype.replay = replay
  }
  await restart()
  assert.equal(await committed(wire, 'broken'), { 'topic-0': 5 })
  assert.is(await heartbeat('broken', memberId, generationId), 'NONE')
})

test('a value that cannot be read when the log is loaded costs its group alone', async () => {
  const key = Buffer.from([0, 1, 0, 6, ...Buffer.from('broken'), 0, 5, ...Buffer.from('topic')])
  const records = await encodeBatch([
    { timestamp: 1, key: Buffer.concat([key, Buffer.alloc(4)]), value: Buffer.from([0, 4, 1]) },
  ])
  assert.ok(wire.node.registry.partition('__consumer_offsets', 0)!.append(records, null, 0))
  await restart()
  assert.equal(await committed(wire, 'other'), { 'topic-0': 7 })
  assert.is(errorName(await commit(wire, 'broken', 'topic', 6)), 'NOT_COORDINATOR')
})

test('an append to the log fails: the groups of the partition are loaded again, by themselves', async () => {
  const { partition } = shardOf().log
  const { append } = partition
  partition.append = planted
  assert.is(errorName(await commit(wire, 'other', 'topic', 8)), 'COORDINATOR_NOT_AVAILABLE')
  log.expectOne(/the groups of this partition are offline until they can be loaded again/)
  partition.append = append
  assert.is(errorName(await commit(wire, 'other', 'topic', 8)), 'COORDINATOR_NOT_AVAILABLE')
  await log.has(/the groups of this partition are loaded again/)
  assert.equal(await committed(wire, 'other'), { 'topic-0': 7 })
  assert.is(await commit(wire, 'other', 'topic', 9), 0)
})

test('an append is refused on a full disk: the same, once there is room', async () => {
  let refusal: string | null = null
  Object.defineProperty(wire.node, 'refusesAppends', { get: () => refusal })
  const [shard] = wire.node.groups.shards
  shard!.log.fail()
  refusal = 'no room'
  assert.is(errorName(await commit(wire, 'other', 'topic', 8)), 'COORDINATOR_NOT_AVAILABLE')
  assert.is(shard!.log.isReady, false)
  refusal = null
  await log.has(/the groups of this partition are loaded again/)
  assert.is(await commit(wire, 'other', 'topic', 9), 0)
  assert.equal(await committed(wire, 'other'), { 'topic-0': 9 })
})

test.run()
