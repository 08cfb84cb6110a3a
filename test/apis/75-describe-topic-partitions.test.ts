import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import { describeTopicPartitionsApi } from '../../src/protocol/messages/75-describe-topic-partitions.ts'
import { expectError, Wire } from './wire.ts'

const test = suite('DescribeTopicPartitions')
const LIMIT = 6
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ maxRequestPartitionSizeLimit: LIMIT })
  await wire.createTopic('b', 4)
  await wire.createTopic('c', 2)
  await wire.createTopic('a', 2)
})
test.after(() => wire.close())

interface Cursor {
  topicName: string
  partitionIndex: number
}

function describe(names: string[], limit = 2000, cursor: Cursor | null = null) {
  const topics = names.map(name => ({ name }))
  const request = { topics, responsePartitionLimit: limit, cursor }
  return wire.send(describeTopicPartitionsApi, 0, request)
}

/** Topics with their partitions, and where the next page begins: `a 0 1 | b 0 > b 1`. */
async function shown(...asked: Parameters<typeof describe>): Promise<string> {
  const { topics, nextCursor } = await describe(...asked)
  const page = topics.map(t => [t.name, ...t.partitions.map(p => p.partitionIndex)].join(' '))
  const next = nextCursor === null ? '' : ` > ${nextCursor.topicName} ${nextCursor.partitionIndex}`
  return page.join(' | ') + next
}

test('a topic with all that clients want to know of its partitions', async () => {
  const { topics, nextCursor } = await describe(['c'])
  assert.is(nextCursor, null)
  const [topic] = topics
  assert.is(topic!.topicId, wire.node.registry.topic('c')!.id)
  assert.not(topic!.isInternal)
  assert.is(topic!.topicAuthorizedOperations, 3576)
  assert.equal(topic!.partitions[1], {
    errorCode: 0,
    partitionIndex: 1,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: [],
  })
})

test('topics come in order of name, each once', async () => {
  assert.is(await shown(['c', 'a', 'c']), 'a 0 1 | c 0 1')
})

test('no names means all topics', async () => {
  assert.is(await shown([], 3), 'a 0 1 | b 0 > b 1')
})

test('a full page ends with a cursor, which may stand before a topic not shown yet', async () => {
  assert.is(await shown(['a', 'b'], 2), 'a 0 1 > b 0')
  assert.is(await shown(['a', 'b'], 3), 'a 0 1 | b 0 > b 1')
  const cursor = { topicName: 'b', partitionIndex: 1 }
  assert.is(await shown(['a', 'b'], 2, cursor), 'b 1 2 > b 3')
  assert.is(await shown(['a', 'b', 'c'], 3, cursor), 'b 1 2 3 > c 0')
})

test('following the cursor shows every partition once', async () => {
  for (const limit of [1, 2, 3, 5, 7]) {
    const seen: string[] = []
    let cursor: Cursor | null = null
    do {
      const page = await describe([], limit, cursor)
      for (const { name, partitions } of page.topics) {
        for (const { partitionIndex } of partitions) seen.push(`${name}${partitionIndex}`)
      }
      cursor = page.nextCursor
    } while (cursor !== null)
    assert.equal(seen, ['a0', 'a1', 'b0', 'b1', 'b2', 'b3', 'c0', 'c1'])
  }
})

test('a page has at least one partition, and at most what the broker allows', async () => {
  for (const limit of [0, -1, -2_147_483_648]) assert.is(await shown(['a'], limit), 'a 0 > a 1')
  assert.is(await shown([], 2_147_483_647), 'a 0 1 | b 0 1 2 3 > c 0')
})

test('unknown and bad names are told in their place, when all topics are asked left out', async () => {
  const { topics } = await describe(['nope', 'a', 'a b'])
  assert.equal(
    topics.map(({ name, errorCode, topicId }) => [name, errorCode, topicId === ZERO_UUID]),
    [
      ['a', 0, false],
      ['a b', 17, true],
      ['nope', 3, true],
    ],
  )
  assert.is(await shown(['b', 'nope'], 2, { topicName: 'nope', partitionIndex: 0 }), 'nope')
})

test('the topic of the cursor must be among the names', async () => {
  for (const cursor of [
    { topicName: 'aa', partitionIndex: 0 },
    { topicName: 'b', partitionIndex: -1 },
  ]) {
    const { topics, nextCursor } = await describe(['b', 'a'], 2, cursor)
    assert.is(nextCursor, null)
    assert.is(topics.length, 2)
    for (const topic of topics) {
      expectError(topic, 'INVALID_REQUEST')
      assert.is(topic.topicAuthorizedOperations, -2147483648)
    }
  }
})

test('a cursor of a topic that is gone goes on with the next one', async () => {
  assert.is(await shown([], 2, { topicName: 'bb', partitionIndex: 1 }), 'c 0 1')
})

test('a cursor behind the last partition shows the topic without any', async () => {
  const cursor = { topicName: 'b', partitionIndex: 2_147_483_647 }
  assert.is(await shown(['b', 'c'], 2, cursor), 'b | c 0 1')
})

test('an offline partition has no leader', async () => {
  const topic = await wire.createTopic('offline')
  topic.partitions[0]!.goOffline('for the test')
  const { topics } = await describe(['offline'])
  const [partition] = topics[0]!.partitions
  expectError(partition!, 'LEADER_NOT_AVAILABLE')
  assert.is(partition!.leaderId, -1)
  assert.equal(partition!.offlineReplicas, [1])
})

test("Kafka's own topics are internal", async () => {
  await wire.createTopic('__consumer_offsets')
  assert.ok((await describe(['__consumer_offsets'])).topics[0]!.isInternal)
})

test.run()
