import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeMarker, encodeMarker } from '../../src/protocol/control-records.ts'
import { INT64_MAX } from '../../src/protocol/int64.ts'
import { encodePlainBatch, readRecords } from '../../src/protocol/records.ts'

const test = suite('markers of transactions')

const MARKERS = [
  { producerId: 0, producerEpoch: 0, isCommit: false, coordinatorEpoch: 0 },
  { producerId: 2 ** 40, producerEpoch: 32_767, isCommit: true, coordinatorEpoch: 2 ** 31 - 1 },
  { producerId: INT64_MAX, producerEpoch: 7, isCommit: false, coordinatorEpoch: -1 },
]

test('they are what any writer of batches makes of them, and are read back', async () => {
  for (const marker of MARKERS) {
    const { producerId, producerEpoch, isCommit, coordinatorEpoch } = marker
    const bytes = encodeMarker(marker, 1_700_000_000_000)
    const key = Buffer.from([0, 0, 0, isCommit ? 1 : 0])
    const value = Buffer.alloc(6)
    value.writeInt32BE(coordinatorEpoch, 2)
    const options = { producerId, producerEpoch, transactional: true, control: true }
    const record = { timestamp: 1_700_000_000_000, key, value }
    assert.equal(bytes, encodePlainBatch([record], options))
    assert.equal(decodeMarker(bytes), marker)
    assert.is([...(await readRecords(bytes, 100))].length, 1)
  }
})

test('with long varints, headers or bytes behind what is known it is read too, cut off it is none', () => {
  const marker = MARKERS[1]!
  const options = { producerId: marker.producerId, producerEpoch: 32_767, transactional: true }
  const value = Buffer.concat([
    encodeMarker(marker, 1).subarray(61 + 10, 61 + 16),
    Buffer.alloc(90),
  ])
  const headers = [{ key: 'h', value: Buffer.alloc(300) }]
  const record = { timestamp: 1, key: Buffer.from([0, 0, 0, 1]), value, headers }
  const bytes = encodePlainBatch([record], { ...options, control: true })
  assert.equal(decodeMarker(bytes), marker)
  const whole = encodeMarker(marker, 1)
  for (let end = 61; end < whole.length - 1; end++) {
    assert.is(decodeMarker(whole.subarray(0, end)), null, `cut at ${end}`)
  }
  const other = encodePlainBatch([{ ...record, key: Buffer.from([0, 0, 0, 5]) }], options)
  assert.is(decodeMarker(other), null)
})

test.run()
