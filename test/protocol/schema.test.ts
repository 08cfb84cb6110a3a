import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as f from '../../src/protocol/fields.ts'
import { fetchRequest } from '../../src/protocol/messages/01-fetch.ts'
import { metadataRequest, metadataResponse } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsRequest } from '../../src/protocol/messages/18-api-versions.ts'
import { initProducerIdRequest } from '../../src/protocol/messages/22-init-producer-id.ts'
import { MalformedFrame, Reader } from '../../src/protocol/reader.ts'
import { type Encodable, type Message, request } from '../../src/protocol/schema.ts'
import { SchemaError, Writer } from '../../src/protocol/writer.ts'

const test = suite('schema')

function encode<M extends Message>(message: M, version: number, value: Encodable<M>): Buffer {
  const writer = new Writer()
  message.encode(writer, version, value as Record<string, unknown>)
  return Buffer.concat(writer.chunks())
}

const everyKind = request(
  'EveryKindRequest',
  { apiKey: 999, versions: '0-2', flexible: '2+' },
  {
    a: f.bool('0+', { default: true }),
    b: f.uint16('0+'),
    c: f.uint32('0+'),
    d: f.float64('0+'),
    e: f.bytes('0+', { nullable: '1+' }),
    g: f.records('0+', { nullable: '0+' }),
    h: f.struct('1+', { x: f.int8('1+', { default: -1 }) }),
    i: f.array('0+', f.string),
    j: f.struct('0+', { y: f.array('0+', f.uuid) }, { tag: 3, tagged: '2+' }),
    k: f.bytes('2+', { tag: 1, tagged: '2+' }),
  },
)

test('kinds that Kafka uses rarely come back as they were sent', () => {
  const value = {
    a: false,
    b: 0xffff,
    c: 0xffffffff,
    d: -0.5,
    e: Buffer.from('e'),
    g: Buffer.from('g'),
    h: { x: 5 },
    i: ['one', 'zwei', ''],
    j: { y: ['AAECAwQFBgcICQoLDA0ODw'] },
    k: Buffer.from('k'),
  }
  for (const version of [1, 2]) {
    const expected = version === 2 ? value : { ...value, k: Buffer.alloc(0) }
    const frame = encode(everyKind, version, expected)
    assert.equal(everyKind.decode(new Reader(frame), version), expected)
  }
})

test('a value that a version cannot carry is refused, unless it is the default or ignorable', () => {
  assert.throws(() => encode(everyKind, 0, { h: { x: 1 } }), /EveryKindRequest\.h in version 0/)
  encode(everyKind, 0, { h: { x: -1 } })
  encode(everyKind, 0, { h: {} })
  assert.throws(
    () => encode(initProducerIdRequest, 0, { producerId: 4 }),
    SchemaErrorNamed('not in'),
  )
  encode(initProducerIdRequest, 0, { producerId: -1 })
  encode(fetchRequest, 4, { sessionEpoch: 7 })
})

test('null is refused where the version has no null', () => {
  encode(metadataRequest, 1, { topics: null })
  assert.throws(() => encode(metadataRequest, 0, { topics: null }), SchemaErrorNamed('null'))
  assert.throws(() => encode(everyKind, 0, { e: null }), SchemaErrorNamed('EveryKindRequest.e'))
  const frame = Buffer.from('ffffffff', 'hex')
  assert.throws(() => metadataRequest.decode(new Reader(frame), 0), MalformedFrameNamed('null'))
})

test('numbers outside their type, and strings too long, are refused', () => {
  const bad = [
    { replicaId: 2 ** 31 },
    { minBytes: 0.5 },
    { isolationLevel: 200 },
    { maxWaitMs: NaN },
  ]
  for (const value of bad) {
    assert.throws(() => encode(fetchRequest, 11, value), SchemaErrorNamed('is not a valid int'))
  }
  const rackId = 'x'.repeat(0x8000)
  assert.throws(() => encode(fetchRequest, 11, { rackId }), SchemaErrorNamed('not a valid string'))
  assert.throws(() => encode(fetchRequest, 12, { rackId }), SchemaErrorNamed('not a valid string'))
})

test('a version that does not exist is refused', () => {
  for (const version of [-1, 14, 0.5]) {
    assert.throws(() => metadataRequest.decode(new Reader(Buffer.alloc(9)), version), /no version/)
    assert.throws(() => encode(metadataResponse, version, {}), SchemaErrorNamed('no version'))
  }
})

test('unknown tags are skipped', () => {
  const frame = Buffer.from(
    '0261 0262 03 05 03 aabbcc 8101 00 ffffffff0f 01 ff'.replaceAll(' ', ''),
    'hex',
  )
  const decoded = apiVersionsRequest.decode(new Reader(frame), 3)
  assert.is(decoded.clientSoftwareVersion, 'b')
})

test('a known tagged field must fill its announced size', () => {
  const frame = encode(everyKind, 2, { k: Buffer.from('k') })
  const at = frame.length - 4
  assert.is(frame.subarray(at).toString('hex'), '0102026b')
  const longer = Buffer.concat([frame.subarray(0, at), Buffer.from('0103026b00', 'hex')])
  assert.throws(() => everyKind.decode(new Reader(longer), 2), MalformedFrameNamed('should end'))
})

test('tagged fields are written in order of tag, defaults left out', () => {
  const frame = encode(everyKind, 2, { k: Buffer.from('k'), j: { y: [f.ZERO_UUID] } })
  const tail = `02 0102026b 03 12 02 ${'00'.repeat(16)} 00`.replaceAll(' ', '')
  assert.ok(frame.toString('hex').endsWith(tail), frame.toString('hex'))
  assert.ok(
    encode(everyKind, 2, { k: Buffer.alloc(0), j: { y: [] } })
      .toString('hex')
      .endsWith('00'),
  )
})

test('Long.MAX_VALUE goes through as INT64_MAX', () => {
  const topics = [{ partitions: [{ highWatermark: 1 }, { highWatermark: f.INT64_MAX }, {}] }]
  const decoded = fetchRequest.decode(new Reader(encode(fetchRequest, 18, { topics })), 18)
  assert.equal(
    decoded.topics[0].partitions.map(p => p.highWatermark),
    [1, f.INT64_MAX, f.INT64_MAX],
  )
})

test('bytes after the message are left to the caller', () => {
  const reader = new Reader(Buffer.from('ffffffffcafe', 'hex'))
  metadataRequest.decode(reader, 1)
  assert.is(reader.remaining, 2)
})

test('the types follow the table', () => {
  const decoded = metadataRequest.decode(new Reader(Buffer.from('ffffffff', 'hex')), 1)
  const topics: { topicId: string; name: string | null }[] | null = decoded.topics
  const flag: boolean = decoded.allowAutoTopicCreation
  // @ts-expect-error: null is possible
  const notNull: object[] = decoded.topics
  // @ts-expect-error: not a field
  const unknown = () => encode(metadataRequest, 1, { topicz: null })
  // @ts-expect-error: not a boolean
  const wrong = () => encode(metadataRequest, 4, { allowAutoTopicCreation: 'no' })
  assert.equal([topics, flag, notNull, typeof unknown, typeof wrong].length, 5)
})

function SchemaErrorNamed(text: string) {
  return (error: Error) => error instanceof SchemaError && error.message.includes(text)
}

function MalformedFrameNamed(text: string) {
  return (error: Error) => error instanceof MalformedFrame && error.message.includes(text)
}

test.run()
