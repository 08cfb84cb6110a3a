import { createRequire } from 'node:module'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DecompressionError } from '../../src/compression/codec.ts'
import * as header from '../../src/protocol/record-batch.ts'
import {
  type BatchRecord,
  encodeBatch,
  MalformedBatch,
  type NewRecord,
  readRecords,
} from '../../src/protocol/records.ts'
import { JAVA_BATCHES, JAVA_RECORDS } from './java-batches.ts'

const test = suite('records')

const MIB = 1024 * 1024
const SEED = 20261123

const readAll = async (bytes: Buffer, maxBytes = MIB): Promise<BatchRecord[]> => [
  ...(await readRecords(bytes, maxBytes)),
]

async function refused(bytes: Buffer, message?: RegExp): Promise<void> {
  const error = await readAll(bytes).catch((error: unknown) => error)
  assert.instance(error, MalformedBatch)
  if (message) assert.match((error as Error).message, message)
}

const text = (record: BatchRecord) => ({
  timestamp: record.timestamp,
  key: record.key?.toString() ?? null,
  value: record.value?.toString() ?? null,
  headers: record.headers.map(h => ({ key: h.key, value: h.value?.toString() ?? null })),
})

for (const codec of [0, 1, 2, 3, 4]) {
  test(`a batch of Kafka's Java client with codec ${codec} reads as what went in`, async () => {
    const bytes = Buffer.from(JAVA_BATCHES[codec], 'base64')
    assert.is(header.computeCrc(bytes), header.storedCrc(bytes))
    const records = await readAll(bytes)
    assert.equal(records.map(text), JAVA_RECORDS)
    assert.equal(
      records.map(record => record.offset),
      [1000, 1001, 1002, 1003],
    )
  })
}

const bytesOrNull = (text: string | null) => (text === null ? null : Buffer.from(text))

const javaInput: NewRecord[] = JAVA_RECORDS.map(record => ({
  timestamp: record.timestamp,
  key: bytesOrNull(record.key),
  value: bytesOrNull(record.value),
  headers: record.headers.map(h => ({ key: h.key, value: bytesOrNull(h.value) })),
}))

const javaOptions = {
  baseOffset: 1000,
  leaderEpoch: 9,
  producerId: 77,
  producerEpoch: 3,
  baseSequence: 42,
  transactional: true,
}

test("an uncompressed batch is byte for byte the Java client's", async () => {
  const bytes = await encodeBatch(javaInput, javaOptions)
  assert.is(bytes.toString('base64'), JAVA_BATCHES[0])
})

const bytes = fc.option(fc.uint8Array({ maxLength: 40 }))
const arbitraryRecord = fc.record({
  timestamp: fc.oneof(
    fc.constant(-1),
    fc.integer({ min: 0, max: 8.64e15 }),
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
  ),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string({ unit: 'grapheme' }), value: bytes }), {
    maxLength: 3,
  }),
  gap: fc.oneof(fc.constant(0), fc.nat(1_000_000)),
})
const arbitraryBatch = fc.record({
  records: fc.array(arbitraryRecord, { minLength: 1, maxLength: 20 }),
  options: fc.record({
    codec: fc.integer({ min: 0, max: 4 }),
    baseOffset: fc.nat(Number.MAX_SAFE_INTEGER - 2 ** 31),
    leaderEpoch: fc.nat(1_000),
    producerId: fc.nat(Number.MAX_SAFE_INTEGER),
    producerEpoch: fc.nat(0x7fff),
    baseSequence: fc.nat(0x7fffffff),
    transactional: fc.boolean(),
    control: fc.boolean(),
  }),
})

function withDeltas(records: readonly { gap: number }[]): number[] {
  let next = 0
  return records.map(({ gap }) => {
    const delta = next + gap
    next = delta + 1
    return delta
  })
}

test('any batch reads back as it was written, gaps and nulls included', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryBatch, async ({ records, options }) => {
      const deltas = withDeltas(records)
      const input = records.map((record, i) => ({ ...record, offsetDelta: deltas[i] }))
      const encoded = await encodeBatch(input, options)
      assert.is(header.computeCrc(encoded), header.storedCrc(encoded))
      assert.is(header.batchBytes(encoded), encoded.length)
      assert.is(header.maxTimestamp(encoded), Math.max(...records.map(r => r.timestamp)))
      assert.is(header.lastOffsetDelta(encoded), deltas.at(-1))
      assert.is(header.producerId(encoded), options.producerId)
      assert.is(header.isControl(header.attributes(encoded)), options.control)
      const read = await readAll(encoded)
      assert.is(read.length, records.length)
      for (const [i, record] of read.entries()) {
        const { gap: _, ...expected } = records[i]
        const { offset, ...actual } = record
        assert.is(offset, options.baseOffset + deltas[i])
        assert.equal(plain(actual), plain(expected))
      }
    }),
    { numRuns: 200, seed: SEED },
  )
})

/** Buffers and arrays of bytes as hex, to compare them whatever their class. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, replaceBytes))
}

function replaceBytes(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key]
  return original instanceof Uint8Array ? Buffer.from(original).toString('hex') : value
}

test('LogAppendTime makes the time of the batch that of every record', async () => {
  const encoded = await encodeBatch([{ timestamp: 5 }, { timestamp: 900 }])
  header.setTimestampType(encoded, 777)
  const read = await readAll(encoded)
  assert.equal(
    read.map(record => record.timestamp),
    [777, 777],
  )
})

test('a batch that compaction emptied is read as no records', async () => {
  const encoded = await encodeBatch([], { baseOffset: 10, lastOffsetDelta: 4 })
  assert.equal(await readAll(encoded), [])
  assert.is(header.lastOffset(encoded), 14)
})

test('input that no batch can hold is refused', async () => {
  const cases: [NewRecord[], object][] = [
    [[], {}],
    [[{ timestamp: 1.5 }], {}],
    [[{ timestamp: -2 }], {}],
    [[{ timestamp: Number.NaN }], {}],
    [
      [
        { timestamp: 1, offsetDelta: 3 },
        { timestamp: 1, offsetDelta: 3 },
      ],
      {},
    ],
    [[{ timestamp: 1, offsetDelta: 2 ** 31 }], {}],
    [[{ timestamp: 1 }, { timestamp: 1 }], { lastOffsetDelta: 0 }],
    [[{ timestamp: 1 }], { codec: 5 }],
  ]
  for (const [records, options] of cases) {
    const error = await encodeBatch(records, options).catch((error: unknown) => error)
    assert.instance(error, RangeError)
  }
})

test('content that is not what the header announces is malformed', async () => {
  const good = await encodeBatch(javaInput, javaOptions)
  const changed = (at: number, hex: string): Buffer => {
    const bytes = Buffer.from(good)
    Buffer.from(hex, 'hex').copy(bytes, at)
    return bytes
  }
  await refused(good.subarray(0, 60), /cut off/)
  await refused(good.subarray(0, good.length - 1), /announced/)
  await refused(changed(16, '01'), /magic 1/)
  await refused(changed(21, '0007'), /no codec 7/)
  await refused(changed(57, '00000003'), /behind the last record/)
  await refused(changed(57, '00000005'), /bytes needed/)
  await refused(changed(57, '7fffffff'), /announced/)
  await refused(changed(57, 'ffffffff'), /announced/)
  await refused(changed(23, '00000002'), /offset delta 3/)
  await refused(changed(61, '02'), /should end/)
  await refused(changed(61, '01'), /a record of -1 bytes/)
  await refused(changed(61, 'feffffff0f'), /a record of/)
})

test('any damage to a batch gives records or a named error, and never reads outside of it', async () => {
  const batches = await Promise.all(
    [0, 1, 2, 3, 4].map(codec => encodeBatch(javaInput, { ...javaOptions, codec })),
  )
  const change = fc.tuple(fc.nat(10_000), fc.nat(255))
  const changes = fc.array(change, { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(fc.nat(4), changes, async (codec, changes) => {
      const good = batches[codec]
      const arena = Buffer.alloc(good.length + 200, 0x5a)
      const bytes = arena.subarray(100, 100 + good.length)
      good.copy(bytes)
      for (const [at, byte] of changes) bytes[12 + (at % (good.length - 12))] = byte
      try {
        for (const record of await readRecords(bytes, MIB)) {
          assert.ok(record.offset >= 1000 && record.offset <= header.lastOffset(bytes))
        }
      } catch (error) {
        if (!(error instanceof MalformedBatch || error instanceof DecompressionError)) throw error
      }
    }),
    { numRuns: 1_000, seed: SEED },
  )
})

interface KafkaJsRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, Buffer>
}

const require = createRequire(import.meta.url)
const KafkaJsDecoder = require('kafkajs/src/protocol/decoder')
const KafkaJsEncoder = require('kafkajs/src/protocol/encoder')
const decodeByKafkaJs = require('kafkajs/src/protocol/recordBatch/v0/decoder')
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0')
const encodeRecordByKafkaJs = require('kafkajs/src/protocol/recordBatch/record/v0')

test('KafkaJS reads what we write, plain and gzip', async () => {
  const input = [
    { timestamp: 1000, key: Buffer.from('a'), value: Buffer.from('1'), headers: [] },
    {
      timestamp: 900,
      key: null,
      value: Buffer.alloc(300, 'v'),
      headers: [{ key: 'h', value: Buffer.from('x') }],
    },
  ]
  for (const codec of [0, 1]) {
    const encoded = await encodeBatch(input, { codec, baseOffset: 50 })
    const decoded = await decodeByKafkaJs(new KafkaJsDecoder(encoded))
    const found = decoded.records.map((record: KafkaJsRecord) => ({
      offset: Number(record.offset),
      timestamp: Number(record.timestamp),
      key: record.key,
      value: record.value,
      headers: Object.entries(record.headers).map(([key, value]) => ({ key, value })),
    }))
    assert.equal(plain(found), plain(input.map((record, i) => ({ offset: 50 + i, ...record }))))
  }
})

test('we read what KafkaJS writes, plain and gzip', async () => {
  for (const compression of [0, 1]) {
    const records = [0, 1, 2].map(i =>
      encodeRecordByKafkaJs({
        offsetDelta: i,
        timestampDelta: i * 1000,
        key: i === 1 ? null : Buffer.from(`k${i}`),
        value: Buffer.from(`v${i}`),
        headers: { h: Buffer.from('x') },
      }),
    )
    const encoder = await RecordBatch({
      compression,
      firstTimestamp: 5000,
      maxTimestamp: 7000,
      lastOffsetDelta: 2,
      records,
    })
    assert.instance(encoder, KafkaJsEncoder)
    const read = await readAll(encoder.buffer)
    assert.equal(
      read.map(text),
      [0, 1, 2].map(i => ({
        timestamp: 5000 + i * 1000,
        key: i === 1 ? null : `k${i}`,
        value: `v${i}`,
        headers: [{ key: 'h', value: 'x' }],
      })),
    )
  }
})

test.run()
