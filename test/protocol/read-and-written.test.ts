import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeRecord, encodeRecord } from '../../src/groups/records.ts'
import * as groupRecords from '../../src/protocol/group-records.ts'
import { MalformedFrame, Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { INT64_ENDS } from '../lib/odd-batch.ts'
import { allMessages, versionsOf } from './all-messages.ts'
import { arbitraryMessage } from './arbitrary-message.ts'

const RUNS_PER_VERSION = 40

/**
 * No encoder throws on what a decoder has let in: what a client may send, or a file may hold, can be answered and kept. The bytes of
 * a message are changed at random, and where the decoder still takes them, what it gives is encoded and read again.
 */
const test = suite('what is read can be written')

/** Changes of the bytes of a message: where, and to what. */
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      fc.constantFrom(...INT64_ENDS).map(end => {
        const bytes = Buffer.alloc(8)
        bytes.writeBigInt64BE(end)
        return bytes
      }),
      fc.constant(Buffer.alloc(40, 0xff)),
    ),
  }),
  { maxLength: 3 },
)

type Changes = readonly { readonly at: number; readonly bytes: Uint8Array }[]

function changed(original: Buffer, all: Changes): Buffer {
  const bytes = Buffer.from(original)
  for (const change of all) bytes.set(change.bytes.subarray(0, bytes.length), room(bytes, change))
  return bytes
}

const room = (bytes: Buffer, { at, bytes: put }: Changes[number]): number =>
  Math.floor(at * Math.max(1, bytes.length - put.length + 1)) %
  Math.max(1, bytes.length - put.length + 1)

const encoded = (message: Message, version: number, value: Record<string, unknown>): Buffer => {
  const writer = new Writer(256)
  message.encode(writer, version, value)
  return Buffer.concat(writer.chunks())
}

/** Text that was no UTF-8 is marked until it is written. */
const written = (value: unknown): unknown => {
  if (typeof value === 'string') return value.toWellFormed()
  if (Array.isArray(value)) return value.map(written)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, written(inner)]))
}

/** What the decoder gives, or null where it refuses. */
function decoded<T>(decode: () => T): T | null {
  try {
    return decode()
  } catch (error) {
    if (error instanceof MalformedFrame) return null
    throw error
  }
}

function check(message: Message, version: number, value: Record<string, unknown>, all: Changes) {
  const bytes = changed(encoded(message, version, value), all)
  const read = decoded(() => message.decode(new Reader(bytes), version))
  if (read === null) return
  const again = encoded(message, version, read)
  assert.equal(message.decode(new Reader(again), version), written(read))
}

for (const message of await allMessages()) {
  test(`${message.name}, in every version`, () => {
    for (const version of versionsOf(message)) {
      const values = arbitraryMessage(message, version)
      fc.assert(
        fc.property(values, changes, (value, all) => check(message, version, value, all)),
        { numRuns: RUNS_PER_VERSION },
      )
    }
  })
}

const records = Object.values(groupRecords) as unknown as Message[]
const keys = records.filter(({ name }) => name.endsWith('Key'))

for (const key of keys) {
  const value = records.find(({ name }) => name === key.name.replace(/Key$/, 'Value'))!
  test(`${key.name} and ${value.name}, as records of groups`, () => {
    const prefixed = (prefix: number, body: Buffer): Buffer => {
      const front = Buffer.alloc(2)
      front.writeInt16BE(prefix)
      return Buffer.concat([front, body])
    }
    for (const version of versionsOf(value)) {
      const property = fc.property(
        ...[arbitraryMessage(key, 0), arbitraryMessage(value, version), changes, changes],
        (keyFields, valueFields, keyChanges, valueChanges) => {
          const type = key.apiKey
          const keyBytes = changed(
            prefixed(type, encoded(key, 0, keyFields as never)),
            keyChanges as Changes,
          )
          const valueBytes = changed(
            prefixed(version, encoded(value, version, valueFields as never)),
            valueChanges as Changes,
          )
          const read = decoded(() => decodeRecord(keyBytes, valueBytes))
          if (read === null) return
          const again = encodeRecord(read)
          assert.equal(decodeRecord(again.key, again.value), written(read))
        },
      )
      fc.assert(property, { numRuns: 500 })
    }
  })
}

test.run()
