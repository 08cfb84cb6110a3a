import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { judgeConsumer, judgeProducer, logOf } from './clients/verdict.ts'

const test = suite('what is said of clients')

const at = (value: string, offset: number, partition = 0) => ({ value, partition, offset })
const records = [at('java-0', 0), at('kafkajs-0', 1), at('java-2', 2), at('java-1', 0, 1)]
const FINE = { lost: 0, doubled: 0, outOfOrder: 0 }
const WELL = { missed: 0, skippedTo: 0, wrong: 0, again: 0 }
const ofJava = (found: typeof records, acknowledged = records) =>
  judgeProducer(
    'java',
    acknowledged.filter(({ value }) => value.startsWith('java-')),
    logOf(found),
  )

test('what is there once and in order is right, in whatever order it was read', () => {
  assert.equal(ofJava(records), FINE)
  assert.equal(ofJava([...records].reverse()), FINE)
  assert.equal(judgeConsumer(records, logOf(records)), WELL)
})

test('an acknowledged record that is missing, or somewhere else, is lost', () => {
  assert.equal(ofJava(records.slice(0, 2)), { ...FINE, lost: 2 })
  const moved = [at('java-0', 0), at('java-2', 1), at('kafkajs-0', 2), at('java-1', 0, 1)]
  assert.equal(ofJava(moved), { ...FINE, lost: 1 })
})

test('a record that is there twice is doubled, though it was never acknowledged', () => {
  assert.equal(ofJava([...records, at('java-2', 3)]), { ...FINE, doubled: 1 })
  assert.equal(ofJava([...records, at('java-2', 3)], []), { ...FINE, doubled: 1 })
})

test('a record behind one that was sent later is out of order; partitions have orders of their own', () => {
  assert.equal(ofJava([...records, at('java-4', 3), at('java-3', 4)]), { ...FINE, outOfOrder: 1 })
})

test('a consumer that leaves a record out has missed it', () => {
  const read = records.filter(({ value }) => value !== 'kafkajs-0')
  assert.equal(judgeConsumer(read, logOf(records)), { ...WELL, missed: 1, skippedTo: 1 })
})

test('a consumer may go back and read again, but not ahead', () => {
  const [first, second, third, other] = records as [(typeof records)[0], ...typeof records]
  const back = [first, second, first!, second, third, other] as typeof records
  assert.equal(judgeConsumer(back, logOf(records)), { ...WELL, again: 2 })
  const ahead = [first, third, second, other] as typeof records
  assert.equal(judgeConsumer(ahead, logOf(records)), { ...WELL, skippedTo: 1 })
})

test('a consumer that was shown what the log does not have was shown wrong', () => {
  const read = [...records, at('java-4', 3)]
  assert.equal(judgeConsumer(read, logOf(records)), { ...WELL, wrong: 1 })
})

test.run()
