import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { incrementalAlterConfigsApi } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { consumerGroupHeartbeatApi } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import { consumerGroupDescribeApi } from '../../src/protocol/messages/69-consumer-group-describe.ts'
import { beat, join, joined } from './grouping.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('ConsumerGroupHeartbeat and ConsumerGroupDescribe')
let wire: Wire
let topicId: string

test.before(async () => {
  wire = await Wire.start({ groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 3 })
  topicId = (await wire.createTopic('topic', 4)).id
})
test.after(() => wire.close())

test('in every version the first member has everything with its first answer', async () => {
  for (const version of versionsOf(consumerGroupHeartbeatApi)) {
    const answer = await wire.send(consumerGroupHeartbeatApi, version, {
      groupId: `version-${version}`,
      memberId: version === 0 ? '' : 'me',
      memberEpoch: 0,
      rebalanceTimeoutMs: 10_000,
      subscribedTopicNames: ['topic'],
      topicPartitions: [],
    })
    expectError(answer, 'NONE')
    assert.is(answer.memberId === 'me', version > 0)
    assert.is(answer.heartbeatIntervalMs, 5_000)
    assert.equal(answer.assignment, { topicPartitions: [{ topicId, partitions: [0, 1, 2, 3] }] })
  }
})

test('what cannot be is refused with its code, and leaves nothing', async () => {
  expectError(await beat(wire, '', 'm', 0), 'INVALID_REQUEST')
  expectError(await beat(wire, 'bad', 'm', 0, { rebalanceTimeoutMs: -1 }), 'INVALID_REQUEST')
  expectError(await beat(wire, 'bad', 'm', 0, { serverAssignor: 'mine' }), 'UNSUPPORTED_ASSIGNOR')
  expectError(await beat(wire, 'bad', 'm', 5), 'GROUP_ID_NOT_FOUND')
  const names = Array.from({ length: 10 }, (_, i) => `${i}`.padEnd(30_000, 'x'))
  expectError(await beat(wire, 'bad', 'm', 0, { subscribedTopicNames: names }), 'INVALID_REQUEST')
  const regex = { subscribedTopicNames: null, subscribedTopicRegex: '(' }
  expectError(await beat(wire, 'bad', 'm', 0, regex), 'INVALID_REGULAR_EXPRESSION')
  const { groups } = await wire.send(consumerGroupDescribeApi, 1, { groupIds: ['bad'] })
  expectError(groups[0]!, 'GROUP_ID_NOT_FOUND')
  await beat(wire, 'good', 'm', 0)
  expectError(await beat(wire, 'good', 'stranger', 5), 'UNKNOWN_MEMBER_ID')
  expectError(await beat(wire, 'good', 'm', 50), 'FENCED_MEMBER_EPOCH')
})

test('a regular expression stands for the topics that match, also those made later', async () => {
  const regex = { subscribedTopicNames: null, subscribedTopicRegex: 'matched-.*' }
  const first = await wire.createTopic('matched-1')
  let { memberEpoch } = await beat(wire, 'regex', 'm', 0, regex)
  const owned = async (count: number): Promise<string[]> => {
    let topicPartitions: { topicId: string; partitions: number[] }[] = []
    for (let i = 0; i < 200; i++) {
      const answer = await beat(wire, 'regex', 'm', memberEpoch, {
        ...regex,
        rebalanceTimeoutMs: 30_000,
        topicPartitions,
      })
      expectError(answer, 'NONE')
      memberEpoch = answer.memberEpoch
      topicPartitions = answer.assignment?.topicPartitions ?? topicPartitions
      if (topicPartitions.length === count) return topicPartitions.map(t => t.topicId).sort()
      await sleep(20)
    }
    throw new Error(`the member has ${topicPartitions.length} topics, not ${count}`)
  }
  assert.equal(await owned(1), [first.id])
  const second = await wire.createTopic('matched-2')
  assert.equal(await owned(2), [first.id, second.id].sort())
})

test('the last consumer goes back to the classic protocol under its own id, and its group with it', async () => {
  const instance = { instanceId: 'i' }
  expectError(await beat(wire, 'back', 'm', 0, instance), 'NONE')
  const joining = { memberId: 'm', groupInstanceId: 'i' }
  expectError(await join(wire, 'back', joining), 'NONE')
  const asked = { groupIds: ['back'] }
  const { groups } = await wire.send(consumerGroupDescribeApi, 1, asked)
  expectError(groups[0]!, 'GROUP_ID_NOT_FOUND')
})

test('a group is described with its members and what they have', async () => {
  const { memberEpoch } = await beat(wire, 'described', 'm', 0)
  for (const version of versionsOf(consumerGroupDescribeApi)) {
    const groupIds = ['described', 'nobody']
    const asked = { groupIds, includeAuthorizedOperations: true }
    const { groups } = await wire.send(consumerGroupDescribeApi, version, asked)
    const [group, nobody] = groups
    expectError(group!, 'NONE')
    expectError(nobody!, 'GROUP_ID_NOT_FOUND')
    assert.is(group!.groupState, 'Stable')
    assert.is(group!.assignorName, 'uniform')
    const [member] = group!.members
    assert.equal([member!.memberId, member!.memberEpoch], ['m', memberEpoch])
    assert.equal(member!.assignment.topicPartitions, [
      { topicId, topicName: 'topic', partitions: [0, 1, 2, 3] },
    ])
    assert.is(group!.authorizedOperations, 3400)
  }
  await joined(wire, 'classic', 'topic')
  const { groups } = await wire.send(consumerGroupDescribeApi, 1, { groupIds: ['classic'] })
  expectError(groups[0]!, 'GROUP_ID_NOT_FOUND')
})

test('a group may have its own heartbeat interval and session timeout, within bounds', async () => {
  const set = async (name: string, value: string) => {
    const configs = [{ name, configOperation: 0, value }]
    const resources = [{ resourceType: 32, resourceName: 'own', configs }]
    const { responses } = await wire.send(incrementalAlterConfigsApi, 1, { resources })
    return responses[0]!
  }
  expectError(await set('consumer.heartbeat.interval.ms', '6000'), 'NONE')
  assert.is((await beat(wire, 'own', 'm', 0)).heartbeatIntervalMs, 6_000)
  assert.is((await beat(wire, 'standard', 'm', 0)).heartbeatIntervalMs, 5_000)
  expectError(await set('consumer.heartbeat.interval.ms', '100'), 'INVALID_CONFIG')
  expectError(await set('consumer.session.timeout.ms', '70000'), 'INVALID_CONFIG')
  expectError(await set('consumer.timeout', '1'), 'INVALID_CONFIG')
})

test('a group moves to the consumer protocol with its member, and is there after a restart', async () => {
  let own = await Wire.start({ groupInitialRebalanceDelayMs: 0 })
  await own.createTopic('topic', 4)
  const { memberEpoch } = await beat(own, 'kept', 'm', 0)
  own = await own.restart()
  const { group } = own.node.groups.entry('kept')!.entry
  assert.equal([group.type, group.state], ['consumer', 'Stable'])
  const answer = await beat(own, 'kept', 'm', memberEpoch)
  expectError(answer, 'NONE')
  assert.is(answer.assignment, null)
  await own.close()
})

test.run()
