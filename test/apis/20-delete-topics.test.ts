import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import {
  type DeleteTopicsResponse,
  deleteTopicsApi,
} from '../../src/protocol/messages/20-delete-topics.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DeleteTopics')
const UNKNOWN_ID = 'AAAAAAAAAAAAAAAAAAAAcQ'
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

type Asked = { name: string | null; topicId?: string }

async function remove(topics: Asked[]): Promise<DeleteTopicsResponse['responses']> {
  const answer = await wire.send(deleteTopicsApi, 6, {
    topics: topics.map(({ name, topicId = ZERO_UUID }) => ({ name, topicId })),
  })
  return answer.responses
}

test('every version deletes by name, with the files', async () => {
  for (const version of versionsOf(deleteTopicsApi)) {
    const name = `by-name-${version}`
    const { id } = await wire.createTopic(name, 2)
    assert.ok(existsSync(join(wire.node.dataDir, `${name}-0`)))
    const request = version >= 6 ? { topics: [{ name }] } : { topicNames: [name] }
    const { responses } = await wire.send(deleteTopicsApi, version, request)
    assert.equal(responses, [
      { name, topicId: version >= 6 ? id : ZERO_UUID, errorCode: 0, errorMessage: null },
    ])
    assert.is(wire.node.registry.topic(name), undefined)
    assert.equal(
      readdirSync(wire.node.dataDir).filter(file => file.startsWith(name)),
      [],
    )
  }
})

test('by id the answer tells the name', async () => {
  const { id } = await wire.createTopic('by-id')
  const responses = await remove([{ name: null, topicId: id }])
  assert.equal(responses, [{ name: 'by-id', topicId: id, errorCode: 0, errorMessage: null }])
  assert.is(wire.node.registry.topicById(id), undefined)
})

test('a topic made anew under the name of a deleted one has another id', async () => {
  const { id } = await wire.createTopic('phoenix')
  await remove([{ name: 'phoenix' }])
  assert.is.not((await wire.createTopic('phoenix')).id, id)
  expectError((await remove([{ name: null, topicId: id }]))[0]!, 'UNKNOWN_TOPIC_ID')
  assert.ok(wire.node.registry.topic('phoenix'))
})

test('unknown names and ids are told apart', async () => {
  const responses = await remove([{ name: 'nope' }, { name: null, topicId: UNKNOWN_ID }])
  expectError(responses[0]!, 'UNKNOWN_TOPIC_OR_PARTITION')
  expectError(responses[1]!, 'UNKNOWN_TOPIC_ID')
  assert.is(responses[1]!.name, null)
})

test('a bad name is just unknown', async () => {
  expectError((await remove([{ name: 'a b' }]))[0]!, 'UNKNOWN_TOPIC_OR_PARTITION')
})

test('name and id together, and neither, are refused', async () => {
  const { id } = await wire.createTopic('both')
  const responses = await remove([{ name: 'both', topicId: id }, { name: null }])
  for (const response of responses) expectError(response, 'INVALID_REQUEST')
  assert.ok(wire.node.registry.topic('both'))
})

test('what is given twice, by name, by id or by both, stays', async () => {
  const one = await wire.createTopic('one')
  await wire.createTopic('two')
  const three = await wire.createTopic('three')
  const responses = await remove([
    { name: null, topicId: one.id },
    { name: null, topicId: one.id },
    { name: 'two' },
    { name: 'two' },
    { name: 'three' },
    { name: null, topicId: three.id },
  ])
  assert.is(responses.length, 4)
  for (const response of responses) expectError(response, 'INVALID_REQUEST')
  for (const name of ['one', 'two', 'three']) assert.ok(wire.node.registry.topic(name))
})

test('a name given twice to an older version is refused once', async () => {
  await wire.createTopic('old')
  const topicNames = ['old', 'nope', 'old']
  const { responses } = await wire.send(deleteTopicsApi, 5, { topicNames })
  assert.is(responses.length, 2)
  assert.equal(
    errorsBy(responses, r => r.name),
    {
      old: 'INVALID_REQUEST',
      nope: 'UNKNOWN_TOPIC_OR_PARTITION',
    },
  )
})

test('of two deletions at once one succeeds', async () => {
  await wire.createTopic('raced')
  const answers = await Promise.all([remove([{ name: 'raced' }]), remove([{ name: 'raced' }])])
  const codes = answers.map(([response]) => response!.errorCode).sort()
  assert.equal(codes, [0, 3])
})

test('delete.topic.enable=false refuses everything, in words each version knows', async () => {
  const strict = await Wire.start({ deleteTopicEnable: false })
  try {
    await strict.createTopic('kept')
    for (const version of versionsOf(deleteTopicsApi)) {
      const request =
        version >= 6 ? { topics: [{ name: 'kept' }] } : { topicNames: ['kept', 'nope'] }
      const { responses } = await strict.send(deleteTopicsApi, version, request)
      for (const response of responses) {
        expectError(response, version >= 3 ? 'TOPIC_DELETION_DISABLED' : 'INVALID_REQUEST')
      }
    }
    assert.ok(strict.node.registry.topic('kept'))
  } finally {
    await strict.close()
  }
})

test('deleted topics do not come back after a restart, added partitions do', async () => {
  await wire.createTopic('deleted')
  const grown = await wire.createTopic('grown')
  await wire.node.registry.addPartitions(grown, 3)
  expectError((await remove([{ name: 'deleted' }]))[0]!, 'NONE')
  wire = await wire.restart()
  assert.is(wire.node.registry.topic('deleted'), undefined)
  assert.is(wire.node.registry.topic('grown')!.id, grown.id)
  assert.is(wire.node.registry.topic('grown')!.partitions.length, 3)
})

test.run()
