import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listOffsetsApi } from '../../src/protocol/messages/02-list-offsets.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { describeGroupsApi } from '../../src/protocol/messages/15-describe-groups.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { describeLogDirsApi } from '../../src/protocol/messages/35-describe-log-dirs.ts'
import { deleteGroupsApi } from '../../src/protocol/messages/42-delete-groups.ts'
import { electLeadersApi } from '../../src/protocol/messages/43-elect-leaders.ts'
import { offsetDeleteApi } from '../../src/protocol/messages/47-offset-delete.ts'
import { describeProducersApi } from '../../src/protocol/messages/61-describe-producers.ts'
import { consumerGroupDescribeApi } from '../../src/protocol/messages/69-consumer-group-describe.ts'
import { describeTopicPartitionsApi } from '../../src/protocol/messages/75-describe-topic-partitions.ts'
import { Wire } from '../apis/wire.ts'

/** One request that names a thing thousands of times took minutes and gigabytes: the thing is looked at once, and answered once. */
const TIMES = 5_000
const many = <T>(value: T): T[] => Array.from({ length: TIMES }, () => value)

const test = suite('what is named many times in one request')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('twice', 2)
})

test.after(async () => {
  await wire.close()
})

/** How many answers there are about the thing, over all topics of the answer. */
const count = (topics: readonly { partitions: readonly unknown[] }[]): number =>
  topics.reduce((sum, { partitions }) => sum + partitions.length, 0)

test('Metadata: one topic, by name and by id', async () => {
  const byName = await wire.send(metadataApi, 9, { topics: many({ name: 'twice' }) })
  assert.is(byName.topics.length, 1)
  const { topicId } = byName.topics[0]!
  const id = topicId === 'AAAAAAAAAAAAAAAAAAAAAA' ? wire.node.registry.topic('twice')!.id : topicId
  const byId = await wire.send(metadataApi, 12, { topics: many({ name: null, topicId: id }) })
  assert.is(byId.topics.length, 1)
})

test('DescribeLogDirs, DescribeProducers, DeleteRecords, ElectLeaders: one partition, in one topic and in many', async () => {
  const dirs = await wire.send(describeLogDirsApi, 1, {
    topics: many({ topic: 'twice', partitions: [0, 0, 0] }),
  })
  assert.is(count(dirs.results[0]!.topics), 1)
  const producers = await wire.send(describeProducersApi, 0, {
    topics: [
      { name: 'twice', partitionIndexes: many(0) },
      { name: 'twice', partitionIndexes: [0] },
    ],
  })
  assert.is(count(producers.topics), 1)
  const deleted = await wire.send(deleteRecordsApi, 0, {
    topics: [{ name: 'twice', partitions: many({ partitionIndex: 0, offset: 0 }) }],
  })
  assert.is(count(deleted.topics), 1)
  const elected = await wire.send(electLeadersApi, 1, {
    topicPartitions: [{ topic: 'twice', partitions: many(1) }],
  })
  assert.is(elected.replicaElectionResults[0]!.partitionResult.length, 1)
})

test('groups: FindCoordinator, DescribeGroups, ConsumerGroupDescribe, DeleteGroups', async () => {
  const found = await wire.send(findCoordinatorApi, 4, { keyType: 0, coordinatorKeys: many('g') })
  assert.is(found.coordinators.length, 1)
  assert.is((await wire.send(describeGroupsApi, 5, { groups: many('g') })).groups.length, 1)
  const described = await wire.send(consumerGroupDescribeApi, 0, { groupIds: many('g') })
  assert.is(described.groups.length, 1)
  assert.is((await wire.send(deleteGroupsApi, 2, { groupsNames: many('g') })).results.length, 1)
})

test('DescribeTopicPartitions: one topic', async () => {
  const topics = many({ name: 'twice' })
  const { topics: shown } = await wire.send(describeTopicPartitionsApi, 0, {
    topics,
    responsePartitionLimit: 100,
  })
  assert.is(shown.length, 1)
})

test('OffsetCommit: the last offset counts, as in Kafka; OffsetFetch and OffsetDelete answer once', async () => {
  const commit = (committedOffset: number) => ({ partitionIndex: 0, committedOffset })
  const partitions = [...many(commit(5)), commit(7)]
  const request = { groupId: 'committer', topics: [{ name: 'twice', partitions }] }
  const committed = await wire.send(offsetCommitApi, 2, request)
  assert.ok(committed.topics[0]!.partitions.every(p => p.errorCode === 0))
  const topics = [{ name: 'twice', partitionIndexes: many(0) }]
  const old = await wire.send(offsetFetchApi, 5, { groupId: 'committer', topics })
  assert.equal(
    old.topics[0]!.partitions.map(p => p.committedOffset),
    [7],
  )
  const all = many({ groupId: 'committer', topics: null })
  assert.is((await wire.send(offsetFetchApi, 8, { groups: all })).groups.length, 1)
  const one = { groupId: 'committer', topics: [{ name: 'twice', partitionIndexes: [0] }] }
  const some = await wire.send(offsetFetchApi, 8, { groups: many(one) })
  assert.is(
    some.groups.flatMap(g => g.topics).reduce((n, t) => n + t.partitions.length, 0),
    1,
  )
  const deleted = await wire.send(offsetDeleteApi, 0, {
    groupId: 'committer',
    topics: [{ name: 'twice', partitions: many({ partitionIndex: 0 }) }],
  })
  assert.is(count(deleted.topics), 1)
})

test('ListOffsets: refused each time, as in Kafka', async () => {
  const asked = { partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1 }
  const { topics } = await wire.send(listOffsetsApi, 5, {
    topics: [{ name: 'twice', partitions: many(asked) }],
  })
  assert.is(count(topics), TIMES)
  assert.ok(topics[0]!.partitions.every(p => p.errorCode === 42))
})

test('one Metadata makes a bounded number of topics, the rest when it comes again', async () => {
  const topics = Array.from({ length: 120 }, (_, i) => ({ name: `new-${i}` }))
  const ask = async () => {
    const answer = await wire.send(metadataApi, 9, { topics, allowAutoTopicCreation: true })
    return answer.topics.filter(t => t.errorCode === 0).length
  }
  assert.is(await ask(), 100)
  assert.is(await ask(), 120)
})

test.run()
