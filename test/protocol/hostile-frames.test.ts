import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { metadataRequest } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsRequest } from '../../src/protocol/messages/18-api-versions.ts'
import { ELEMENTS_MAX, MalformedFrame, Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { allMessages, versionsOf } from './all-messages.ts'
import { arbitraryMessage } from './arbitrary-message.ts'

const RUNS_PER_VERSION = 3

/** Notes where lengths and counts stand, so that each of them can be forged. */
class SpyingReader extends Reader {
  readonly lengths: { start: number; end: number }[] = []

  #note<T>(read: () => T): T {
    const start = this.position
    const value = read()
    this.lengths.push({ start, end: this.position })
    return value
  }

  override length16(field?: string): number {
    return this.#note(() => super.length16(field))
  }

  override length32(field?: string): number {
    return this.#note(() => super.length32(field))
  }

  override compactLength(field?: string): number {
    return this.#note(() => super.compactLength(field))
  }

  override tagCount(field?: string): number {
    return this.#note(() => super.tagCount(field))
  }

  override tagEnd(field?: string): number {
    const start = this.position
    const end = super.tagEnd(field)
    this.lengths.push({ start, end: this.position })
    return end
  }
}

const forgedVarints = ['ffffffff07', 'ffffffff0f', 'ffffff7f', 'ffffffffffffffffffff01']
const forgedInt32s = ['7fffffff', 'fffffffe', '80000000']
const forgedInt16s = ['7fff', 'fffe', '8000']

function encode(message: Message, version: number, value: Record<string, unknown>): Buffer {
  const writer = new Writer(256)
  message.encode(writer, version, value)
  return Buffer.concat(writer.chunks())
}

function rejects(message: Message, version: number, frame: Buffer, what: string): void {
  try {
    message.decode(new Reader(frame), version)
  } catch (error) {
    assert.instance(error, MalformedFrame, `${what}: ${error}`)
    return
  }
  assert.unreachable(`${message.name} v${version} accepted ${what}`)
}

function forge(message: Message, version: number, frame: Buffer): void {
  const spy = new SpyingReader(frame)
  message.decode(spy, version)
  const [wide, narrow] = message.isFlexible(version)
    ? [forgedVarints, forgedVarints]
    : [forgedInt32s, forgedInt16s]
  for (const { start, end } of spy.lengths) {
    for (const hex of end - start === 2 ? narrow : wide) {
      const forged = Buffer.concat([
        frame.subarray(0, start),
        Buffer.from(hex, 'hex'),
        frame.subarray(end),
      ])
      rejects(message, version, forged, `length ${hex} at ${start}`)
    }
  }
}

const test = suite('hostile frames')

for (const message of await allMessages()) {
  test(`${message.name} cut short at any byte is a MalformedFrame`, () => {
    for (const version of versionsOf(message)) {
      const values = arbitraryMessage(message, version)
      const cutEverywhere = (value: Record<string, unknown>) => {
        const frame = encode(message, version, value)
        const step = 1 + Math.floor(frame.length / 500)
        for (let length = 0; length < frame.length; length += step) {
          rejects(message, version, frame.subarray(0, length), `${length} of ${frame.length} bytes`)
        }
      }
      fc.assert(fc.property(values, cutEverywhere), { numRuns: RUNS_PER_VERSION })
    }
  })

  test(`${message.name} with any length or count forged is a MalformedFrame`, () => {
    for (const version of versionsOf(message)) {
      const values = arbitraryMessage(message, version)
      const forgeAll = (value: Record<string, unknown>) =>
        forge(message, version, encode(message, version, value))
      fc.assert(fc.property(values, forgeAll), { numRuns: RUNS_PER_VERSION })
    }
  })

  test(`${message.name} made of random bytes decodes or is a MalformedFrame`, () => {
    for (const version of versionsOf(message)) {
      const decodes = (octets: Uint8Array) => {
        try {
          message.decode(new Reader(Buffer.from(octets)), version)
        } catch (error) {
          assert.instance(error, MalformedFrame)
        }
      }
      fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodes), { numRuns: 20 })
    }
  })
}

test('a count that the bytes left could not hold costs no memory', () => {
  const frame = Buffer.from('7fffffff00000000', 'hex')
  const before = process.memoryUsage()
  for (let i = 0; i < 10_000; i++) {
    assert.throws(
      () => metadataRequest.decode(new Reader(frame), 1),
      (e: Error) =>
        /MetadataRequest\.topics at byte 4: length 2147483647, 4 bytes left/.test(e.message),
    )
  }
  const after = process.memoryUsage()
  assert.ok(after.arrayBuffers - before.arrayBuffers < 1 << 20)
  assert.ok(after.rss - before.rss < 100 << 20, `${after.rss - before.rss} bytes more`)
})

test('a count is held against the least size of its elements', () => {
  const frame = Buffer.from(`00000004${'00'.repeat(7)}`, 'hex')
  const decode = () => metadataRequest.decode(new Reader(frame), 1)
  assert.throws(decode, /topics at byte 4: 4 elements announced, 7 bytes left/)
})

test('tagged-field bombs: neither their number nor their size is believed', () => {
  const head = '02610261'
  for (const tags of ['ffffffff0f', '05', '0100ffffffff0f', '01000a00', '02ff010002']) {
    rejects(apiVersionsRequest, 3, Buffer.from(head + tags, 'hex'), `tag section ${tags}`)
  }
})

test('a frame full of tiny elements stops at ELEMENTS_MAX', () => {
  const frame = Buffer.alloc(4 + 2 * (ELEMENTS_MAX + 1))
  frame.writeInt32BE(ELEMENTS_MAX + 1)
  assert.throws(() => metadataRequest.decode(new Reader(frame), 1), /more than 200000 elements/)
  frame.writeInt32BE(ELEMENTS_MAX)
  assert.is(metadataRequest.decode(new Reader(frame), 1).topics?.length, ELEMENTS_MAX)
})

test.run()
