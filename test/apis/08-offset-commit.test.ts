import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { beat, commit, committed, joined } from './grouping.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('OffsetCommit')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 3 })
  await wire.createTopic('topic', 2)
})
test.after(() => wire.close())

const code = async (...asked: Parameters<typeof commit>) => errorName(await commit(...asked))

test('every version commits to a group that nobody is in, which is made by it', async () => {
  for (const version of versionsOf(offsetCommitApi)) {
    const group = `simple-${version}`
    assert.is(await code(wire, group, 'topic', 100 + version, {}, version), 'NONE')
    assert.equal(await committed(wire, group), { 'topic-0': 100 + version })
  }
})

test('a member commits in its generation only', async () => {
  const { memberId, generationId: generation } = await joined(wire, 'members', 'topic')
  const as = (id: string, generationIdOrMemberEpoch: number) =>
    code(wire, 'members', 'topic', 7, { memberId: id, generationIdOrMemberEpoch })
  assert.is(await as(memberId, generation), 'NONE')
  assert.is(await as(memberId, generation + 1), 'ILLEGAL_GENERATION')
  assert.is(await as('stranger', generation), 'UNKNOWN_MEMBER_ID')
  assert.is(await as('', -1), 'UNKNOWN_MEMBER_ID')
})

test('a member of an unknown group: a wrong generation before v9, GROUP_ID_NOT_FOUND since', async () => {
  const over = { memberId: 'm', generationIdOrMemberEpoch: 3 }
  assert.is(await code(wire, 'unknown', 'topic', 1, over, 8), 'ILLEGAL_GENERATION')
  assert.is(await code(wire, 'unknown', 'topic', 1, over, 9), 'GROUP_ID_NOT_FOUND')
})

test('a member of the consumer protocol commits with its epoch', async () => {
  const member = await beat(wire, 'epochs', 'm', 0)
  const as = (epoch: number, version = 9) =>
    code(wire, 'epochs', 'topic', 5, { memberId: 'm', generationIdOrMemberEpoch: epoch }, version)
  assert.is(await as(member.memberEpoch), 'NONE')
  assert.is(await as(member.memberEpoch + 1), 'STALE_MEMBER_EPOCH')
  assert.is(await as(member.memberEpoch, 8), 'UNSUPPORTED_VERSION')
})

test('topics and partitions that are not there are refused, the others committed', async () => {
  const partition = (partitionIndex: number, committedOffset: number) => ({
    partitionIndex,
    committedOffset,
  })
  const { topics } = await wire.send(offsetCommitApi, 8, {
    groupId: 'some',
    topics: [
      { name: 'topic', partitions: [partition(0, 1), partition(9, 1), partition(1, 2)] },
      { name: 'nope', partitions: [partition(0, 1)] },
    ],
  })
  assert.equal(
    topics.map(t => [t.name, ...t.partitions.map(p => errorName(p.errorCode))]),
    [
      ['topic', 'NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'NONE'],
      ['nope', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ],
  )
  assert.equal(await committed(wire, 'some'), { 'topic-0': 1, 'topic-1': 2 })
  const byId = await wire.send(offsetCommitApi, 10, {
    groupId: 'some',
    topics: [{ topicId: ZERO_UUID, partitions: [partition(0, 1)] }],
  })
  assert.is(errorName(byId.topics[0]!.partitions[0]!.errorCode), 'UNKNOWN_TOPIC_ID')
})

test('text that is too long is refused for its partition', async () => {
  const at = (partitionIndex: number, length: number) => ({
    partitionIndex,
    committedOffset: 1,
    committedMetadata: 'x'.repeat(length),
  })
  const { topics } = await wire.send(offsetCommitApi, 8, {
    groupId: 'long',
    topics: [{ name: 'topic', partitions: [at(0, 4096), at(1, 4097)] }],
  })
  assert.equal(
    topics[0]!.partitions.map(p => errorName(p.errorCode)),
    ['NONE', 'OFFSET_METADATA_TOO_LARGE'],
  )
})

test('what is committed survives a restart; so does the group that members have left', async () => {
  const own = await Wire.start({ groupInitialRebalanceDelayMs: 0 })
  await own.createTopic('topic')
  const { memberId, generationId } = await joined(own, 'kept', 'topic')
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  assert.is(await commit(own, 'kept', 'topic', 42, over), 0)
  assert.is(await commit(own, 'simple', 'topic', 43), 0)
  const again = await own.restart()
  assert.equal(await committed(again, 'kept'), { 'topic-0': 42 })
  assert.equal(await committed(again, 'simple'), { 'topic-0': 43 })
  assert.is(again.node.groups.entry('kept')!.entry.group.state, 'Stable')
  assert.is(await commit(again, 'kept', 'topic', 44, over), 0)
  await again.close()
})

test('offsets of a topic go with it, and are not those of a new one of its name', async () => {
  await wire.createTopic('short-lived')
  assert.is(await commit(wire, 'topics', 'short-lived', 9), 0)
  assert.is(await commit(wire, 'topics', 'topic', 3), 0)
  await wire.node.registry.delete(wire.node.registry.topic('short-lived')!)
  assert.equal(await committed(wire, 'topics'), { 'topic-0': 3 })
  await wire.createTopic('short-lived')
  assert.equal(await committed(wire, 'topics'), { 'topic-0': 3 })
})

test('nothing is acknowledged when the log has failed, and other groups go on', async () => {
  const own = await Wire.start({ offsetsTopicNumPartitions: 50 })
  await own.createTopic('topic')
  assert.is(await commit(own, 'a', 'topic', 1), 0)
  assert.is(await commit(own, 'b', 'topic', 1), 0)
  const { groups } = own.node
  assert.is.not(groups.partitionFor('a'), groups.partitionFor('b'))
  groups.find('a')!.log.fail()
  assert.is(await code(own, 'a', 'topic', 2), 'COORDINATOR_NOT_AVAILABLE')
  assert.is(await code(own, 'b', 'topic', 2), 'NONE')
  await own.close()
})

test('clients do not write to the offsets topic', async () => {
  let error: unknown
  await wire.produce('__consumer_offsets', 1).catch(e => {
    error = e
  })
  assert.match(String((error as Error).message), /strictly equal|INVALID_TOPIC/)
  assert.is(wire.node.registry.topic('__consumer_offsets')!.config.cleanupPolicy[0], 'compact')
})

test.run()
