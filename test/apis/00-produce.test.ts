import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { type BatchOptions, encodeBatch } from '../../src/protocol/records.ts'
import { INT64_ENDS, rawBatch, rawRecords } from '../lib/odd-batch.ts'
import { fetchRecords } from './fetching.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('Produce')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ messageMaxBytes: 20_000 })
})
test.after(() => wire.close())

const batchOf = (values: readonly string[], options: BatchOptions = {}): Promise<Buffer> =>
  encodeBatch(
    values.map(value => ({ timestamp: Date.now(), value: Buffer.from(value) })),
    options,
  )

/** Sends one partition's records; gives its answer with the error by name. */
async function produce(
  topic: string,
  records: Buffer | null,
  { version = 9, acks = -1, index = 0 } = {},
) {
  const topicId = wire.node.registry.topic(topic)?.id
  const named = version >= 13 ? { topicId } : { name: topic }
  const topicData = [{ ...named, partitionData: [{ index, records }] }]
  const { responses } = await wire.send(produceApi, version, { acks, topicData })
  const answer = responses[0]!.partitionResponses[0]!
  return { ...answer, error: errorName(answer.errorCode) }
}

test('every version appends and answers the base offset', async () => {
  await wire.createTopic('versions')
  let expected = 0
  for (const version of versionsOf(produceApi)) {
    const answer = await produce('versions', await batchOf(['a', 'b']), { version })
    assert.is(answer.error, 'NONE')
    assert.is(answer.baseOffset, expected)
    assert.is(answer.logAppendTimeMs, -1)
    if (version >= 5) assert.is(answer.logStartOffset, 0)
    expected += 2
  }
})

test('acks 1 and all are answered when flushed, other acks are refused', async () => {
  await wire.createTopic('acks')
  assert.is((await produce('acks', await batchOf(['a']), { acks: 1 })).baseOffset, 0)
  assert.is((await produce('acks', await batchOf(['a']), { acks: -1 })).baseOffset, 1)
  const wrong = await produce('acks', await batchOf(['a']), { acks: 2 })
  assert.is(wrong.error, 'INVALID_REQUIRED_ACKS')
})

test('acks all needs min.insync.replicas, but no more than there are', async () => {
  await wire.createTopic('replicas', 1, { 'min.insync.replicas': '2' })
  assert.is((await produce('replicas', await batchOf(['a']))).error, 'NONE')
  assert.is((await produce('replicas', await batchOf(['a']), { acks: 1 })).baseOffset, 1)
})

test('acks 0 is appended and never answered', async () => {
  await wire.createTopic('silent')
  const topicData = [
    { name: 'silent', partitionData: [{ index: 0, records: await batchOf(['quiet']) }] },
  ]
  await wire.client.sendOneWay(produceApi.request, 9, { acks: 0, topicData })
  assert.is((await produce('silent', await batchOf(['loud']))).baseOffset, 1)
})

test('acks 0 to a topic that is missing closes the connection', async () => {
  const other = await wire.connect()
  const topicData = [
    { name: 'missing', partitionData: [{ index: 0, records: await batchOf(['x']) }] },
  ]
  await other.sendOneWay(produceApi.request, 9, { acks: 0, topicData })
  await assertClosed(other.apiVersions())
})

async function assertClosed(answer: Promise<unknown>): Promise<void> {
  const error = await answer.then(
    () => null,
    (e: { code: string }) => e,
  )
  assert.is(error?.code, 'DISCONNECTED')
}

test('what is stored is what was sent, but for base offset and leader epoch', async () => {
  await wire.createTopic('bytes')
  const sent = await batchOf(['one', 'two'], { codec: 1 })
  await produce('bytes', await batchOf(['zero']))
  await produce('bytes', sent)
  const stored = await fetchRecords(wire, 'bytes', 1)
  batch.assign(sent, 1, 0)
  assert.ok(stored.equals(sent))
})

test('unknown topics, partitions and ids are told', async () => {
  await wire.createTopic('known')
  assert.is((await produce('nowhere', await batchOf(['x']))).error, 'UNKNOWN_TOPIC_OR_PARTITION')
  const far = await produce('known', await batchOf(['x']), { index: 1 })
  assert.is(far.error, 'UNKNOWN_TOPIC_OR_PARTITION')
  const byId = await produce('nowhere', await batchOf(['x']), { version: 13 })
  assert.is(byId.error, 'UNKNOWN_TOPIC_ID')
})

/** A batch spoilt in one place; its CRC made right again unless that is what is spoilt. */
async function spoilt(change: (b: Buffer) => void, seal = true): Promise<Buffer> {
  const bytes = await batchOf(['value'])
  change(bytes)
  if (seal) bytes.writeUInt32BE(batch.computeCrc(bytes), 17)
  return bytes
}

test('each way of spoiling a batch gets its error and appends nothing', async () => {
  await wire.createTopic('spoilt')
  const cases: [string, Buffer | null, string][] = [
    ['no records', null, 'INVALID_RECORD'],
    ['empty records', Buffer.alloc(0), 'CORRUPT_MESSAGE'],
    ['a cut header', (await batchOf(['x'])).subarray(0, 40), 'CORRUPT_MESSAGE'],
    ['a cut batch', (await batchOf(['x'])).subarray(0, 65), 'CORRUPT_MESSAGE'],
    ['two batches', Buffer.concat([await batchOf(['x']), await batchOf(['y'])]), 'INVALID_RECORD'],
    ['a flipped bit', await spoilt(b => b.writeUInt8(b[63]! ^ 1, 63), false), 'CORRUPT_MESSAGE'],
    ['magic 1', await spoilt(b => b.writeInt8(1, 16)), 'INVALID_RECORD'],
    ['magic 0', await spoilt(b => b.writeInt8(0, 16)), 'INVALID_RECORD'],
    ['a base offset', await spoilt(b => batch.writeInt64(b, 0, 7)), 'INVALID_RECORD'],
    ['a wrong count', await spoilt(b => b.writeInt32BE(2, 57)), 'INVALID_RECORD'],
    ['no count', await spoilt(b => b.writeInt32BE(0, 57)), 'INVALID_RECORD'],
    ['a negative length', await spoilt(b => b.writeInt32BE(-5, 8)), 'CORRUPT_MESSAGE'],
    ['codec 5', await spoilt(b => b.writeInt16BE(5, 21)), 'UNSUPPORTED_COMPRESSION_TYPE'],
    ['a control batch', await batchOf(['x'], { control: true }), 'INVALID_RECORD'],
    ['no open transaction', await batchOf(['x'], { transactional: true }), 'INVALID_TXN_STATE'],
    [
      'a producer without sequence',
      await batchOf(['x'], { producerId: 5, producerEpoch: 0 }),
      'INVALID_RECORD',
    ],
    ['too large', await batchOf(['x'.repeat(20_000)]), 'MESSAGE_TOO_LARGE'],
  ]
  for (const [name, records, error] of cases) {
    const answer = await produce('spoilt', records)
    assert.is(answer.error, error, name)
    assert.is(answer.baseOffset, -1, name)
    if (error !== 'CORRUPT_MESSAGE' || name === 'a cut batch') {
      assert.ok(answer.errorMessage !== null && answer.errorMessage.length > 10, name)
    }
  }
  assert.is((await produce('spoilt', await batchOf(['good']))).baseOffset, 0)
})

test('zstd needs Produce 7', async () => {
  await wire.createTopic('zstd')
  const records = await batchOf(['x'], { codec: 4 })
  const old = await produce('zstd', records, { version: 6 })
  assert.is(old.error, 'UNSUPPORTED_COMPRESSION_TYPE')
  assert.is((await produce('zstd', records, { version: 7 })).error, 'NONE')
})

test('timestamps more than an hour ahead are refused, as in Kafka; old ones and none are not', async () => {
  await wire.createTopic('times')
  await wire.createTopic('old', 1, { 'message.timestamp.before.max.ms': '1000' })
  const at = (timestamp: number) => encodeBatch([{ timestamp, value: Buffer.from('x') }])
  const now = Date.now()
  assert.is((await produce('times', await at(now + 2 * 3_600_000))).error, 'INVALID_TIMESTAMP')
  assert.is((await produce('times', await at(now + 1_800_000))).error, 'NONE')
  assert.is((await produce('times', await at(1))).error, 'NONE')
  assert.is((await produce('times', await at(-1))).error, 'NONE')
  assert.is((await produce('old', await at(now - 60_000))).error, 'INVALID_TIMESTAMP')
})

test('LogAppendTime stamps the batch and answers the time; a client cannot claim it elsewhere', async () => {
  await wire.createTopic('stamped', 1, { 'message.timestamp.type': 'LogAppendTime' })
  await wire.createTopic('claimed')
  const before = Date.now()
  const answer = await produce('stamped', await encodeBatch([{ timestamp: 5 }]))
  assert.ok(answer.logAppendTimeMs >= before)
  const stamped = await fetchRecords(wire, 'stamped', 0)
  assert.is(batch.maxTimestamp(stamped), answer.logAppendTimeMs)
  assert.ok(batch.isLogAppendTime(batch.attributes(stamped)))
  assert.is(batch.computeCrc(stamped), batch.storedCrc(stamped))
  await produce('claimed', await spoilt(b => b.writeInt16BE(8, 21)))
  const claimed = await fetchRecords(wire, 'claimed', 0)
  assert.not(batch.isLogAppendTime(batch.attributes(claimed)))
  assert.is(batch.computeCrc(claimed), batch.storedCrc(claimed))
})

test('a record without a key on a compacted topic is refused, whatever the codec, and named', async () => {
  await wire.createTopic('keyed', 1, { 'cleanup.policy': 'compact' })
  const record = { timestamp: Date.now(), value: Buffer.from('v') }
  const keyed = { ...record, key: Buffer.alloc(0) }
  for (let codec = 0; codec <= 4; codec++) {
    const fine = await produce('keyed', await encodeBatch([keyed, keyed], { codec }))
    assert.equal([fine.error, fine.baseOffset], ['NONE', codec * 2])
    const refused = await produce('keyed', await encodeBatch([keyed, record], { codec }))
    assert.is(refused.error, 'INVALID_RECORD')
    assert.match(refused.errorMessage ?? '', /no key/)
    assert.equal(
      refused.recordErrors.map(r => r.batchIndex),
      [1],
    )
  }
  const spoilt = await encodeBatch([keyed], { codec: 1 })
  spoilt.fill(7, batch.BATCH_HEADER_BYTES)
  assert.match((await produce('keyed', spoilt)).errorMessage ?? '', /cannot be read/)
})

test('a topic that becomes a compacted one takes no more records without a key', async () => {
  const topic = await wire.createTopic('becomes-keyed')
  assert.is((await produce('becomes-keyed', await batchOf(['a']))).error, 'NONE')
  await wire.node.registry.setConfigs(topic, () => ({ 'cleanup.policy': 'compact' }))
  const lz4 = await batchOf(['a'], { codec: 3 })
  assert.is((await produce('becomes-keyed', lz4)).error, 'INVALID_RECORD')
})

test('an idempotent producer: duplicates, gaps, epochs and wrap-around, also after a restart', async () => {
  await wire.createTopic('idempotent')
  const send = async (baseSequence: number, producerEpoch = 0, values = ['a']) => {
    const options = { producerId: 77, producerEpoch, baseSequence }
    const answer = await produce('idempotent', await batchOf(values, options))
    return [answer.error, answer.baseOffset]
  }
  assert.equal(await send(0), ['NONE', 0])
  assert.equal(await send(1, 0, ['b', 'c']), ['NONE', 1])
  assert.equal(await send(0), ['NONE', 0], 'a duplicate answers its old offset')
  assert.equal(await send(1, 0, ['b', 'c']), ['NONE', 1])
  assert.equal(await send(5), ['OUT_OF_ORDER_SEQUENCE_NUMBER', -1])
  assert.equal(await send(3), ['NONE', 3])
  wire = await wire.restart()
  assert.equal(await send(3), ['NONE', 3], 'known after a clean stop')
  assert.equal(await send(4), ['NONE', 4])
  assert.equal(await send(1, 1), ['OUT_OF_ORDER_SEQUENCE_NUMBER', -1], 'a new epoch starts at 0')
  assert.equal(await send(0, 1), ['NONE', 5])
  assert.equal(await send(5, 0), ['INVALID_PRODUCER_EPOCH', -1])
  const wrap = async (baseSequence: number) => {
    const options = { producerId: 78, producerEpoch: 0, baseSequence }
    return (await produce('idempotent', await batchOf(['w', 'x'], options))).error
  }
  assert.is(await wrap(2 ** 31 - 2), 'NONE')
  assert.is(await wrap(0), 'NONE', '0 follows 2^31 - 1')
})

test('many partitions in one request are answered each for itself', async () => {
  await wire.createTopic('several', 3)
  const records = await batchOf(['x'])
  const topicData = [
    { name: 'several', partitionData: [0, 1, 2, 3].map(index => ({ index, records })) },
    { name: 'absent', partitionData: [{ index: 0, records }] },
  ]
  const { responses } = await wire.send(produceApi, 9, { acks: -1, topicData })
  const codes = responses.map(t => t.partitionResponses.map(p => errorName(p.errorCode)))
  const unknown = 'UNKNOWN_TOPIC_OR_PARTITION'
  assert.equal(codes, [['NONE', 'NONE', 'NONE', unknown], [unknown]])
})

test('batches of one connection keep their order through a full ring', async () => {
  const small = await Wire.start({ ringBytes: 4 * 1024 * 1024 })
  try {
    await small.createTopic('order', 1, { 'max.message.bytes': '1100000' })
    const value = Buffer.alloc(1_000_000)
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        value.writeInt32BE(i)
        const records = await encodeBatch([{ timestamp: 1, value: Buffer.from(value) }])
        const topicData = [{ name: 'order', partitionData: [{ index: 0, records }] }]
        return small.send(produceApi, 9, { acks: -1, topicData })
      }),
    )
    const offsets = answers.map(a => a.responses[0]!.partitionResponses[0]!.baseOffset)
    assert.equal(
      [...offsets].sort((a, b) => a - b),
      Array.from({ length: 40 }, (_, i) => i),
    )
  } finally {
    await small.close()
  }
})

test('what a log cannot keep exactly is refused by the header', async () => {
  const anyTime = {
    'message.timestamp.before.max.ms': '9223372036854775807',
    'message.timestamp.after.max.ms': '9223372036854775807',
  }
  await wire.createTopic('ends', 1, anyTime)
  const content = rawRecords([{ offsetDelta: 0, key: null, value: 'v' }])
  const isKept = (value: bigint): boolean => value >= -(2n ** 53n) && value < 2n ** 53n
  for (const end of INT64_ENDS) {
    const allowed = isKept(end) ? 'NONE' : 'INVALID_TIMESTAMP'
    for (const timestamps of [
      { baseTimestamp: end, maxTimestamp: 5n },
      { baseTimestamp: 5n, maxTimestamp: end },
    ]) {
      const { error } = await produce('ends', rawBatch(timestamps, content))
      assert.is(error, allowed, `${end} ${timestamps.maxTimestamp}`)
    }
    const producer = { producerId: end, producerEpoch: 0, baseSequence: 0 }
    const { error } = await produce('ends', rawBatch(producer, content))
    assert.is(error, isKept(end) && end >= -1n ? 'NONE' : 'INVALID_RECORD', `producer ${end}`)
  }
  await wire.createTopic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  const { error } = await produce(
    'append-time',
    rawBatch({ baseTimestamp: 2n ** 63n - 1n }, content),
  )
  assert.is(error, 'NONE', 'there the time that a client says does not count')
})

test('a count that cannot be in so few bytes is refused: offsets are not to be had for nothing', async () => {
  await wire.createTopic('counts')
  const content = rawRecords([{ offsetDelta: 0, key: null, value: null }])
  const counted = (count: number, attributes = 0): Buffer =>
    rawBatch({ attributes, count, lastOffsetDelta: count - 1 }, content)
  for (const attributes of [0, 1, 2, 3, 4]) {
    const { error } = await produce('counts', counted(2 ** 31 - 1, attributes))
    assert.is(error, 'INVALID_RECORD', `codec ${attributes}`)
  }
  assert.is((await produce('counts', counted(2))).error, 'INVALID_RECORD')
  const smallest = new Array(2_000).fill({ offsetDelta: 0, key: null, value: null })
  const records = smallest.map((record, offsetDelta) => ({ ...record, offsetDelta }))
  const header = { count: 2_000, lastOffsetDelta: 1_999 }
  assert.is((await produce('counts', rawBatch(header, rawRecords(records)))).error, 'NONE')
  for (const codec of [1, 2, 3, 4]) {
    const same = { timestamp: 1_700_000_000_000, value: null }
    const batch = await encodeBatch(new Array(2_000).fill(same), { codec })
    const { error } = await produce('counts', batch)
    assert.is(error, 'NONE', `codec ${codec}: ${batch.length} bytes`)
  }
})

test('a producer does not say that compaction has been at its batch', async () => {
  await wire.createTopic('horizon')
  const content = rawRecords([{ offsetDelta: 0, key: 'k', value: null }])
  const { error } = await produce('horizon', rawBatch({ attributes: 0x40 }, content))
  assert.is(error, 'INVALID_RECORD')
})

test('on a compacted topic offsets inside a batch must rise one by one, up to its last', async () => {
  await wire.createTopic('deltas', 1, { 'cleanup.policy': 'compact' })
  const one = { key: 'k', value: 'v' }
  for (const deltas of [[2 ** 30], [-1], [0, 0], [1, 0], [1, 2], [0, 2]]) {
    const content = rawRecords(deltas.map(offsetDelta => ({ ...one, offsetDelta })))
    const header = { count: deltas.length, lastOffsetDelta: deltas.length - 1 }
    const { error } = await produce('deltas', rawBatch(header, content))
    assert.is(error, 'INVALID_RECORD', deltas.join())
  }
  const content = rawRecords([{ ...one, offsetDelta: 0 }])
  assert.is((await produce('deltas', rawBatch({}, content))).error, 'NONE')
})

test.run()
