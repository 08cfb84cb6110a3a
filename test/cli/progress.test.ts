import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { progressLine } from '../../src/cli/base/progress.ts'
import { duration } from '../../src/cli/base/time.ts'

const test = suite('odradek progress')

test('says how much, how fast, and how long it still takes', () => {
  const done = { records: 12_000, bytes: 1_500_000, share: 0.4 }
  assert.is(progressLine(done, 2_000), '12,000 records, 1.5 MB, 6,000/s, 40%, 3s left')
})

test('says no share and no time if nobody knows how much there is', () => {
  const done = { records: 10, bytes: 100, share: null }
  assert.is(progressLine(done, 1_000), '10 records, 0.0 MB, 10/s')
  assert.is(progressLine({ records: 0, bytes: 0, share: 0 }, 0), '0 records, 0.0 MB, 0/s, 0%')
})

test('durations are in the two largest units', () => {
  assert.equal([400, 59_000, 61_000, 3_700_000].map(duration), ['0s', '59s', '1m 1s', '1h 1m'])
})

test.run()
