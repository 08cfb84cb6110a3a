import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { allMessages, versionsOf } from './all-messages.ts'
import { arbitraryMessage } from './arbitrary-message.ts'

const RUNS_PER_VERSION = 15

const test = suite('round trip')

function roundTrip(message: Message, version: number, value: Record<string, unknown>): void {
  const writer = new Writer(256)
  message.encode(writer, version, value)
  const reader = new Reader(Buffer.concat(writer.chunks()))
  assert.equal(message.decode(reader, version), value)
  assert.is(reader.remaining, 0, 'all bytes are read')
  inPieces(message, version, value, reader.buffer)
}

/** Long messages are encoded and decoded a piece at a time: the same bytes, the same value. */
function inPieces(
  message: Message,
  version: number,
  value: Record<string, unknown>,
  bytes: Buffer,
) {
  const writer = new Writer(256)
  runToEnd(message.encodeInPieces(writer, version, value))
  assert.equal(Buffer.concat(writer.chunks()), bytes)
  assert.equal(runToEnd(message.decodeInPieces(new Reader(bytes), version)), value)
}

function runToEnd<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

for (const message of await allMessages()) {
  test(`${message.name} comes back as it was sent, in every version`, () => {
    for (const version of versionsOf(message)) {
      const values = arbitraryMessage(message, version)
      fc.assert(
        fc.property(values, value => roundTrip(message, version, value)),
        { numRuns: RUNS_PER_VERSION },
      )
    }
  })

  test(`${message.name} with every field omitted carries the defaults, in every version`, () => {
    for (const version of versionsOf(message)) {
      const writer = new Writer(256)
      message.encode(writer, version, {})
      const decoded = message.decode(new Reader(Buffer.concat(writer.chunks())), version)
      assert.equal(Object.keys(decoded), Object.keys(message.fields))
      for (const [name, field] of Object.entries(message.fields)) {
        if (field.kind !== 'struct') assert.equal(decoded[name], field.default, name)
      }
    }
  })
}

test.run()
