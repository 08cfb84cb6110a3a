import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { beat, commit } from './grouping.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('OffsetFetch')
let wire: Wire
let topicId: string

test.before(async () => {
  wire = await Wire.start({ offsetsTopicNumPartitions: 3 })
  topicId = (await wire.createTopic('topic', 2)).id
  assert.is(await commit(wire, 'g', 'topic', 42), 0)
})
test.after(() => wire.close())

test('every version tells what was committed, and -1 where nothing was', async () => {
  for (const version of versionsOf(offsetFetchApi)) {
    const topic = version >= 10 ? { topicId } : { name: 'topic' }
    const topics = [{ ...topic, partitionIndexes: [0, 1] }]
    const answer =
      version >= 8
        ? (await wire.send(offsetFetchApi, version, { groups: [{ groupId: 'g', topics }] }))
            .groups[0]!
        : await wire.send(offsetFetchApi, version, { groupId: 'g', topics })
    assert.is(answer.errorCode, 0)
    assert.equal(
      answer.topics[0]!.partitions.map(p => [p.partitionIndex, p.committedOffset, p.metadata]),
      [
        [0, 42, 'text'],
        [1, -1, ''],
      ],
    )
  }
})

test('null asks for all partitions; an unknown group has none', async () => {
  for (const version of [2, 7, 8, 9, 10]) {
    for (const [groupId, count] of [
      ['g', 1],
      ['nobody', 0],
    ] as const) {
      const answer =
        version >= 8
          ? (await wire.send(offsetFetchApi, version, { groups: [{ groupId, topics: null }] }))
              .groups[0]!
          : await wire.send(offsetFetchApi, version, { groupId, topics: null })
      assert.is(answer.errorCode, 0)
      assert.is(answer.topics.length, count)
    }
  }
})

test('several groups at once, each with its own outcome', async () => {
  const member = await beat(wire, 'epochs', 'm', 0)
  assert.is(member.errorCode, 0)
  const topics = [{ name: 'topic', partitionIndexes: [0] }]
  const { groups } = await wire.send(offsetFetchApi, 9, {
    groups: [
      { groupId: 'g', topics },
      { groupId: 'epochs', memberId: 'm', memberEpoch: member.memberEpoch, topics },
      { groupId: 'epochs', memberId: 'm', memberEpoch: member.memberEpoch + 5, topics },
      { groupId: 'epochs', memberId: 'stranger', memberEpoch: 1, topics },
    ],
    requireStable: true,
  })
  assert.equal(
    groups.map(group => [group.groupId, errorName(group.errorCode), group.topics.length]),
    [
      ['g', 'NONE', 1],
      ['epochs', 'NONE', 1],
      ['epochs', 'STALE_MEMBER_EPOCH', 0],
      ['epochs', 'UNKNOWN_MEMBER_ID', 0],
    ],
  )
})

test('an unknown topic id is told for its partitions', async () => {
  const unknown = 'AAAAAAAAAAAAAAAAAAAAcQ'
  const topics = [{ topicId: unknown, partitionIndexes: [0] }]
  const { groups } = await wire.send(offsetFetchApi, 10, { groups: [{ groupId: 'g', topics }] })
  assert.is(errorName(groups[0]!.topics[0]!.partitions[0]!.errorCode), 'UNKNOWN_TOPIC_ID')
})

test('the leader epoch of a commit comes back', async () => {
  const partitions = [{ partitionIndex: 1, committedOffset: 5, committedLeaderEpoch: 3 }]
  assert.is(await commit(wire, 'led', 'topic', 0, { topics: [{ name: 'topic', partitions }] }), 0)
  const topics = [{ name: 'topic', partitionIndexes: [1] }]
  const answer = await wire.send(offsetFetchApi, 5, { groupId: 'led', topics })
  assert.is(answer.topics[0]!.partitions[0]!.committedLeaderEpoch, 3)
})

test('before there is any group nobody has committed anything', async () => {
  const own = await Wire.start()
  const answer = await own.send(offsetFetchApi, 7, { groupId: 'g', topics: null })
  assert.equal([answer.errorCode, answer.topics], [0, []])
  assert.is(own.node.registry.topic('__consumer_offsets'), undefined)
  await own.close()
})

test.run()
