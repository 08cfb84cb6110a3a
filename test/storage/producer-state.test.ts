import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { boundProducers } from '../../src/storage/producer-bounds.ts'
import { decodeProducers, encodeProducers } from '../../src/storage/producer-snapshot.ts'
import { ProducerState, type SequenceVerdict } from '../../src/storage/producer-state.ts'
import { plainBatch } from '../lib/batches.ts'

const PID = 7
const SEQUENCE_MAX = 0x7fffffff
const test = suite('producer state')

interface Sent {
  readonly sequence: number
  readonly offset?: number
  readonly records?: number
  readonly epoch?: number
  readonly timestamp?: number
  readonly pid?: number
}

function sent(of: Sent): Buffer {
  const { sequence, records, epoch = 0, timestamp, pid = PID } = of
  const plain = { id: 1, producerId: pid, producerEpoch: epoch, sequence }
  const bytes = plainBatch({ ...plain, records: records ?? 1, timestamp: timestamp ?? 1_000 })
  batch.assign(bytes, of.offset ?? 0, 0)
  return bytes
}

/** A state that has seen batches of two records each: sequences 0, 2, 4, ... at offsets 100, 102, ... */
function after(batches: number): ProducerState {
  const state = new ProducerState()
  for (let i = 0; i < batches; i++) {
    state.update(sent({ sequence: 2 * i, offset: 100 + 2 * i, records: 2, timestamp: 1_000 + i }))
  }
  return state
}

const code = (verdict: SequenceVerdict): number | string =>
  verdict.kind === 'error' ? verdict.code : verdict.kind

const { OUT_OF_ORDER_SEQUENCE_NUMBER: OUT_OF_ORDER, INVALID_PRODUCER_EPOCH: FENCED } = ErrorCode

test('a retry of any of the last five batches is answered with its first offset and time', () => {
  const state = after(9)
  for (let i = 4; i < 9; i++) {
    const verdict = state.check(sent({ sequence: 2 * i, records: 2 }))
    assert.equal(verdict, { kind: 'duplicate', baseOffset: 100 + 2 * i, timestamp: 1_000 + i })
  }
})

test('a retry of the sixth last batch is out of order', () => {
  assert.is(code(after(9).check(sent({ sequence: 6, records: 2 }))), OUT_OF_ORDER)
})

test('a batch that covers only part of a known one is no duplicate of it', () => {
  assert.is(code(after(3).check(sent({ sequence: 4, records: 1 }))), OUT_OF_ORDER)
  assert.is(code(after(3).check(sent({ sequence: 2, records: 4 }))), OUT_OF_ORDER)
})

test('the next sequence is appended, a gap is out of order', () => {
  assert.is(code(after(3).check(sent({ sequence: 6 }))), 'append')
  assert.is(code(after(3).check(sent({ sequence: 7 }))), OUT_OF_ORDER)
})

test('an older epoch is fenced, whatever its sequence', () => {
  const state = new ProducerState()
  state.update(sent({ sequence: 0, epoch: 3 }))
  assert.is(code(state.check(sent({ sequence: 0, epoch: 2 }))), FENCED)
  assert.is(code(state.check(sent({ sequence: 1, epoch: 2 }))), FENCED)
})

test('a newer epoch starts at sequence 0 and forgets the batches of the older one', () => {
  const state = after(3)
  assert.is(code(state.check(sent({ sequence: 6, epoch: 1 }))), OUT_OF_ORDER)
  assert.is(code(state.check(sent({ sequence: 0, epoch: 1 }))), 'append')
  state.update(sent({ sequence: 0, epoch: 1, offset: 106 }))
  assert.is(code(state.check(sent({ sequence: 1, epoch: 1 }))), 'append')
  assert.is(code(state.check(sent({ sequence: 2, epoch: 1, records: 2 }))), OUT_OF_ORDER)
})

test('an unknown producer may start anywhere: its earlier batches may have expired', () => {
  assert.is(code(new ProducerState().check(sent({ sequence: 12_345 }))), 'append')
  assert.is(code(after(3).check(sent({ sequence: 12_345, pid: PID + 1 }))), 'append')
})

test('after sequence 2^31 - 1 comes 0', () => {
  const state = new ProducerState()
  state.update(sent({ sequence: SEQUENCE_MAX, offset: 5 }))
  assert.is(code(state.check(sent({ sequence: 0 }))), 'append')
  assert.is(code(state.check(sent({ sequence: 1 }))), OUT_OF_ORDER)
})

test('sequences wrap inside one batch, whose retry is known and whose successor fits', () => {
  const state = new ProducerState()
  const wrapping = { sequence: SEQUENCE_MAX - 1, records: 5 } // ..., 2^31 - 1, 0, 1, 2
  state.update(sent({ ...wrapping, offset: 40 }))
  const verdict = state.check(sent(wrapping))
  assert.equal(verdict, { kind: 'duplicate', baseOffset: 40, timestamp: 1_000 })
  assert.is(code(state.check(sent({ sequence: 3 }))), 'append')
  assert.is(code(state.check(sent({ sequence: 2 }))), OUT_OF_ORDER)
  const restored = decodeProducers(encodeProducers(state))!
  assert.equal(restored.check(sent(wrapping)), verdict)
})

test('batches without a producer id leave nothing behind', () => {
  const state = new ProducerState()
  state.update(plainBatch({ id: 1 }))
  assert.is(state.producers.size, 0)
})

test('recall puts older batches in front of the one that a snapshot names, five in all', () => {
  const all = Array.from({ length: 8 }, (_, i) =>
    sent({ sequence: 2 * i, offset: 100 + 2 * i, records: 2, timestamp: 1_000 + i }),
  )
  const restored = decodeProducers(encodeProducers(after(8)))!
  for (const header of all) restored.recall(header)
  assert.equal(restored.producers, after(8).producers)
})

const producer = fc.record({
  id: fc.integer({ min: 0, max: 2 ** 52 }),
  epoch: fc.integer({ min: 0, max: 0x7fff }),
  sequence: fc.integer({ min: 0, max: SEQUENCE_MAX }),
  records: fc.integer({ min: 1, max: 1_000_000 }),
  offset: fc.integer({ min: 0, max: 2 ** 52 }),
  timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
})

test('a snapshot gives back every producer with its last batch', () => {
  fc.assert(
    fc.property(fc.uniqueArray(producer, { selector: p => p.id, maxLength: 20 }), producers => {
      const state = new ProducerState()
      for (const { id, ...of } of producers) state.update(sent({ ...of, pid: id }))
      assert.equal(decodeProducers(encodeProducers(state))!.producers, state.producers)
    }),
    { numRuns: 100 },
  )
})

test('a damaged, cut or foreign snapshot is refused', () => {
  const whole = encodeProducers(after(3))
  assert.ok(decodeProducers(whole) !== null)
  for (let at = 0; at < whole.length; at++) {
    const bad = Buffer.from(whole)
    bad[at]! ^= 0x10
    assert.is(decodeProducers(bad), null, `byte ${at}`)
    assert.is(decodeProducers(whole.subarray(0, at)), null, `cut at ${at}`)
  }
  assert.is(decodeProducers(Buffer.concat([whole, Buffer.alloc(1)])), null)
})

test('expiry forgets producers silent since before the given time by the broker, whatever their records say', () => {
  const state = new ProducerState()
  state.update(sent({ sequence: 0, pid: 1, timestamp: 9_999 }), 0, 500)
  state.update(sent({ sequence: 0, pid: 2, timestamp: 0 }), 0, 2_000)
  state.update(sent({ sequence: 0, pid: 3, timestamp: 0 }), 0, 500)
  state.update(sent({ sequence: 1, pid: 3, timestamp: 0 }), 0, 3_000)
  state.expire(2_000)
  assert.equal([...state.producers.keys()], [2, 3])
})

test('a partition keeps a bounded number of producers: the longest silent goes', () => {
  const state = new ProducerState()
  for (let pid = 0; pid < 20_000; pid++) state.update(sent({ sequence: 0, pid }), 0, pid)
  state.update(sent({ sequence: 1, pid: 0 }), 0, 30_000)
  state.update(sent({ sequence: 0, pid: 50_000 }), 0, 30_001)
  assert.is(state.producers.size, 20_000)
  assert.ok(state.producers.has(0), 'it has been heard of since')
  assert.not.ok(state.producers.has(1))
})

test('of all partitions those with the most producers forget first', () => {
  const states = [3, 90, 50, 3].map((count, s) => {
    const state = new ProducerState()
    for (let i = 0; i < count; i++) state.update(sent({ sequence: 0, pid: s * 1_000 + i }), 0, i)
    return state
  })
  const logs = states.map(producers => ({ log: { producers } }))
  const bound = (max: number) =>
    boundProducers(
      () => logs,
      (_, action) => action(),
      max,
    )
  const sizes = () => states.map(state => state.producers.size)
  bound(146)
  assert.equal(sizes(), [3, 90, 50, 3])
  bound(120)
  assert.equal(sizes(), [3, 64, 50, 3])
  bound(60)
  const [a, b, c, d] = sizes()
  assert.equal([a, d], [3, 3])
  assert.is(b! + c!, 54)
  assert.ok(Math.abs(b! - c!) <= 1, `${b} and ${c}`)
  assert.ok(states[1]!.producers.has(1_089), 'the newest stay')
  bound(5)
  assert.is(
    sizes().reduce((sum, size) => sum + size),
    5,
  )
})

test.run()
