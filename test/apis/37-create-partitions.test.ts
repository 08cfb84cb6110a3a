import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createPartitionsApi } from '../../src/protocol/messages/37-create-partitions.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('CreatePartitions')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

interface Asked {
  name: string
  count: number
  assignments?: { brokerIds: number[] }[] | null
}

async function grow(asked: Asked[], validateOnly = false, version = 3) {
  const topics = asked.map(topic => ({ assignments: null, ...topic }))
  const answer = await wire.send(createPartitionsApi, version, { topics, validateOnly })
  return answer.results
}

const countOf = (topic: string) => wire.node.registry.topic(topic)!.partitions.length

test('every version adds partitions that can be written when it is answered', async () => {
  for (const version of versionsOf(createPartitionsApi)) {
    const name = `version-${version}`
    await wire.createTopic(name)
    assert.equal(await grow([{ name, count: 3 }], false, version), [
      { name, errorCode: 0, errorMessage: null },
    ])
    assert.is(countOf(name), 3)
    assert.is(wire.node.registry.partition(name, 2)!.offline, null)
  }
})

test('what would not be an increase, or too much, is refused', async () => {
  await wire.createTopic('steady', 2)
  for (const count of [2, 1, 0, -1, -2_147_483_648, 100_001, 2_147_483_647]) {
    const [result] = await grow([{ name: 'steady', count }])
    expectError(result!, 'INVALID_PARTITIONS')
    assert.ok(result!.errorMessage)
  }
  assert.is(countOf('steady'), 2)
})

test('a request adds at most 10,000 partitions in all', async () => {
  await wire.createTopic('first')
  await wire.createTopic('second')
  const both = (count: number) => ['first', 'second'].map(name => ({ name, count }))
  for (const result of await grow(both(5002), true)) expectError(result, 'POLICY_VIOLATION')
  for (const result of await grow(both(5001), true)) expectError(result, 'NONE')
})

test('unknown topics and names given twice are refused, the others grow', async () => {
  await wire.createTopic('grows')
  await wire.createTopic('twice')
  const names = ['nope', 'a b', 'twice', 'grows', 'twice']
  const results = await grow(names.map((name, i) => ({ name, count: 4 + i })))
  assert.is(results.length, 4)
  assert.equal(
    errorsBy(results, r => r.name),
    {
      nope: 'UNKNOWN_TOPIC_OR_PARTITION',
      'a b': 'UNKNOWN_TOPIC_OR_PARTITION',
      twice: 'INVALID_REQUEST',
      grows: 'NONE',
    },
  )
  assert.is(countOf('twice'), 1)
  assert.is(countOf('grows'), 7)
})

test('assignments must name this broker once for each added partition', async () => {
  await wire.createTopic('assigned')
  const refused = [[], [[1], [1]], [[2]], [[-1]], [[]], [[1, 1]]]
  for (const lists of refused) {
    const assignments = lists.map(brokerIds => ({ brokerIds }))
    const [result] = await grow([{ name: 'assigned', count: 2, assignments }])
    expectError(result!, 'INVALID_REPLICA_ASSIGNMENT')
  }
  assert.is(countOf('assigned'), 1)
  const assignments = [{ brokerIds: [1] }, { brokerIds: [1] }]
  expectError((await grow([{ name: 'assigned', count: 3, assignments }]))[0]!, 'NONE')
  assert.is(countOf('assigned'), 3)
})

test('validateOnly adds nothing', async () => {
  await wire.createTopic('validated')
  expectError((await grow([{ name: 'validated', count: 5 }], true))[0]!, 'NONE')
  assert.is(countOf('validated'), 1)
})

test('of two requests at once the number never shrinks', async () => {
  await wire.createTopic('raced')
  const answers = await Promise.all([6, 3].map(count => grow([{ name: 'raced', count }])))
  assert.equal(
    answers.map(([result]) => result!.errorCode),
    [0, 37],
  )
  assert.is(countOf('raced'), 6)
})

test.run()
