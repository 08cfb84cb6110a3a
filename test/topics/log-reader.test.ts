import { mkdtempSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as header from '../../src/protocol/record-batch.ts'
import type { LogView } from '../../src/storage/commands.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { OpenFiles } from '../../src/storage/open-files.ts'
import { Segment } from '../../src/storage/segment.ts'
import { BufferPool } from '../../src/topics/buffer-pool.ts'
import { LogReader } from '../../src/topics/log-reader.ts'
import type { SegmentView } from '../../src/topics/segment-view.ts'
import { Tails } from '../../src/topics/tail.ts'
import { plainBatch } from '../lib/batches.ts'

const SEED = 20261123
const root = mkdtempSync(join(tmpdir(), 'odradek-log-reader-'))
let dirs = 0
const test = suite('log reader')
test.after(() => rmSync(root, { recursive: true }))

interface TestBatch {
  readonly records: number
  readonly contentBytes: number
  /** Offsets left out before it, as compaction leaves them. */
  readonly gap: number
  readonly newSegment: boolean
}

interface Placed {
  readonly bytes: Buffer
  readonly first: number
  readonly last: number
  readonly segment: number
  readonly position: number
}

interface TestLog {
  readonly reader: LogReader
  readonly pool: BufferPool
  readonly placed: readonly Placed[]
  readonly badIndexes: number[]
}

/** Writes the batches; the reader learns of the first `viewed` from a view, of the rest one by one, behind `news`. */
function writeLog(
  batches: readonly TestBatch[],
  viewed: number,
  news: (reader: LogReader, placed: readonly Placed[]) => void = () => {},
): TestLog {
  const dir = join(root, String(dirs++))
  realFileSystem.mkdir(dir)
  let active = Segment.create(realFileSystem, dir, 0)
  const placed: Placed[] = []
  let offset = 0
  for (const [id, { records, contentBytes, gap, newSegment }] of batches.entries()) {
    if (newSegment && active.size > 0) {
      active.seal()
      active = Segment.create(realFileSystem, dir, offset)
    }
    const bytes = plainBatch({ id, records, contentBytes })
    const first = offset + gap
    header.assign(bytes, first, 0)
    const position = active.size
    const last = header.lastOffset(bytes)
    placed.push({ bytes, first, last, segment: active.baseOffset, position })
    active.append(bytes)
    offset = last + 1
  }
  active.write()
  active.writeIndexes(false) // as a running broker may have done
  active.close()
  const pool = new BufferPool()
  const badIndexes: number[] = []
  const ring = { bytes: Buffer.alloc(0), size: 0, stillHolds: () => false }
  const shared = {
    ...{ pool, open: new OpenFiles<SegmentView>(1), freeing: { add: () => {} } },
    tails: new Tails(ring),
  }
  const reader = new LogReader(dir, shared, base => badIndexes.push(base))
  reader.replace(viewOf(placed.slice(0, viewed)))
  news(reader, placed)
  for (const b of placed.slice(viewed)) {
    reader.appended(b.segment, b.first, b.position, b.bytes.length)
  }
  return { reader, pool, placed, badIndexes }
}

function viewOf(placed: readonly Placed[]): LogView {
  const sizes = new Map<number, number>([[0, 0]])
  for (const b of placed) sizes.set(b.segment, b.position + b.bytes.length)
  const segments = [...sizes].map(([base, size]) => ({ base, size, version: 0, abortedBytes: 0 }))
  const nextOffset = (placed.at(-1)?.last ?? -1) + 1
  return {
    handle: 0,
    logStartOffset: 0,
    nextOffset,
    segments,
    epochs: [],
    undecided: null,
    highWatermark: null,
    offline: null,
  }
}

interface Asked {
  readonly offset: number
  readonly endOffset: number
  readonly maxBytes: number
  readonly atLeastOne: boolean
}

/** What a reader that looks at every batch returns at most. */
function plainRead(placed: readonly Placed[], asked: Asked): Placed[] {
  const from = placed.filter(b => b.last >= asked.offset && b.first < asked.endOffset)
  const [first] = from
  if (first === undefined) return []
  const found: Placed[] = []
  let bytes = 0
  for (const b of from.filter(b => b.segment === first.segment)) {
    bytes += b.bytes.length
    if (bytes > asked.maxBytes) break
    found.push(b)
  }
  return found.length === 0 && asked.atLeastOne ? [first] : found
}

const concat = (placed: readonly Placed[]): Buffer => Buffer.concat(placed.map(b => b.bytes))

async function read(log: TestLog, asked: Asked): Promise<Buffer> {
  const { offset, endOffset, maxBytes, atLeastOne } = asked
  const result = await log.reader.read(offset, endOffset, maxBytes, atLeastOne)
  if (result === null) return Buffer.alloc(0)
  const records = Buffer.from(result.records)
  log.pool.release(result.buffer)
  return records
}

/**
 * Whole batches in order, no more than the plain reader has. Fewer are allowed, for a read from an index entry spends
 * bytes on what it skips; but where a batch fits there must be something.
 */
async function check(log: TestLog, asked: Asked): Promise<void> {
  const records = await read(log, asked)
  const expected = plainRead(log.placed, asked)
  const ends = expected.map((_, i) => concat(expected.slice(0, i + 1)).length)
  assert.ok([0, ...ends].includes(records.length), `${records.length} of ${ends}`)
  assert.ok(records.equals(concat(expected).subarray(0, records.length)), 'the right batches')
  assert.is(records.length > 0, expected.length > 0, JSON.stringify(asked))
  assert.is(log.pool.lentBytes, 0, 'every buffer comes back')
}

const batches = fc.array(
  fc.record({
    records: fc.integer({ min: 1, max: 20 }),
    contentBytes: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 4, max: 3_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 140_000 }) },
    ),
    gap: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(9) }),
    newSegment: fc.oneof(
      { weight: 9, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  }),
  { maxLength: 60, size: 'max' },
)
const question = fc.record({
  at: fc.double({ min: 0, max: 1.05, noNaN: true }),
  end: fc.double({ min: 0, max: 1, noNaN: true }),
  whole: fc.boolean(),
  maxBytes: fc.oneof(fc.nat(300), fc.nat(10_000), fc.nat(300_000)),
  atLeastOne: fc.boolean(),
})

test('returns what a reader that looks at every batch would', async () => {
  await fc.assert(
    fc.asyncProperty(
      batches,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(question, { minLength: 10, maxLength: 10 }),
      async (input, share, questions) => {
        const log = writeLog(input, Math.round(share * input.length))
        const next = (log.placed.at(-1)?.last ?? -1) + 1
        for (const { at, end, whole, maxBytes, atLeastOne } of questions) {
          const endOffset = whole ? next : Math.round(end * next)
          await check(log, { offset: Math.round(at * next), endOffset, maxBytes, atLeastOne })
        }
        assert.equal(log.badIndexes, [])
        log.reader.close()
      },
    ),
    { numRuns: 50, seed: SEED },
  )
})

const plain = (contentBytes: number): TestBatch => ({
  records: 3,
  contentBytes,
  gap: 0,
  newSegment: false,
})

test('a consumer that goes on where it stopped gets every batch once', async () => {
  const input = Array.from({ length: 90 }, (_, i) => ({
    ...plain(i % 7 === 0 ? 5_000 : 300),
    newSegment: i % 25 === 24,
  }))
  const log = writeLog(input, 40)
  const got: Buffer[] = []
  for (let offset = 0; ; ) {
    const asked = { offset, endOffset: 1_000_000, maxBytes: 2_000, atLeastOne: true }
    const records = await read(log, asked)
    if (records.length === 0) break
    got.push(records)
    for (let at = 0; at < records.length; at += header.batchBytes(records, at)) {
      offset = header.lastOffset(records, at) + 1
    }
  }
  assert.ok(Buffer.concat(got).equals(concat(log.placed)))
  log.reader.close()
})

test('a missing or impossible index of a closed segment is reported, and read without', async () => {
  const input = Array.from({ length: 40 }, (_, i) => ({ ...plain(900), newSegment: i === 30 }))
  for (const damage of ['missing', 'foreign']) {
    const log = writeLog(input, 40)
    const index = join(log.reader.dir, '00000000000000000000.index')
    rmSync(index)
    if (damage === 'foreign') {
      const fd = realFileSystem.open(index, 'create')
      realFileSystem.write(fd, [Buffer.alloc(16, 0x7f)], 0)
      realFileSystem.close(fd)
    }
    await check(log, { offset: 60, endOffset: 1_000, maxBytes: 5_000, atLeastOne: true })
    assert.equal(log.badIndexes, [0], damage)
    log.reader.close()
  }
})

test('an empty log, and offsets at and beyond the end, give nothing', async () => {
  const empty = writeLog([], 0)
  await check(empty, { offset: 0, endOffset: 10, maxBytes: 100, atLeastOne: true })
  const log = writeLog([plain(100)], 1)
  for (const offset of [3, 4, 1_000]) {
    assert.is(
      (await read(log, { offset, endOffset: 1_000, maxBytes: 9_999, atLeastOne: true })).length,
      0,
    )
  }
  empty.reader.close()
  log.reader.close()
})

test('what is appended behind news of a segment that is still to come is read', async () => {
  const one = { records: 1, contentBytes: 50, gap: 0, newSegment: false }
  const batches = [one, one, { ...one, newSegment: true }]
  // It is told before the appends that were flushed with it.
  const log = writeLog(batches, 1, (reader, placed) => reader.noteAborted(placed[2]!.segment, 34))
  const { reader, placed } = log
  const [first, second, third] = placed.map(({ bytes }) => bytes.length)
  assert.equal(
    reader.segments.map(({ size }) => size),
    [first! + second!, third],
  )
  assert.equal(
    reader.segments.map(({ abortedBytes }) => abortedBytes),
    [0, 34],
  )
  await check(log, { offset: 1, endOffset: 3, maxBytes: 1_000, atLeastOne: true })
})

test('segments that a new view does not name are gone', async () => {
  const input = Array.from({ length: 6 }, (_, i) => ({ ...plain(100), newSegment: i === 3 }))
  const log = writeLog(input, 6)
  const all = { offset: 0, endOffset: 100, maxBytes: 100_000, atLeastOne: true }
  assert.ok((await read(log, all)).equals(concat(log.placed.slice(0, 3))))
  const view = viewOf(log.placed)
  log.reader.replace({ ...view, logStartOffset: 9, segments: view.segments.slice(1) })
  assert.ok((await read(log, all)).equals(concat(log.placed.slice(3))))
  log.reader.close()
})

test('a reader amid a segment that is replaced, and being freed from its end on, goes on in what there is now', async () => {
  const input = Array.from({ length: 6 }, (_, i) => ({ ...plain(90_000), newSegment: i === 3 }))
  const log = writeLog(input, 6)
  const view = viewOf(log.placed)
  const [segment] = log.reader.segments
  const readNow = segment!.read.bind(segment)
  segment!.read = (...range) => {
    log.reader.replace({ ...view, logStartOffset: 9, segments: view.segments.slice(1) })
    truncateSync(segment!.path, 100)
    return readNow(...range)
  }
  const all = { offset: 0, endOffset: 100, maxBytes: 1_000_000, atLeastOne: true }
  assert.ok((await read(log, all)).equals(concat(log.placed.slice(3))))
  log.reader.close()
})

test.run()
