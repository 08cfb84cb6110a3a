import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deleteGroupsApi } from '../../src/protocol/messages/42-delete-groups.ts'
import { offsetDeleteApi } from '../../src/protocol/messages/47-offset-delete.ts'
import { beat, commit, committed, joined } from './grouping.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DeleteGroups and OffsetDelete')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 3 })
  await wire.createTopic('topic', 2)
  await wire.createTopic('other')
})
test.after(() => wire.close())

test('a group without members goes with its offsets, for good', async () => {
  for (const version of versionsOf(deleteGroupsApi)) {
    assert.is(await commit(wire, 'gone', 'topic', 5), 0)
    const groupsNames = ['gone', 'nobody', 'gone']
    const { results } = await wire.send(deleteGroupsApi, version, { groupsNames })
    assert.equal(
      errorsBy(results, ({ groupId }) => groupId),
      { gone: 'NONE', nobody: 'GROUP_ID_NOT_FOUND' },
    )
    assert.equal(await committed(wire, 'gone'), {})
  }
})

test('a group with members stays', async () => {
  await joined(wire, 'classic', 'topic')
  await beat(wire, 'consumer', 'm', 0)
  const { results } = await wire.send(deleteGroupsApi, 2, { groupsNames: ['classic', 'consumer'] })
  assert.equal(
    errorsBy(results, ({ groupId }) => groupId),
    { classic: 'NON_EMPTY_GROUP', consumer: 'NON_EMPTY_GROUP' },
  )
})

const remove = (groupId: string, ...names: string[]) =>
  wire.send(offsetDeleteApi, 0, {
    groupId,
    topics: names.map(name => ({
      name,
      partitions: [{ partitionIndex: 0 }, { partitionIndex: 7 }],
    })),
  })

test('offsets of topics that nobody consumes are deleted, those that are not there told', async () => {
  assert.is(await commit(wire, 'offsets', 'topic', 5), 0)
  assert.is(await commit(wire, 'offsets', 'other', 6), 0)
  const { errorCode, topics } = await remove('offsets', 'topic')
  assert.is(errorCode, 0)
  assert.equal(
    errorsBy(topics[0]!.partitions, p => p.partitionIndex),
    { 0: 'NONE', 7: 'UNKNOWN_TOPIC_OR_PARTITION' },
  )
  assert.equal(await committed(wire, 'offsets'), { 'other-0': 6 })
  expectError(await remove('nobody', 'topic'), 'GROUP_ID_NOT_FOUND')
  expectError(await remove('', 'topic'), 'INVALID_GROUP_ID')
})

test('offsets of a topic that a member consumes stay', async () => {
  const { memberId, generationId } = await joined(wire, 'busy', 'topic')
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  for (const topic of ['topic', 'other']) assert.is(await commit(wire, 'busy', topic, 5, over), 0)
  const { topics } = await remove('busy', 'topic', 'other')
  assert.equal(
    topics.map(({ name, partitions }) => [name, partitions[0]!.errorCode]),
    [
      ['topic', 86],
      ['other', 0],
    ],
  )
  assert.equal(await committed(wire, 'busy'), { 'topic-0': 5 })
})

test('a group of the same name after a restart has nothing of the deleted one', async () => {
  const own = await Wire.start()
  await own.createTopic('topic')
  assert.is(await commit(own, 'g', 'topic', 5), 0)
  const { results } = await own.send(deleteGroupsApi, 2, { groupsNames: ['g'] })
  expectError(results[0]!, 'NONE')
  const again = await own.restart()
  assert.equal(await committed(again, 'g'), {})
  assert.is(again.node.groups.entry('g'), undefined)
  await again.close()
})

test.run()
