import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { IndexFile, isOffsetIndex, positionFor } from '../../src/storage/index-file.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

const PATH = '/00000000000000000000.index'
const test = suite('index file')

type Pair = readonly [offset: number, position: number]

function encode(pairs: readonly Pair[]): Buffer {
  const index = Buffer.alloc(pairs.length * 8)
  for (const [i, [offset, position]] of pairs.entries()) {
    index.writeInt32BE(offset, i * 8)
    index.writeInt32BE(position, i * 8 + 4)
  }
  return index
}

const step = fc.integer({ min: 1, max: 10 })
/** Offsets and positions that rise. */
const risingPairs = fc.array(fc.tuple(step, step), { maxLength: 40 }).map(steps => {
  const pairs: Pair[] = []
  for (const [byOffset, byPosition] of steps) {
    const [offset, position] = pairs.at(-1) ?? [-1, -1]
    pairs.push([offset + byOffset, position + byPosition])
  }
  return pairs
})
const anyPairs = fc.array(
  fc.tuple(fc.integer({ min: -1, max: 12 }), fc.integer({ min: -1, max: 12 })),
  { maxLength: 4 },
)

test('positionFor finds what a search entry by entry finds', () => {
  fc.assert(
    fc.property(risingPairs, fc.integer({ min: -2, max: 420 }), (pairs, relative) => {
      const expected = pairs.findLast(([offset]) => offset <= relative)?.[1] ?? 0
      assert.is(positionFor(encode(pairs), relative), expected)
    }),
    { numRuns: 500 },
  )
})

test('isOffsetIndex takes exactly what rises and stays inside the segment', () => {
  fc.assert(
    fc.property(fc.oneof(risingPairs, anyPairs), fc.integer({ min: 0, max: 60 }), (pairs, size) => {
      const expected = pairs.every(([offset, position], i) => {
        const [lastOffset, lastPosition] = pairs[i - 1] ?? [-1, -1]
        return offset > lastOffset && position > lastPosition && position < size
      })
      assert.is(isOffsetIndex(encode(pairs), size), expected)
    }),
    { numRuns: 500 },
  )
})

test('isOffsetIndex refuses an entry that is cut off', () => {
  const index = encode([[0, 0]])
  for (let bytes = 1; bytes < 8; bytes++)
    assert.not.ok(isOffsetIndex(index.subarray(0, bytes), 100))
})

test('entries wait in memory until write, then are in the file in order', () => {
  const files = new MemoryFs()
  const index = new IndexFile(files, PATH, 8)
  for (let i = 0; i < 50; i++) index.append().writeInt32BE(i, 0)
  assert.is(index.bytes, 400)
  assert.is(IndexFile.read(files, PATH), null)
  index.write(false)
  index.append().writeInt32BE(50, 0)
  index.write(true)
  const content = IndexFile.read(files, PATH)!
  assert.is(index.bytes, content.length)
  assert.equal(
    Array.from({ length: content.length / 8 }, (_, i) => content.readInt32BE(i * 8)),
    Array.from({ length: 51 }, (_, i) => i),
  )
  assert.equal(files.openFiles, [])
})

test('writing cuts what an older file had behind the valid length', () => {
  const files = new MemoryFs()
  const old = new IndexFile(files, PATH, 12)
  for (let i = 0; i < 5; i++) old.append().fill(1)
  old.write(true)
  const index = new IndexFile(files, PATH, 12, 12)
  index.append().fill(2)
  index.write(true)
  assert.equal(
    IndexFile.read(files, PATH),
    Buffer.concat([Buffer.alloc(12, 1), Buffer.alloc(12, 2)]),
  )
})

test.run()
