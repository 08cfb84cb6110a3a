import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('Metadata')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ numPartitions: 2 })
})
test.after(() => wire.close())

const ask = (version: number, request: object) => wire.send(metadataApi, version, request)

test('every version describes the broker and a topic', async () => {
  const topic = await wire.createTopic('described', 3)
  const { port } = wire.node.endpoint('PLAINTEXT')
  for (const version of versionsOf(metadataApi)) {
    const answer = await ask(version, { topics: [{ name: 'described' }] })
    assert.equal(
      answer.brokers.map(b => [b.nodeId, b.host, b.port]),
      [[1, '127.0.0.1', port]],
    )
    const [found] = answer.topics
    assert.is(found!.name, 'described')
    assert.is(errorName(found!.errorCode), 'NONE')
    if (version >= 10) assert.is(found!.topicId, topic.id)
    if (version >= 1) assert.is(answer.controllerId, 1)
    if (version >= 2) assert.is(answer.clusterId, wire.node.clusterId)
    for (const p of found!.partitions) {
      assert.equal([p.leaderId, p.replicaNodes, p.isrNodes], [1, [1], [1]])
      if (version >= 7) assert.is(p.leaderEpoch, 0)
    }
    assert.is(found!.partitions.length, 3)
  }
})

test('version 0 asks for all topics with an empty list, later ones with null', async () => {
  await wire.createTopic('one')
  const names = async (version: number, topics: [] | null) =>
    (await ask(version, { topics })).topics.map(t => t.name)
  assert.ok((await names(0, [])).includes('one'))
  assert.ok((await names(1, null)).includes('one'))
  assert.equal(await names(1, []), [])
  assert.equal(await names(12, []), [])
})

test('topics can be asked by id from version 12 on', async () => {
  const topic = await wire.createTopic('by-id')
  const known = await ask(12, { topics: [{ topicId: topic.id, name: null }] })
  assert.is(known.topics[0]!.name, 'by-id')
  const unknown = await ask(12, { topics: [{ topicId: 'AbCdEfGhIjKlMnOpQrStUg', name: null }] })
  assert.is(errorName(unknown.topics[0]!.errorCode), 'UNKNOWN_TOPIC_ID')
  assert.is(unknown.topics[0]!.name, null)
})

test('a missing topic is made inside the request, so that it can be written at once', async () => {
  const answer = await ask(9, { topics: [{ name: 'made' }], allowAutoTopicCreation: true })
  assert.is(errorName(answer.topics[0]!.errorCode), 'NONE')
  assert.is(answer.topics[0]!.partitions.length, 2)
  await wire.produce('made', 1)
})

test('a missing topic is not made when the client or the broker says no', async () => {
  const no = await ask(9, { topics: [{ name: 'unmade' }], allowAutoTopicCreation: false })
  assert.is(errorName(no.topics[0]!.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  const strict = await Wire.start({ autoCreateTopicsEnable: false })
  try {
    const { topics } = await strict.send(metadataApi, 9, { topics: [{ name: 'x' }] })
    assert.is(errorName(topics[0]!.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  } finally {
    await strict.close()
  }
})

test('many clients asking for the same missing topic get the same one', async () => {
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => ask(12, { topics: [{ name: 'raced' }] })),
  )
  const ids = new Set(answers.map(a => a.topics[0]!.topicId))
  assert.is(ids.size, 1)
  assert.ok(answers.every(a => a.topics[0]!.errorCode === 0))
})

test('invalid and colliding names are refused, not made', async () => {
  await wire.createTopic('a.b')
  for (const name of ['', '.', '..', 'a b', 'ä', 'x'.repeat(250), 'a_b']) {
    const { topics } = await ask(9, { topics: [{ name }] })
    assert.is(errorName(topics[0]!.errorCode), 'INVALID_TOPIC_EXCEPTION', name)
  }
})

test('authorized operations are given when asked for', async () => {
  await wire.createTopic('ops')
  const request = { topics: [{ name: 'ops' }], includeTopicAuthorizedOperations: true }
  const asked = await ask(8, { ...request, includeClusterAuthorizedOperations: true })
  assert.ok(asked.topics[0]!.topicAuthorizedOperations > 0)
  assert.ok(asked.clusterAuthorizedOperations > 0)
  const not = await ask(8, { topics: [{ name: 'ops' }] })
  assert.is(not.topics[0]!.topicAuthorizedOperations, -(2 ** 31))
  assert.is(not.clusterAuthorizedOperations, -(2 ** 31))
})

test('the leader epoch rises with every start', async () => {
  await wire.createTopic('risen')
  wire = await wire.restart()
  const { topics } = await ask(9, { topics: [{ name: 'risen' }] })
  assert.is(topics[0]!.partitions[0]!.leaderEpoch, 1)
})

test.run()
