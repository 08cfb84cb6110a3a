import { mkdtempSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as header from '../../src/protocol/record-batch.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { type FileSystem, realFileSystem } from '../../src/storage/fs.ts'
import { fileName, Segment } from '../../src/storage/segment.ts'
import {
  DamagedSegment,
  type Found,
  findByTimestamp,
  findMaxTimestamp,
} from '../../src/storage/timestamp-search.ts'

const SEED = 20261123
const root = mkdtempSync(join(tmpdir(), 'odradek-timestamp-search-'))
let dirs = 0
const test = suite('timestamp search')
test.after(() => rmSync(root, { recursive: true }))

interface TestBatch {
  readonly timestamps: readonly number[]
  readonly codec?: number
  /** Bytes of each value: enough of them makes index entries. */
  readonly valueBytes?: number
  readonly appendTime?: number
  /** Offsets left out before each record, as compaction leaves them. */
  readonly gap?: number
  readonly newSegment?: boolean
}

interface TestLog {
  readonly dir: string
  readonly segments: { base: number; size: number }[]
  readonly logStartOffset: number
  readonly endOffset: number
  /** What is in it, the plain way. */
  readonly records: Found[]
}

/** Writes a log with its indexes; the last segment stays as a running broker has it: indexes not written out. */
async function writeLog(batches: readonly TestBatch[]): Promise<TestLog> {
  const dir = join(root, String(dirs++))
  realFileSystem.mkdir(dir)
  let active = Segment.create(realFileSystem, dir, 0)
  const segments = [active]
  const records: Found[] = []
  let offset = 0
  for (const [epoch, batch] of batches.entries()) {
    if (batch.newSegment && active.size > 0) {
      active.seal()
      active = Segment.create(realFileSystem, dir, offset)
      segments.push(active)
    }
    const { timestamps, gap = 0, valueBytes = 10 } = batch
    const input = timestamps.map((timestamp, i) => ({
      timestamp,
      value: Buffer.alloc(valueBytes, i),
      offsetDelta: i * (gap + 1) + gap,
    }))
    const options = { codec: batch.codec ?? 0, baseOffset: offset, leaderEpoch: epoch }
    const bytes = await encodeBatch(input, options)
    if (batch.appendTime !== undefined) header.setTimestampType(bytes, batch.appendTime)
    for (const { offsetDelta, timestamp } of input) {
      const time = batch.appendTime ?? timestamp
      records.push({ offset: offset + offsetDelta, timestamp: time, leaderEpoch: epoch })
    }
    offset = header.lastOffset(bytes) + 1
    active.append(bytes)
  }
  active.write()
  active.close()
  return {
    dir,
    segments: segments.map(segment => ({ base: segment.baseOffset, size: segment.size })),
    logStartOffset: 0,
    endOffset: offset,
    records,
  }
}

const visible = (log: TestLog): Found[] =>
  log.records.filter(r => r.offset >= log.logStartOffset && r.offset < log.endOffset)

const plainFind = (log: TestLog, target: number): Found | null =>
  visible(log).find(record => record.timestamp >= target) ?? null

function plainMax(log: TestLog): Found | null {
  const max = Math.max(...visible(log).map(record => record.timestamp), -1)
  return max === -1 ? null : (visible(log).find(record => record.timestamp === max) ?? null)
}

async function checkAgainstPlain(log: TestLog, targets: readonly number[]): Promise<void> {
  for (const target of targets) {
    const found = await findByTimestamp(realFileSystem, { ...log, target })
    assert.equal(found, plainFind(log, target), `target ${target}`)
  }
  assert.equal(await findMaxTimestamp(realFileSystem, log), plainMax(log), 'maximum')
}

const timestamp = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constant(-1))
const arbitraryBatches = fc.array(
  fc.record({
    timestamps: fc.array(timestamp, { minLength: 1, maxLength: 5 }),
    codec: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
    valueBytes: fc.constantFrom(10, 10, 3_000),
    appendTime: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined, freq: 4 }),
    gap: fc.constantFrom(0, 0, 2),
    newSegment: fc.constantFrom(false, false, false, true),
  }),
  { maxLength: 30 },
)
const arbitraryDamage = fc.array(
  fc.record({
    segment: fc.nat(5),
    extension: fc.constantFrom('index', 'timeindex'),
    /** Part of the file that is left; none: it is removed. */
    keep: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  }),
  { maxLength: 4 },
)

test('both searches find what a plain walk finds, whatever indexes are missing or short', async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryBatches,
      arbitraryDamage,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (batches, damage, startAt, endAt) => {
        const log = await writeLog(batches)
        for (const { segment, extension, keep } of damage) {
          const { base } = log.segments[segment % log.segments.length]
          const path = join(log.dir, fileName(base, extension))
          if (!realFileSystem.exists(path)) continue
          if (keep === null) unlinkSync(path)
          else truncateSync(path, Math.floor(statSync(path).size * keep))
        }
        const endOffset = Math.ceil(log.endOffset * Math.max(startAt, endAt))
        const logStartOffset = Math.floor(log.endOffset * Math.min(startAt, endAt))
        await checkAgainstPlain(log, [0, 30, 60, 61])
        await checkAgainstPlain({ ...log, logStartOffset, endOffset }, [-1, 0, 15, 30, 45, 60, 61])
        rmSync(log.dir, { recursive: true })
      },
    ),
    { numRuns: 150, seed: SEED },
  )
})

test('the exact record inside a compressed batch is found, with its leader epoch', async () => {
  const log = await writeLog([
    { timestamps: [10, 20, 30], codec: 1 },
    { timestamps: [40, 60, 50, 60], codec: 4 },
  ])
  const found = await findByTimestamp(realFileSystem, { ...log, target: 45 })
  assert.equal(found, { offset: 4, timestamp: 60, leaderEpoch: 1 })
  const newest = await findMaxTimestamp(realFileSystem, log)
  assert.equal(newest, { offset: 4, timestamp: 60, leaderEpoch: 1 })
})

test('an empty log, and one without timestamps, has neither', async () => {
  for (const batches of [[], [{ timestamps: [-1, -1] }]]) {
    const log = await writeLog(batches)
    assert.is(await findByTimestamp(realFileSystem, { ...log, target: 0 }), null)
    assert.is(await findMaxTimestamp(realFileSystem, log), null)
  }
})

/** The real file system, counting the bytes read from each kind of file. */
function counting(): { files: FileSystem; bytes: Record<string, number> } {
  const bytes: Record<string, number> = { log: 0, index: 0, timeindex: 0 }
  const kinds = new Map<number, string>()
  const files: FileSystem = {
    ...realFileSystem,
    open(path, mode) {
      const fd = realFileSystem.open(path, mode)
      kinds.set(fd, path.slice(path.lastIndexOf('.') + 1))
      return fd
    },
    read(fd, ...rest) {
      const n = realFileSystem.read(fd, ...rest)
      bytes[kinds.get(fd) as string] += n
      return n
    },
  }
  return { files, bytes }
}

test('closed segments cost a few small reads, not their size', async () => {
  const batches: TestBatch[] = []
  for (let i = 0; i < 600; i++) {
    batches.push({ timestamps: [i * 10], valueBytes: 10_000, newSegment: i % 200 === 0 })
  }
  const log = await writeLog(batches)
  assert.is(log.segments.length, 3)
  const { files, bytes } = counting()
  const target = 3_500
  assert.is((await findByTimestamp(files, { ...log, target }))?.offset, 350)
  assert.ok(bytes.log < 200_000, `${bytes.log} of ${3 * log.segments[0].size} bytes read`)
  assert.ok(bytes.index + bytes.timeindex < 1_000)
})

test('a segment that retention removed meanwhile is passed over', async () => {
  const log = await writeLog([
    { timestamps: [90] },
    { timestamps: [20], newSegment: true },
    { timestamps: [30], newSegment: true },
  ])
  unlinkSync(join(log.dir, fileName(0, 'log')))
  assert.is((await findByTimestamp(realFileSystem, { ...log, target: 10 }))?.offset, 1)
  assert.is((await findMaxTimestamp(realFileSystem, log))?.offset, 2)
})

test('an offset index that points into the middle of batches is not believed', async () => {
  const log = await writeLog([{ timestamps: [10] }, { timestamps: [20] }, { timestamps: [30] }])
  const entry = Buffer.alloc(8)
  entry.writeUInt32BE(33, 4)
  writeFileSync(join(log.dir, fileName(0, 'index')), entry)
  await checkAgainstPlain(log, [0, 15, 25, 35])
})

test('indexes with zeros behind their entries, as Kafka keeps them while active, do no harm', async () => {
  const log = await writeLog([{ timestamps: [10] }, { timestamps: [20] }, { timestamps: [30] }])
  writeFileSync(join(log.dir, fileName(0, 'index')), Buffer.alloc(8 * 100))
  writeFileSync(join(log.dir, fileName(0, 'timeindex')), Buffer.alloc(12 * 100))
  await checkAgainstPlain(log, [0, 15, 25, 35])
})

test('a batch whose records cannot be read, or are a bomb, answers as a whole', async () => {
  const log = await writeLog([{ timestamps: [10] }, { timestamps: [20, 25], codec: 1 }])
  const path = join(log.dir, fileName(0, 'log'))
  const fd = realFileSystem.open(path, 'write')
  realFileSystem.write(fd, [Buffer.alloc(8, 0xff)], log.segments[0].size - 20)
  realFileSystem.close(fd)
  const expected = { offset: 1, timestamp: 25, leaderEpoch: 1 }
  assert.equal(await findByTimestamp(realFileSystem, { ...log, target: 15 }), expected)
  assert.equal(await findMaxTimestamp(realFileSystem, log), expected)

  const bomb = await writeLog([{ timestamps: [10, 20], codec: 1, valueBytes: 5_000 }])
  const input = { ...bomb, target: 15, contentBytesMax: 9_000 }
  const found = await findByTimestamp(realFileSystem, input)
  assert.equal(found, { offset: 0, timestamp: 20, leaderEpoch: 0 })
})

test('a log cut short below its end is an error, not an answer', async () => {
  const log = await writeLog([{ timestamps: [10] }, { timestamps: [20] }])
  const path = join(log.dir, fileName(0, 'log'))
  truncateSync(path, log.segments[0].size - 1)
  const error = await findByTimestamp(realFileSystem, { ...log, target: 20 }).catch(e => e)
  assert.instance(error, DamagedSegment)
  assert.match(error.message, path)
  const found = await findByTimestamp(realFileSystem, { ...log, target: 5, endOffset: 1 })
  assert.is(found?.offset, 0)
})

test('no file stays open', async () => {
  const log = await writeLog([{ timestamps: [10] }, { timestamps: [20], newSegment: true }])
  let open = 0
  const files: FileSystem = {
    ...realFileSystem,
    open(path, mode) {
      const fd = realFileSystem.open(path, mode)
      open++
      return fd
    },
    close(fd) {
      open--
      realFileSystem.close(fd)
    },
  }
  await findByTimestamp(files, { ...log, target: 10 })
  await findMaxTimestamp(files, log)
  truncateSync(join(log.dir, fileName(0, 'log')), 30)
  await findMaxTimestamp(files, log).catch(() => undefined)
  assert.is(open, 0)
})

test.run()
