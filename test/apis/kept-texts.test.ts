import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { joinGroupApi } from '../../src/protocol/messages/11-join-group.ts'
import { consumerGroupHeartbeatApi } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import { NO_UTF8, sendRaw } from '../lib/raw-client.ts'
import { committed, subscription } from './grouping.ts'
import { Wire } from './wire.ts'

/** What a group keeps of a request must come back as it was sent, or it is refused with a code that clients know. */
const test = suite('texts that groups keep')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ groupInitialRebalanceDelayMs: 0 })
  await wire.createTopic('topic')
})
test.after(() => wire.close())

const endpoint = () => wire.node.endpoint('PLAINTEXT')

const JOIN = {
  groupId: 'group',
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 30_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: subscription('topic') }],
}

test('JoinGroup refuses ids and protocols that are no UTF-8, and ids that no member id can begin with', async () => {
  const join = async (over: object): Promise<string> => {
    const answer = await sendRaw(endpoint(), joinGroupApi, 5, { ...JOIN, ...over })
    return errorName(answer!.errorCode)
  }
  assert.is(await join({ groupId: `g${NO_UTF8}` }), 'INVALID_GROUP_ID')
  assert.is(await join({ groupId: NO_UTF8.repeat(10_000) }), 'INVALID_GROUP_ID')
  assert.is(await join({ protocolType: NO_UTF8 }), 'INCONSISTENT_GROUP_PROTOCOL')
  const protocols = [{ name: NO_UTF8, metadata: Buffer.alloc(0) }]
  assert.is(await join({ protocols }), 'INCONSISTENT_GROUP_PROTOCOL')
  assert.is(await join({ groupInstanceId: NO_UTF8 }), 'INVALID_REQUEST')
  assert.is(await join({ groupInstanceId: 'i'.repeat(32_767) }), 'INVALID_REQUEST')
  assert.is(await join({ groupId: 'long', groupInstanceId: 'i'.repeat(32_730) }), 'NONE')
  assert.is(await join({ groupId: 'mark \ufffd' }), 'MEMBER_ID_REQUIRED', 'which is UTF-8')
})

test('a member id is made of a client id that is cut in the middle of a character, or none', async () => {
  for (const clientId of [`${'a'.repeat(254)}\u{1f600}`, NO_UTF8.repeat(3)]) {
    const first = await sendRaw(endpoint(), joinGroupApi, 5, { ...JOIN, groupId: 'ids' }, clientId)
    assert.is(errorName(first!.errorCode), 'MEMBER_ID_REQUIRED')
    const { memberId } = first!
    const again = { ...JOIN, groupId: 'ids', memberId }
    const second = await sendRaw(endpoint(), joinGroupApi, 5, again, clientId)
    assert.is(errorName(second!.errorCode), 'NONE')
    wire.node.groups.entry('ids')!.entry.group.leave(memberId, null, null)
  }
})

test('OffsetCommit refuses groups and metadata that are no UTF-8, and offsets that are not exact', async () => {
  const commit = async (groupId: string, offset: number, committedMetadata: string, more = {}) => {
    const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata }]
    const request = { groupId, topics: [{ name: 'topic', partitions }], ...more }
    const answer = await sendRaw(endpoint(), offsetCommitApi, 4, request)
    return errorName(answer!.topics[0]!.partitions[0]!.errorCode)
  }
  assert.is(await commit(NO_UTF8, 1, ''), 'INVALID_GROUP_ID')
  assert.is(await commit('simple', 1, NO_UTF8), 'INVALID_REQUEST')
  assert.is(await commit('simple', 2 ** 63, ''), 'INVALID_REQUEST')
  assert.is(await commit('simple', -(2 ** 63), ''), 'INVALID_REQUEST')
  assert.equal(await committed(wire, 'simple'), {})
  assert.is(await commit('simple', 2 ** 53 - 1, '\ufffd'), 'NONE')
  for (const retentionTimeMs of [2 ** 63, 2 ** 53 - 1, -(2 ** 63)]) {
    assert.is(await commit(`kept-${retentionTimeMs}`, 7, '', { retentionTimeMs }), 'NONE')
  }
  wire.node.groups.expire()
  assert.equal(await committed(wire, `kept-${2 ** 63}`), { 'topic-0': 7 })
  assert.equal(await committed(wire, `kept-${-(2 ** 63)}`), {})
  wire = await wire.restart()
  assert.equal(await committed(wire, 'simple'), { 'topic-0': 2 ** 53 - 1 })
})

test('ConsumerGroupHeartbeat refuses whatever it would keep and is no UTF-8', async () => {
  const beat = async (over: object): Promise<string> => {
    const joining = { rebalanceTimeoutMs: 30_000, subscribedTopicNames: ['topic'] }
    const request = {
      groupId: 'consumers',
      memberId: 'm',
      ...joining,
      topicPartitions: [],
      ...over,
    }
    const answer = await sendRaw(endpoint(), consumerGroupHeartbeatApi, 1, request)
    return errorName(answer!.errorCode)
  }
  for (const field of ['groupId', 'memberId', 'instanceId', 'rackId', 'subscribedTopicRegex']) {
    assert.is(await beat({ [field]: `x${NO_UTF8}` }), 'INVALID_REQUEST', field)
  }
  assert.is(await beat({ subscribedTopicNames: ['topic', NO_UTF8] }), 'INVALID_REQUEST')
  assert.is(await beat({}), 'NONE')
})

test.run()
