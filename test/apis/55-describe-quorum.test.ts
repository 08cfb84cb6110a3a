import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import { describeQuorumApi } from '../../src/protocol/messages/55-describe-quorum.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DescribeQuorum')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ nodeId: 7 })
})
test.after(() => wire.close())

const partition = (topicName: string, ...indexes: number[]) => ({
  topicName,
  partitions: indexes.map(partitionIndex => ({ partitionIndex })),
})
const METADATA = partition('__cluster_metadata', 0)

test('a broker alone is its own quorum, as far as its metadata', async () => {
  await wire.createTopic('changes')
  const { revision } = await wire.node.store.list('')
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  for (const version of versionsOf(describeQuorumApi)) {
    const answer = await wire.send(describeQuorumApi, version, { topics: [METADATA] })
    expectError(answer, 'NONE')
    const [found] = answer.topics[0]!.partitions
    expectError(found!, 'NONE')
    assert.is(found!.leaderId, 7)
    assert.is(found!.leaderEpoch, wire.node.brokerEpoch)
    assert.is(found!.highWatermark, revision)
    assert.equal(found!.observers, [])
    const [voter] = found!.currentVoters
    assert.is(found!.currentVoters.length, 1)
    assert.equal([voter!.replicaId, voter!.logEndOffset], [7, revision])
    assert.is(voter!.lastCaughtUpTimestamp > 0, version >= 1)
    assert.is(voter!.replicaDirectoryId !== ZERO_UUID, version >= 2)
    const listeners = [{ name: 'PLAINTEXT', host, port }]
    assert.equal(answer.nodes, version >= 2 ? [{ nodeId: 7, listeners }] : [])
  }
})

test('only the metadata has a quorum: asked for anything else, all is unknown', async () => {
  const asked = [
    [partition('changes', 0, 1)],
    [METADATA, partition('changes', 0)],
    [partition('__cluster_metadata', 0, 1)],
    [partition('__cluster_metadata', 1)],
  ]
  for (const topics of asked) {
    const answer = await wire.send(describeQuorumApi, 2, { topics })
    expectError(answer, 'NONE')
    assert.equal(
      answer.topics.map(({ topicName }) => topicName),
      topics.map(({ topicName }) => topicName),
    )
    for (const one of answer.topics.flatMap(({ partitions }) => partitions)) {
      expectError(one, 'UNKNOWN_TOPIC_OR_PARTITION')
    }
  }
  assert.equal((await wire.send(describeQuorumApi, 2, { topics: [] })).topics, [])
})

test.run()
