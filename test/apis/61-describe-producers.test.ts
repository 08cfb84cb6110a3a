import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeProducersApi } from '../../src/protocol/messages/61-describe-producers.ts'
import { expectError, Wire } from './wire.ts'

const test = suite('DescribeProducers')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('topic', 2)
})
test.after(() => wire.close())

async function describe(name: string, ...partitionIndexes: number[]) {
  const { topics } = await wire.send(describeProducersApi, 0, {
    topics: [{ name, partitionIndexes }],
  })
  assert.is(topics[0]!.name, name)
  return topics[0]!.partitions
}

test('the producers that a partition remembers, with their last sequence', async () => {
  const before = Date.now()
  await wire.produce('topic', 3, { producerId: 5, producerEpoch: 2, baseSequence: 0 })
  await wire.produce('topic', 2, { producerId: 5, producerEpoch: 2, baseSequence: 3 })
  const [partition, other] = await describe('topic', 0, 1)
  expectError(partition!, 'NONE')
  assert.is(partition!.errorMessage, null)
  const [producer, ...rest] = partition!.activeProducers
  assert.equal(rest, [])
  const { lastTimestamp, ...fields } = producer!
  assert.ok(lastTimestamp >= before && lastTimestamp <= Date.now())
  assert.equal(fields, {
    producerId: 5,
    producerEpoch: 2,
    lastSequence: 4,
    coordinatorEpoch: -1,
    currentTxnStartOffset: -1,
  })
  assert.equal(other!.activeProducers, [])
})

test('records without a producer id leave nothing to remember', async () => {
  await wire.createTopic('plain')
  await wire.produce('plain', 3)
  assert.equal((await describe('plain', 0))[0]!.activeProducers, [])
})

test('unknown topics and partitions and bad names are told', async () => {
  expectError((await describe('nope', 0))[0]!, 'UNKNOWN_TOPIC_OR_PARTITION')
  expectError((await describe('a b', 0))[0]!, 'INVALID_TOPIC_EXCEPTION')
  for (const partition of await describe('topic', 2, -1)) {
    expectError(partition, 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(partition.errorMessage)
  }
})

test('an offline partition answers a storage error', async () => {
  await wire.createTopic('offline')
  wire.node.registry.partition('offline', 0)!.goOffline('for the test')
  const [partition] = await describe('offline', 0)
  expectError(partition!, 'KAFKA_STORAGE_ERROR')
  assert.match(partition!.errorMessage ?? '', 'for the test')
})

test.run()
