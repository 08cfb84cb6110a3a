import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { INT64_MAX, INT64_MIN, isExact } from '../../src/protocol/int64.ts'
import {
  isUtf8Text,
  MalformedFrame,
  Reader,
  STRING_BYTES_MAX,
  ZERO_UUID,
} from '../../src/protocol/reader.ts'
import { REFERENCE_BYTES_MIN, SchemaError, Writer } from '../../src/protocol/writer.ts'
import { INT64_ENDS, varint } from '../lib/odd-batch.ts'

const test = suite('reader and writer')

const hex = (text: string) => new Reader(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const written = (writer: Writer) => Buffer.concat(writer.chunks()).toString('hex')
const malformed = (error: Error) => error instanceof MalformedFrame

test('integers are big-endian and signed', () => {
  const reader = hex('ff 8000 8000 80000000 80000000 ffffffffffffffff 7fffffffffffffff')
  assert.is(reader.int8(), -1)
  assert.is(reader.int16(), -0x8000)
  assert.is(reader.uint16(), 0x8000)
  assert.is(reader.int32(), -(2 ** 31))
  assert.is(reader.uint32(), 2 ** 31)
  assert.is(reader.int64(), -1)
  assert.is(reader.int64(), INT64_MAX)
  assert.is(reader.remaining, 0)
})

test('int64 keeps every safe integer and both extremes', () => {
  const check = (value: number) => {
    const writer = new Writer(64)
    writer.int64(value)
    const buffer = Buffer.concat(writer.chunks())
    assert.is(buffer.readBigInt64BE(), value >= INT64_MAX ? 2n ** 63n - 1n : BigInt(value))
    assert.is(new Reader(buffer).int64(), value)
  }
  fc.assert(fc.property(fc.maxSafeInteger(), check))
  for (const value of [0, -1, 2 ** 32, -(2 ** 32), 2 ** 32 - 1, INT64_MAX, -INT64_MAX]) check(value)
  assert.throws(
    () => new Writer(64).int64(-(2 ** 64)),
    (e: Error) => e instanceof SchemaError,
  )
})

test('an int64 that a number does not hold exactly is read as the end that it lies towards', () => {
  for (const value of INT64_ENDS) {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64BE(value)
    const read = new Reader(buffer).int64()
    const isKept = value >= -(2n ** 53n) && value < 2n ** 53n
    assert.is(isExact(read), isKept, String(value))
    assert.is(read, isKept ? Number(value) : value < 0n ? INT64_MIN : INT64_MAX)
    const writer = new Writer(64)
    writer.int64(read)
    assert.is(written(writer).length, 16)
  }
  for (const value of [
    2 ** 53,
    2 ** 62,
    -(2 ** 53) - 2,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ]) {
    assert.throws(
      () => new Writer(64).int64(value),
      (e: Error) => e instanceof SchemaError,
      String(value),
    )
  }
})

test('text that is no UTF-8 is read as far as it can be written again, and can be told', () => {
  const check = (octets: Buffer) => {
    const text = new Reader(octets).text(octets.length)
    assert.is(isUtf8Text(text), isUtf8(octets))
    if (isUtf8Text(text)) assert.equal(Buffer.from(text), octets)
    new Writer(64).string(text)
    new Writer(64).compactString(text)
  }
  const octets = fc.uint8Array({ maxLength: STRING_BYTES_MAX, size: 'max' })
  fc.assert(fc.property(octets, o => check(Buffer.from(o))))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => check(Buffer.from(text))))
  for (const byte of [0x61, 0x80, 0xff, 0xe2]) check(Buffer.alloc(STRING_BYTES_MAX, byte))
})

test('varints end after 5 and 10 bytes', () => {
  assert.is(hex('ffffffff0f').uvarint(), 0xffffffff)
  assert.is(hex('ffffffff0f').varint(), -(2 ** 31))
  assert.is(hex('feffffff0f').varint(), 2 ** 31 - 1)
  assert.is(hex('01').varint(), -1)
  assert.is(hex('01').varlong(), -1)
  assert.is(hex('80808080 8001').varlong(), 2 ** 34)
  assert.is(hex('feffffff ffffffff ff01').varlong(), INT64_MAX)
  for (const text of ['ffffffff10', 'ffffffffff', '8080808080', '80', '']) {
    assert.throws(() => hex(text).uvarint(), malformed, text)
  }
  for (const text of ['ffffffffffffffffff02', 'ffffffffffffffffffff01', '8080', '']) {
    assert.throws(() => hex(text).varlong(), malformed, text)
  }
})

test('a varlong is read exactly, or as the end that it lies towards', () => {
  const check = (value: bigint) => {
    const reader = new Reader(varint(value))
    const isKept = value >= -(2n ** 53n) && value < 2n ** 53n
    assert.is(reader.varlong(), isKept ? Number(value) : value < 0n ? INT64_MIN : INT64_MAX)
    assert.is(reader.remaining, 0)
    assert.is(new Reader(varint(value)).bigVarlong(), value)
  }
  for (const end of INT64_ENDS) check(end)
  for (let bits = 0n; bits < 63n; bits++) for (const off of [-1n, 0n, 1n]) check((1n << bits) + off)
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), check))
})

test('uvarint writes what uvarint reads', () => {
  const check = (value: number) => {
    const writer = new Writer(64)
    writer.uvarint(value)
    assert.is(hex(written(writer)).uvarint(), value)
  }
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), check))
})

test('a uuid is its 22 base64url characters', () => {
  const reader = hex('00'.repeat(16) + '000102030405060708090a0b0c0d0e0f'.repeat(2))
  assert.is(reader.uuid(), ZERO_UUID)
  assert.is(reader.uuid(), 'AAECAwQFBgcICQoLDA0ODw')
  assert.is(reader.uuid(), 'AAECAwQFBgcICQoLDA0ODw', 'from the cache too')
  const bad = ['', 'A', `${ZERO_UUID}A`, 'AAECAwQFBgcICQoLDA0OD!', 'AAECAwQFBgcICQoLDA0ODx']
  for (const value of [...bad, 'AAECAwQFBgcICQoLDA0ODĀ']) {
    assert.throws(
      () => new Writer(64).uuid(value),
      (e: Error) => e instanceof SchemaError,
      value,
    )
  }
})

test('strings come back whatever they hold, interned or not', () => {
  const check = (texts: string[]) => {
    const writer = new Writer(64)
    for (const text of texts) {
      writer.string(text)
      writer.compactString(text)
    }
    const reader = hex(written(writer))
    for (const text of texts) {
      assert.is(reader.text(reader.length16()), text)
      assert.is(reader.text(reader.compactLength()), text)
    }
  }
  const text = fc.string({ unit: 'grapheme', maxLength: 200 })
  fc.assert(fc.property(fc.array(text, { maxLength: 5 }), check))
  check(['', 'orders', 'orders', 'a'.repeat(64), 'a'.repeat(65), 'ä'.repeat(64), '\u0000'])
})

test('names that fall on the same slot of the intern cache do not mix', () => {
  const writer = new Writer()
  for (let i = 0; i < 5000; i++) writer.string(`topic-${i}`)
  const frame = Buffer.concat(writer.chunks())
  for (let pass = 0; pass < 2; pass++) {
    const reader = new Reader(frame)
    for (let i = 0; i < 5000; i++) assert.is(reader.text(reader.length16()), `topic-${i}`)
  }
})

test('a reader stays between start and end', () => {
  const buffer = Buffer.from('0102030405', 'hex')
  const reader = new Reader(buffer, 1, 3)
  assert.is(reader.remaining, 2)
  assert.throws(() => reader.int32('x'), /x at byte 1: 4 bytes needed, 2 left/)
  assert.is(reader.int16(), 0x0203)
  assert.throws(() => reader.int8(), malformed)
  assert.throws(() => new Reader(buffer, 0, 6), /no range/)
  assert.throws(() => new Reader(buffer, 3, 2), /no range/)
})

test('bytes are a copy, view is not', () => {
  const frame = Buffer.from('0102', 'hex')
  const copy = new Reader(frame).bytes(2)
  const view = new Reader(frame).view(2)
  frame.fill(9)
  assert.is(copy.toString('hex'), '0102')
  assert.is(view.toString('hex'), '0909')
})

test('short records are copied, long ones kept by reference, in order', () => {
  const writer = new Writer(256)
  const long = Buffer.alloc(REFERENCE_BYTES_MIN, 'L')
  const short = Buffer.from('short')
  writer.int8(1)
  writer.records([short, long, short])
  writer.compactRecords(long)
  writer.int8(2)
  assert.is(writer.chunks().filter(chunk => chunk === long).length, 2)
  assert.is(writer.byteLength, 1 + 4 + long.length + 10 + 2 + long.length + 1)
  const all = Buffer.concat(writer.chunks())
  assert.is(all.length, writer.byteLength)
  assert.is(all.readInt32BE(1), long.length + 10)
  assert.is(all.at(-1), 2)
})

test('a frame length counts referenced records and is right across slabs', () => {
  const writer = new Writer(64)
  const records = Buffer.alloc(5000, 1)
  const lengths: number[] = []
  for (let i = 0; i < 20; i++) {
    const mark = writer.startFrame()
    for (let j = 0; j < i; j++) writer.string('some text')
    if (i % 3 === 0) writer.records(records)
    lengths.push(writer.endFrame(mark))
  }
  const reader = new Reader(Buffer.concat(writer.chunks()))
  for (const [i, length] of lengths.entries()) {
    assert.is(length, i * 11 + (i % 3 === 0 ? 5004 : 0))
    assert.is(reader.int32(), length)
    reader.position += length
  }
  assert.is(reader.remaining, 0)
})

test('chunks stay as they are when the writer goes on', () => {
  const writer = new Writer(64)
  writer.string('first')
  const first = Buffer.concat(writer.chunks())
  const chunks = writer.chunks()
  writer.clear()
  assert.is(writer.byteLength, 0)
  for (let i = 0; i < 50; i++) writer.string('second')
  assert.equal(Buffer.concat(chunks), first)
  assert.is(writer.byteLength, 400)
})

test('many small answers share one slab', () => {
  const writer = new Writer()
  for (let i = 0; i < 100; i++) {
    writer.int64(i)
    writer.chunks()
  }
  assert.is(new Set(writer.chunks().map(chunk => chunk.buffer)).size, 1)
})

test('an aborted frame leaves no trace, whatever it wrote', () => {
  for (const [before, inside] of [
    [0, 0],
    [1, 3],
    [9, 50],
  ]) {
    const writer = new Writer(64)
    for (let i = 0; i < before; i++) writer.int64(i)
    const expected = written(writer)
    const mark = writer.startFrame()
    for (let i = 0; i < inside; i++) writer.int64(-1)
    writer.records(Buffer.alloc(REFERENCE_BYTES_MIN))
    writer.startTagged().int8(1)
    writer.int8(1)
    writer.abortFrame(mark)
    assert.is(writer.byteLength, before * 8)
    writer.startTagged().int8(7)
    writer.endTagged(5)
    assert.is(written(writer), `${expected}050107`)
  }
})

test('frames do not nest and must be open to end', () => {
  const writer = new Writer()
  assert.throws(() => writer.endFrame(0), /no frame is open/)
  writer.startFrame()
  assert.throws(() => writer.startFrame(), /already open/)
})

test.run()
