import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { walkSegment } from '../../src/doctor/segment-walk.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

const PATH = '/data/t-0/00000000000000000000.log'

const test = suite('walking a segment')

/** Batches of one record each, at these offsets. */
function batchesAt(offsets: readonly number[], contentBytes = 100): Buffer[] {
  return offsets.map((offset, id) => {
    const bytes = plainBatch({ id, contentBytes })
    batch.assign(bytes, offset, 0)
    return bytes
  })
}

function walk(content: readonly Buffer[], known: { next?: number; isThinned?: boolean } = {}) {
  const files = new MemoryFs()
  files.mkdir('/data/t-0')
  const fd = files.open(PATH, 'create')
  files.write(fd, content, 0)
  const segment = { path: PATH, base: 0, next: 100, endOffset: null, isThinned: false, ...known }
  const offsets: number[] = []
  const walked = walkSegment(files, segment, ({ baseOffset }) => offsets.push(baseOffset))
  const lost = walked.damages.map(({ firstOffset, nextOffset }) => [firstOffset, nextOffset])
  return { ...walked, offsets, lost }
}

test('batches that do not match their checksums are passed over, one or several', () => {
  const batches = batchesAt([0, 1, 2, 3, 4, 5])
  for (const i of [1, 3, 4]) batches[i]![80]! ^= 1
  const { offsets, lost } = walk(batches, { next: 6 })
  assert.equal(offsets, [0, 2, 5])
  assert.equal(lost, [
    [1, 2],
    [3, 5],
  ])
})

test('batches that are missing are found, though all that is there is whole', () => {
  const { offsets, lost } = walk(batchesAt([0, 1, 4, 5]), { next: 6 })
  assert.equal(offsets, [0, 1, 4, 5])
  assert.equal(lost, [[2, 4]])
  assert.equal(walk(batchesAt([0, 1, 4, 5]), { next: 6, isThinned: true }).damages, [])
})

for (const [field, at] of [
  ['offset', 7],
  ['offset', 3],
  ['length', 11],
  ['length', 9],
  ['magic', 16],
] as const) {
  for (const which of [0, 2, 4]) {
    test(`a ${field} that is damaged (byte ${at}) in batch ${which} is told from what is around`, () => {
      const batches = batchesAt([0, 1, 2, 3, 4])
      batches[which]![at]! ^= 1
      const { offsets, damages, patches } = walk(batches, { next: 5 })
      assert.equal(offsets, [0, 1, 2, 3, 4])
      assert.equal(damages, [])
      const start = which * batches[0]!.length
      assert.is(patches.length, 1)
      const { position, bytes } = patches[0]!
      const mended = Buffer.concat(batches)
      bytes.copy(mended, position)
      assert.equal(mended, Buffer.concat(batchesAt([0, 1, 2, 3, 4])))
      assert.ok(position >= start && position < start + 61)
    })
  }
}

test('an offset that is damaged behind a damaged batch is outvoted by the two that follow', () => {
  const batches = batchesAt([0, 1, 2, 3, 4, 5])
  batches[1]![80]! ^= 1
  batches[2]![6]! ^= 1
  const { offsets, lost } = walk(batches, { next: 6 })
  assert.equal(offsets, [0, 2, 3, 4, 5])
  assert.equal(lost, [[1, 2]])
})

test('where compaction has taken offsets out, an offset that is damaged costs its batch and no other', () => {
  const batches = batchesAt([0, 10, 20, 30, 40])
  batches[1]![7]! ^= 0x40
  const { offsets, lost } = walk(batches, { isThinned: true })
  assert.equal(offsets, [0, 20, 30, 40])
  assert.equal(lost, [[1, 20]])
})

test('a batch that a client has put into its records does not count, whatever is damaged around it', () => {
  const [forged] = batchesAt([2])
  const hosts = batchesAt([0, 1, 2, 3, 4], 400)
  for (const host of hosts) {
    forged!.copy(host, 100)
    host.writeUInt32BE(batch.computeCrc(host), 17)
  }
  for (const i of [1, 2]) hosts[i]![90]! ^= 1
  const { offsets, lost } = walk(hosts, { next: 5 })
  assert.equal(offsets, [0, 3, 4])
  assert.equal(lost, [[1, 3]])
})

test('a file that ends amid a batch, and one that is nothing but zeros', () => {
  const batches = batchesAt([0, 1, 2])
  const cut = Buffer.concat(batches).subarray(0, batches[0]!.length * 3 - 5)
  assert.equal(walk([cut], { next: 3 }).lost, [[2, null]])
  const zeros = walk([Buffer.alloc(1000)], { next: 3 })
  assert.equal([zeros.offsets, zeros.lost], [[], [[0, null]]])
})

test.run()
