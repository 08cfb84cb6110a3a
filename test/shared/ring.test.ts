import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ENTRY_PAYLOAD, ENTRY_TOKEN, entryBytes, KIND_APPEND } from '../../src/shared/entry.ts'
import { createSharedMemory } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import { pass } from '../crash/ring.ts'
import { Random } from '../lib/random.ts'

const test = suite('ring')

function ends(bytes = 1024): { producer: Ring; consumer: Ring } {
  const memory = createSharedMemory(bytes, 1024)
  return { producer: new Ring(memory, 'request'), consumer: new Ring(memory, 'request') }
}

test('an entry is seen once it is published, and its room is free once it is released', () => {
  const { producer, consumer } = ends()
  const at = producer.reserve(KIND_APPEND, 100)
  assert.is(consumer.next(), -1)
  producer.publish()
  assert.is(consumer.next(), at)
  assert.is(consumer.next(), -1)
  assert.is(producer.used, entryBytes(100))
  consumer.release()
  assert.is(producer.used, 0)
})

test('a full ring refuses and loses nothing', () => {
  const { producer, consumer } = ends()
  let count = 0
  while (producer.reserve(KIND_APPEND, 20) !== -1) count++
  assert.is(count, Math.floor(1024 / entryBytes(20)))
  producer.publish()
  for (let i = 0; i < count; i++) assert.is.not(consumer.next(), -1)
  assert.is(producer.reserve(KIND_APPEND, 20), -1, 'what is not released is not free')
  consumer.release()
  assert.is.not(producer.reserve(KIND_APPEND, 20), -1)
})

test('entries of every size come out in order and whole, across the end and past 2^32 bytes', () => {
  const { producer, consumer } = ends()
  const random = new Random(3)
  let sent = 0
  let received = 0
  for (let step = 0; step < 40_000; step++) {
    const size = random.below(producer.payloadBytesMax + 1)
    const at = producer.reserve(KIND_APPEND, size)
    if (at !== -1) {
      producer.words[(at >> 2) + ENTRY_TOKEN] = sent++
      producer.bytes.fill(sent & 0xff, at + 80, at + 80 + size)
      producer.publish()
    }
    if (at !== -1 && random.chance(0.5)) continue
    for (let next = consumer.next(); next !== -1; next = consumer.next()) {
      assert.is(consumer.words[(next >> 2) + ENTRY_TOKEN], received++)
      const bytes = consumer.words[(next >> 2) + ENTRY_PAYLOAD]!
      const content = consumer.bytes.subarray(next + 80, next + 80 + bytes)
      assert.ok(content.every(b => b === (received & 0xff)))
    }
    consumer.release()
  }
  assert.ok(sent > 10_000 && sent - received < 20)
})

test('the largest payload always fits into an empty ring, wherever its head stands', () => {
  for (let first = 0; first < 900; first += 8) {
    const { producer, consumer } = ends()
    const small = Math.min(first, producer.payloadBytesMax)
    producer.reserve(KIND_APPEND, small)
    producer.publish()
    consumer.next()
    consumer.release()
    assert.is.not(producer.reserve(KIND_APPEND, producer.payloadBytesMax), -1, `after ${small}`)
  }
})

test('two threads pass a million entries with stalls on both sides, none lost, changed or out of order', async () => {
  const { received, wrong } = await pass(createSharedMemory(64 * 1024, 1024), 1_000_000)
  assert.is(wrong, '')
  assert.is(received, 1_000_000)
})

test.run()
