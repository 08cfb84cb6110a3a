import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { offsetForLeaderEpochApi } from '../../src/protocol/messages/23-offset-for-leader-epoch.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('OffsetForLeaderEpoch')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('topic', 2)
  await wire.produce('topic', 5)
})
test.after(() => wire.close())

interface Asked {
  partition?: number
  currentLeaderEpoch?: number
  leaderEpoch?: number
}

/** [error, epoch, end offset] of one partition. */
async function endOf(topic: string, asked: Asked, version = 4, replicaId = -1) {
  const partitions = [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0, ...asked }]
  const request = { replicaId, topics: [{ topic, partitions }] }
  const { topics } = await wire.send(offsetForLeaderEpochApi, version, request)
  const { errorCode, leaderEpoch, endOffset } = topics[0]!.partitions[0]!
  return [errorName(errorCode), leaderEpoch, endOffset]
}

test('every version answers the end of the log for the current epoch', async () => {
  for (const version of versionsOf(offsetForLeaderEpochApi)) {
    assert.equal(await endOf('topic', {}, version), ['NONE', 0, 5])
    assert.equal(await endOf('topic', { partition: 1 }, version), ['NONE', 0, 0])
  }
})

test('an epoch that is not known has no end', async () => {
  assert.equal(await endOf('topic', { leaderEpoch: 9 }), ['NONE', -1, -1])
  assert.equal(await endOf('topic', { leaderEpoch: -1 }), ['NONE', -1, -1])
})

test('the leader epoch that the client has must be the current one', async () => {
  assert.equal(await endOf('topic', { currentLeaderEpoch: 0 }), ['NONE', 0, 5])
  assert.equal(await endOf('topic', { currentLeaderEpoch: 1 }), ['UNKNOWN_LEADER_EPOCH', -1, -1])
  assert.equal(await endOf('topic', { currentLeaderEpoch: -2 }), ['FENCED_LEADER_EPOCH', -1, -1])
})

test('the replica id makes no difference', async () => {
  for (const replicaId of [-2, -1, 1, 5]) {
    assert.equal(await endOf('topic', {}, 4, replicaId), ['NONE', 0, 5])
  }
})

test('unknown topics and partitions are told', async () => {
  const unknown = ['UNKNOWN_TOPIC_OR_PARTITION', -1, -1]
  assert.equal(await endOf('nope', {}), unknown)
  assert.equal(await endOf('topic', { partition: 2 }), unknown)
  assert.equal(await endOf('topic', { partition: -1 }), unknown)
})

test('an offline partition answers a storage error', async () => {
  await wire.createTopic('offline')
  wire.node.registry.partition('offline', 0)!.goOffline('for the test')
  assert.equal(await endOf('offline', {}), ['KAFKA_STORAGE_ERROR', -1, -1])
})

test('an earlier epoch ends where the next one begins', async () => {
  wire = await wire.restart()
  await wire.produce('topic', 3)
  assert.equal(await endOf('topic', { leaderEpoch: 0 }), ['NONE', 0, 5])
  assert.equal(await endOf('topic', { leaderEpoch: 1 }), ['NONE', 1, 8])
  assert.equal(await endOf('topic', { currentLeaderEpoch: 1 }), ['NONE', 0, 5])
  assert.equal(await endOf('topic', { currentLeaderEpoch: 0 }), ['FENCED_LEADER_EPOCH', -1, -1])
})

test.run()
