import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readFile, replaceFile } from '../../src/storage/fs.ts'
import { type EpochStart, endOffsetFor, LeaderEpochs } from '../../src/storage/leader-epochs.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

const PATH = '/leader-epoch-checkpoint'
const test = suite('leader epochs')

const starts = (...pairs: [epoch: number, startOffset: number][]): EpochStart[] =>
  pairs.map(([epoch, startOffset]) => ({ epoch, startOffset }))

function noted(...pairs: [epoch: number, startOffset: number][]): LeaderEpochs {
  const epochs = new LeaderEpochs(new MemoryFs(), PATH)
  for (const [epoch, startOffset] of pairs) epochs.note(epoch, startOffset)
  return epochs
}

test('remembers where each epoch began, once', () => {
  const epochs = noted([0, 0], [0, 5], [3, 10], [3, 11], [2, 12])
  assert.equal(epochs.entries, starts([0, 0], [3, 10]))
})

test('a newer epoch at an older offset replaces what began there or later', () => {
  assert.equal(noted([0, 0], [1, 10], [2, 20], [5, 10]).entries, starts([0, 0], [5, 10]))
})

test('truncation at the end drops epochs that began at or after it', () => {
  const epochs = noted([0, 0], [1, 10], [2, 20])
  epochs.truncateFromEnd(21)
  assert.equal(epochs.entries, starts([0, 0], [1, 10], [2, 20]))
  epochs.truncateFromEnd(20)
  assert.equal(epochs.entries, starts([0, 0], [1, 10]))
  epochs.truncateFromEnd(0)
  assert.equal(epochs.entries, [])
})

test('truncation at the start moves the epoch that holds the offset', () => {
  const epochs = noted([0, 0], [1, 10], [2, 20])
  epochs.truncateFromStart(15)
  assert.equal(epochs.entries, starts([1, 15], [2, 20]))
  epochs.truncateFromStart(20)
  assert.equal(epochs.entries, starts([2, 20]))
  epochs.truncateFromStart(99)
  assert.equal(epochs.entries, starts([2, 99]))
})

test('a log that lost its first offsets before any epoch was known has none', () => {
  const epochs = noted()
  epochs.truncateFromStart(10)
  assert.equal(epochs.entries, [])
})

test('the current epoch ends where the log does, an earlier one where its successor begins', () => {
  const entries = starts([2, 10], [3, 20], [7, 30])
  assert.equal(endOffsetFor(entries, 7, 44), { epoch: 7, endOffset: 44 })
  assert.equal(endOffsetFor(entries, 3, 44), { epoch: 3, endOffset: 30 })
  assert.equal(endOffsetFor(entries, 2, 44), { epoch: 2, endOffset: 20 })
})

test('an epoch between two known ones is answered with the lower one', () => {
  const entries = starts([2, 10], [3, 20], [7, 30])
  assert.equal(endOffsetFor(entries, 5, 44), { epoch: 3, endOffset: 30 })
})

test('an epoch older than all is answered with itself and the first start', () => {
  assert.equal(endOffsetFor(starts([2, 10], [3, 20]), 1, 44), { epoch: 1, endOffset: 10 })
})

test('a newer epoch, an undefined one and an empty cache answer -1 and -1', () => {
  const unknown = { epoch: -1, endOffset: -1 }
  assert.equal(endOffsetFor(starts([2, 10]), 3, 44), unknown)
  assert.equal(endOffsetFor(starts([2, 10]), -1, 44), unknown)
  assert.equal(endOffsetFor([], 0, 44), unknown)
})

test("what was written is read back, in Kafka's format, also after a power cut", () => {
  const files = new MemoryFs()
  const epochs = new LeaderEpochs(files, PATH)
  assert.is(epochs.file, 'missing')
  epochs.note(0, 0)
  epochs.note(4, 17)
  epochs.write()
  assert.is(readFile(files, PATH).toString(), '0\n2\n0 0\n4 17\n')
  const { calls } = files
  epochs.write()
  assert.is(files.calls, calls, 'what is written already is not written again')
  const after = new LeaderEpochs(files.image(files.random), PATH)
  assert.is(after.file, 'whole')
  assert.equal(after.entries, starts([0, 0], [4, 17]))
})

test('a damaged file gives no epochs and says so', () => {
  const damaged = ['', '1\n0\n', '0\n2\n0 0\n', '0\n1\nx 1\n', '0\n1\n1 -1\n', '0\n-\n']
  const notRising = ['0\n2\n1 0\n1 5\n', '0\n2\n1 5\n2 5\n', '0\n2\n2 0\n1 5\n']
  for (const content of [...damaged, ...notRising]) {
    const files = new MemoryFs()
    replaceFile(files, PATH, Buffer.from(content))
    const epochs = new LeaderEpochs(files, PATH)
    assert.is(epochs.file, 'damaged', JSON.stringify(content))
    assert.equal(epochs.entries, [])
  }
})

test.run()
