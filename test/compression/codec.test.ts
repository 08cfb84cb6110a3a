import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { compressFrameSync, compressSync as lz4Block } from 'lz4-napi'
import { compressSync as snappyRaw } from 'snappy'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compress, DecompressionError, decompress } from '../../src/compression/codec.ts'
import { zstdOfNode } from '../../src/compression/zstd.ts'

const test = suite('compression')

const CODECS = [1, 2, 3, 4]
const MIB = 1024 * 1024
const SEED = 20261123

async function refused(promise: Promise<unknown>, message?: RegExp): Promise<void> {
  const error = await promise.then(
    () => null,
    (error: unknown) => error,
  )
  assert.instance(error, DecompressionError)
  if (message) assert.match((error as Error).message, message)
}

const content = fc.oneof(
  fc.uint8Array({ maxLength: 5_000 }),
  // Repetitive, and over one snappy or LZ4 block.
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 200_000 }))
    .map(([piece, length]) => Buffer.alloc(length, piece)),
)

for (const codec of CODECS) {
  test(`codec ${codec} gives back what it was given, into exactly enough room`, async () => {
    const check = async (bytes: Uint8Array) => {
      const packed = await compress(codec, bytes)
      const unpacked = await decompress(codec, packed, bytes.length)
      assert.is(Buffer.compare(unpacked, bytes), 0)
    }
    await fc.assert(fc.asyncProperty(content, check), { numRuns: 60, seed: SEED })
  })

  test(`codec ${codec} refuses one byte more than allowed`, async () => {
    for (const bytes of [Buffer.alloc(300_000, 'ab'), Buffer.from('short'), Buffer.from('x')]) {
      const packed = await compress(codec, bytes)
      await refused(decompress(codec, packed, bytes.length - 1))
    }
  })

  test(`codec ${codec} survives any damage: right content or a DecompressionError`, async () => {
    const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, i) => (i * i) & 0x3f))
    const packed = await compress(codec, bytes)
    const damage = fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1 })
    const check = async (changes: [number, number][], cut: number) => {
      const hostile = Buffer.from(packed)
      for (const [at, byte] of changes) hostile[at] = byte
      try {
        const unpacked = await decompress(codec, hostile.subarray(0, cut), 10_000)
        assert.ok(unpacked.length <= 10_000)
      } catch (error) {
        if (!(error instanceof DecompressionError)) throw error
      }
    }
    const cut = fc.oneof(fc.constant(packed.length), fc.nat(packed.length))
    await fc.assert(fc.asyncProperty(damage, cut, check), { numRuns: 300, seed: SEED })
  })

  test(`codec ${codec} refuses noise and nothing at all`, async () => {
    await refused(decompress(codec, Buffer.from('this is no compressed content'), MIB))
    await refused(decompress(codec, Buffer.alloc(0), MIB))
  })
}

test('a codec that does not exist is a mistake of the caller', async () => {
  for (const codec of [0, 5, -1]) {
    const error = await compress(codec, Buffer.alloc(1)).catch((error: unknown) => error)
    assert.instance(error, RangeError)
  }
})

test('a bomb in any codec stops without its gigabyte being allocated', async () => {
  const zeros = Buffer.alloc(64 * MIB)
  const before = process.memoryUsage().rss
  const bombs: [number, Buffer][] = [
    [1, gzipSync(zeros)],
    [2, snappyRaw(zeros)],
    [2, await compress(2, zeros)],
    [3, compressFrameSync(zeros)],
    [4, await compress(4, zeros)],
  ]
  for (const [codec, bomb] of bombs)
    await refused(decompress(codec, bomb, MIB), /allowed|more than/)
  assert.ok(process.memoryUsage().rss - before < 400 * MIB)
})

test('announced sizes are refused before anything is allocated', async () => {
  // 4 GiB - 1 as the length of a raw snappy block, 2^60 as the content size of a zstd frame.
  await refused(decompress(2, Buffer.from('ffffffff0f00', 'hex'), MIB), /4294967295/)
  await refused(decompress(4, Buffer.from('28b52ffde00000000000000010010000', 'hex'), MIB))
})

test('raw snappy, as librdkafka writes it, is read like the framed kind of Java', async () => {
  const bytes = Buffer.alloc(100_000, 'raw snappy ')
  assert.equal(await decompress(2, snappyRaw(bytes), bytes.length), bytes)
  const framed = await compress(2, bytes)
  assert.is(framed.subarray(0, 8).toString('latin1'), '\x82SNAPPY\0')
  assert.equal(await decompress(2, framed, bytes.length), bytes)
})

/** An LZ4 frame made by hand: 64 KiB blocks, header checksum 0, which is wrong, as old Kafka clients had it. */
function lz4Frame(flags: number, blocks: readonly Buffer[], checksum = Buffer.alloc(0)): Buffer {
  const parts: Buffer[] = [Buffer.from([0x04, 0x22, 0x4d, 0x18, flags, 0x40, 0x00])]
  for (const block of blocks) {
    const size = Buffer.alloc(4)
    size.writeUInt32LE(block.length)
    parts.push(size, block, checksum)
  }
  return Buffer.concat([...parts, Buffer.alloc(4)])
}

test('LZ4 frames with a wrong header checksum, block checksums and linked blocks are read', async () => {
  const first = Buffer.from('a piece of text that the second block repeats, a piece of text')
  const second = Buffer.from('that the second block repeats, a piece of text, and more')
  const both = Buffer.concat([first, second])
  const block = (bytes: Buffer, dict?: Buffer) => lz4Block(bytes, dict).subarray(4)
  const independent = [block(first), block(second)]
  const linked = [block(first), block(second, first)]
  assert.ok(linked[1].length < independent[1].length)
  assert.equal(await decompress(3, lz4Frame(0x60, independent), both.length), both)
  assert.equal(await decompress(3, lz4Frame(0x70, independent, Buffer.alloc(4)), 200), both)
  assert.equal(await decompress(3, lz4Frame(0x40, linked), both.length), both)
})

test('a zstd frame of many blocks without a content size needs no more room than it has', async () => {
  // Header of a frame with a 1 MiB window, two RLE blocks of 100 bytes and a stored one of 3.
  const block = (last: number, type: number, size: number) => {
    const header = Buffer.alloc(3)
    header.writeUIntLE(last | (type << 1) | (size << 3), 0, 3)
    return header
  }
  const frame = Buffer.concat([
    Buffer.from('28b52ffd0050', 'hex'),
    ...[block(0, 1, 100), Buffer.from('a'), block(0, 1, 100), Buffer.from('b')],
    ...[block(1, 0, 3), Buffer.from('end')],
  ])
  const expected = Buffer.from(`${'a'.repeat(100)}${'b'.repeat(100)}end`)
  assert.equal(await decompress(4, frame, 203), expected)
  await refused(decompress(4, frame, 202))
})

test("Node's own zstd is called with the bound, and its refusal is a DecompressionError", () => {
  const calls: number[] = []
  // One stored block in a frame without a content size; its content is what follows nine bytes.
  const frame = (text: string): Buffer => {
    const header = Buffer.from('28b52ffd0050000000', 'hex')
    header.writeUIntLE(1 | (text.length << 3), 6, 3)
    return Buffer.concat([header, Buffer.from(text)])
  }
  const codec = zstdOfNode({
    zstdCompressSync: bytes => Buffer.from(bytes),
    zstdDecompressSync(bytes, { maxOutputLength }) {
      calls.push(maxOutputLength)
      const content = Buffer.from(bytes.subarray(9))
      if (content.length > maxOutputLength) {
        throw Object.assign(new Error('too large'), { code: 'ERR_BUFFER_TOO_LARGE' })
      }
      return content
    },
  })
  assert.equal(codec.decompress(frame('abc'), 3), Buffer.from('abc'))
  assert.throws(
    () => codec.decompress(frame('abc'), 2),
    (error: Error) => error instanceof DecompressionError,
  )
  assert.equal(calls, [3, 2])
  const several = Buffer.concat([frame('abc'), frame(''), frame('de')])
  assert.equal(codec.decompress(several, 5), Buffer.from('abcde'))
  assert.throws(
    () => codec.decompress(several, 4),
    (error: Error) => error instanceof DecompressionError,
  )
})

/** A frame that decoders pass over: zstd and LZ4 have the same. */
function skippable(bytes: number): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(0x184d2a50 + (bytes & 0xf), 0)
  header.writeUInt32LE(bytes, 4)
  return Buffer.concat([header, Buffer.alloc(bytes, 0x28)])
}

/** zstd as a stream writes it: without a content size. */
const zstdStream = (text: string): Buffer => {
  const header = Buffer.from('28b52ffd0050000000', 'hex')
  header.writeUIntLE(1 | (Buffer.byteLength(text) << 3), 6, 3)
  return Buffer.concat([header, Buffer.from(text)])
}

const SEQUENCES: Record<string, { codec: number; between: readonly Buffer[]; more: Buffer[] }> = {
  'gzip members': { codec: 1, between: [], more: [gzipSync('stored', { level: 0 })] },
  'streams of the xerial library': { codec: 2, between: [], more: [] },
  'LZ4 frames': {
    codec: 3,
    between: [skippable(0), skippable(17)],
    // With a content checksum, which is four bytes behind the end mark.
    more: [
      Buffer.concat([
        lz4Frame(0x64, [lz4Block(Buffer.from('stored')).subarray(4)]),
        Buffer.alloc(4),
      ]),
    ],
  },
  'zstd frames': {
    codec: 4,
    between: [skippable(0), skippable(300)],
    more: [zstdStream('stored')],
  },
}

for (const [name, { codec, between, more }] of Object.entries(SEQUENCES)) {
  test(`${name} one behind the other are one content`, async () => {
    const pieces = [
      Buffer.alloc(100_000, 'piece '),
      Buffer.alloc(0),
      Buffer.from('x'),
      Buffer.alloc(70_000, 'abc'),
    ]
    const packed = await Promise.all(pieces.map(piece => compress(codec, piece)))
    const all = packed.flatMap(one => [...between, one])
    const payload = Buffer.concat([...all, ...more, ...between])
    const expected = Buffer.concat([...pieces, ...more.map(() => Buffer.from('stored'))])
    assert.equal(await decompress(codec, payload, expected.length), expected)
    await refused(decompress(codec, payload, expected.length - 1))
  })

  test(`${name} amount to no larger bomb together`, async () => {
    const piece = await compress(codec, Buffer.alloc(MIB))
    const payload = Buffer.concat(new Array(200).fill(piece))
    await refused(decompress(codec, payload, 2 * MIB), /allowed|more than/)
  })
}

test('what is no frame behind a frame is refused, and so are more frames than anybody writes', async () => {
  for (const codec of [3, 4]) {
    const packed = await compress(codec, Buffer.from('content'))
    await refused(decompress(codec, Buffer.concat([packed, Buffer.from('garbage')]), MIB))
    await refused(decompress(codec, Buffer.concat([packed, skippable(9).subarray(0, 12)]), MIB))
    assert.is((await decompress(codec, skippable(9), MIB)).length, 0)
  }
  const empty = await compress(4, Buffer.alloc(0))
  await refused(decompress(4, Buffer.concat(new Array(2_000).fill(empty)), MIB), /frames/)
})

test.run()
