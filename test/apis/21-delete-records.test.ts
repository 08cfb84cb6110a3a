import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('DeleteRecords')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

/** [low watermark, error] after deleting before `offset` in a partition. */
async function deleteBefore(name: string, offset: number, partitionIndex = 0, version = 2) {
  const topics = [{ name, partitions: [{ partitionIndex, offset }] }]
  const answer = await wire.send(deleteRecordsApi, version, { topics })
  assert.is(answer.topics[0]!.name, name)
  const [partition] = answer.topics[0]!.partitions
  assert.is(partition!.partitionIndex, partitionIndex)
  return [partition!.lowWatermark, errorName(partition!.errorCode)]
}

test('every version moves the log start and answers it as the low watermark', async () => {
  for (const version of versionsOf(deleteRecordsApi)) {
    const name = `version-${version}`
    await wire.createTopic(name)
    await wire.produce(name, 10)
    assert.equal(await deleteBefore(name, 4, 0, version), [4, 'NONE'])
    assert.is(wire.node.registry.partition(name, 0)!.logStartOffset, 4)
  }
})

test('-1 deletes up to the high watermark', async () => {
  await wire.createTopic('all')
  await wire.produce('all', 7)
  assert.equal(await deleteBefore('all', -1), [7, 'NONE'])
  await wire.produce('all', 1)
  assert.is(wire.node.registry.partition('all', 0)!.logStartOffset, 7)
  assert.is(wire.node.registry.partition('all', 0)!.logEndOffset, 8)
})

test('the log start never goes back', async () => {
  await wire.createTopic('forward')
  await wire.produce('forward', 5)
  assert.equal(await deleteBefore('forward', 3), [3, 'NONE'])
  assert.equal(await deleteBefore('forward', 1), [3, 'NONE'])
  assert.equal(await deleteBefore('forward', 0), [3, 'NONE'])
})

test('offsets beyond the high watermark or below -1 are out of range', async () => {
  await wire.createTopic('range')
  await wire.produce('range', 5)
  assert.equal(await deleteBefore('range', 6), [-1, 'OFFSET_OUT_OF_RANGE'])
  assert.equal(await deleteBefore('range', -2), [-1, 'OFFSET_OUT_OF_RANGE'])
  assert.equal(await deleteBefore('range', 5), [5, 'NONE'])
})

test('unknown topics and partitions are told', async () => {
  await wire.createTopic('known')
  const unknown = [-1, 'UNKNOWN_TOPIC_OR_PARTITION']
  assert.equal(await deleteBefore('unknown', 0), unknown)
  assert.equal(await deleteBefore('known', 0, 1), unknown)
  assert.equal(await deleteBefore('known', 0, -1), unknown)
})

test('a topic that is only compacted keeps its records', async () => {
  const policies = { compact: false, 'compact,delete': true, delete: true, '': true }
  for (const [policy, allowed] of Object.entries(policies)) {
    const name = `policy-${policy.replace(',', '-')}`
    await wire.createTopic(name, 1, { 'cleanup.policy': policy })
    const expected = allowed ? [0, 'NONE'] : [-1, 'POLICY_VIOLATION']
    assert.equal(await deleteBefore(name, 0), expected)
  }
})

test('an offline partition answers a storage error', async () => {
  await wire.createTopic('offline')
  wire.node.registry.partition('offline', 0)!.goOffline('for the test')
  assert.equal(await deleteBefore('offline', -1), [-1, 'KAFKA_STORAGE_ERROR'])
})

test('what was deleted does not come back after a restart', async () => {
  await wire.createTopic('gone')
  await wire.produce('gone', 9)
  assert.equal(await deleteBefore('gone', 4), [4, 'NONE'])
  wire = await wire.restart()
  assert.is(wire.node.registry.partition('gone', 0)!.logStartOffset, 4)
  assert.equal(await deleteBefore('gone', 0), [4, 'NONE'])
})

test.run()
