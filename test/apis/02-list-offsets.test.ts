import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { listOffsetsApi } from '../../src/protocol/messages/02-list-offsets.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('ListOffsets')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

async function list(name: string, timestamp: number, version = 11, currentLeaderEpoch = -1) {
  const epoch = version >= 4 ? { currentLeaderEpoch } : {}
  const { topics } = await wire.send(listOffsetsApi, version, {
    replicaId: -1,
    topics: [{ name, partitions: [{ partitionIndex: 0, timestamp, ...epoch }] }],
  })
  const { errorCode, offset, timestamp: found } = topics[0]!.partitions[0]!
  return [errorName(errorCode), offset, found]
}

/** Produces one batch with these timestamps. */
async function produceAt(name: string, timestamps: readonly number[], codec = 0): Promise<void> {
  const records = await encodeBatch(
    timestamps.map(timestamp => ({ timestamp, value: Buffer.from('v') })),
    { codec },
  )
  const topicData = [{ name, partitionData: [{ index: 0, records }] }]
  await wire.send(produceApi, 9, { acks: -1, topicData })
}

test('every version knows the latest and the earliest offset', async () => {
  await wire.createTopic('ends')
  await wire.produce('ends', 5)
  for (const version of versionsOf(listOffsetsApi)) {
    assert.equal(await list('ends', -1, version), ['NONE', 5, -1])
    assert.equal(await list('ends', -2, version), ['NONE', 0, -1])
  }
})

test('a time finds the first record at or after it, in every codec', async () => {
  for (const codec of [0, 1, 2, 3, 4]) {
    const name = `times-${codec}`
    await wire.createTopic(name)
    await produceAt(name, [1000, 2000, 3000], codec)
    await produceAt(name, [2500, 4000], codec)
    assert.equal(await list(name, 0), ['NONE', 0, 1000])
    assert.equal(await list(name, 1001), ['NONE', 1, 2000])
    assert.equal(await list(name, 3000), ['NONE', 2, 3000])
    assert.equal(await list(name, 3001), ['NONE', 4, 4000])
    assert.equal(await list(name, 4001), ['NONE', -1, -1])
    assert.equal(await list(name, -3), ['NONE', 4, 4000], 'the record with the largest timestamp')
  }
})

test('special timestamps need their version, and untiered logs have nothing tiered', async () => {
  await wire.createTopic('special')
  await wire.produce('special', 2)
  assert.equal(await list('special', -3, 6), ['UNSUPPORTED_VERSION', -1, -1])
  assert.equal(await list('special', -4, 7), ['UNSUPPORTED_VERSION', -1, -1])
  assert.equal(await list('special', -5, 8), ['UNSUPPORTED_VERSION', -1, -1])
  assert.equal(await list('special', -6, 10), ['UNSUPPORTED_VERSION', -1, -1])
  assert.equal(await list('special', -7), ['UNSUPPORTED_VERSION', -1, -1])
  assert.equal(await list('special', -4), ['NONE', 0, -1])
  assert.equal(await list('special', -5), ['NONE', -1, -1])
})

test('an empty log has ends and no times', async () => {
  await wire.createTopic('empty')
  assert.equal(await list('empty', -1), ['NONE', 0, -1])
  assert.equal(await list('empty', 0), ['NONE', -1, -1])
  assert.equal(await list('empty', -3), ['NONE', -1, -1])
})

test('unknown partitions, leader epochs and partitions asked twice are told', async () => {
  await wire.createTopic('told')
  assert.equal((await list('missing', -1))[0], 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.equal((await list('told', -1, 11, 4))[0], 'UNKNOWN_LEADER_EPOCH')
  const twice = { partitionIndex: 0, timestamp: -1 }
  const { topics } = await wire.send(listOffsetsApi, 11, {
    topics: [{ name: 'told', partitions: [twice, twice] }],
  })
  const codes = topics[0]!.partitions.map(p => errorName(p.errorCode))
  assert.equal(codes, ['INVALID_REQUEST', 'INVALID_REQUEST'])
})

test.run()
