import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodePlainBatch } from '../../src/protocol/records.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { compactStore } from '../lib/compact-store.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random, seeds } from '../lib/random.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const SEGMENT_BYTES = 2_000
const CASES = 60
const PARTITION: PartitionToOpen = {
  handle: 1,
  name: 'topic-0',
  topicId: Buffer.alloc(16, 7).toString('base64url'),
  partition: 0,
  leaderEpoch: 0,
  config: { ...LOG_CONFIG, segmentBytes: SEGMENT_BYTES },
}
const WORKERS = ['/data/journal/0/checkpoint', '/data/journal/0/checkpoint.2']
const COMPACTIONS = ['/data/topic-0/compaction-checkpoint', '/data/topic-0/compaction-checkpoint.2']
type Plant = (files: MemoryFs) => void

const test = suite('two generations of what decides')

interface Made {
  readonly files: MemoryFs
  readonly before: ReadonlyMap<number, Buffer>
  readonly start: number
}

/** A log that was compacted, and shortened within a segment; all it ever had is in the journal. */
async function made(seed: number, plant: Plant = () => {}): Promise<Made> {
  const random = new Random(seed)
  const files = new MemoryFs(new Random(seed + 1))
  plant(files)
  const driver = new StoreDriver({ files })
  driver.open([PARTITION])
  driver.command('ready', { workers: 1 })
  let view: LogView = driver.deleteRecords(1, 0)
  for (let round = 0; round < 3; round++) {
    append(driver, random, 60)
    view = driver.deleteRecords(1, view.logStartOffset)
    if (random.chance(0.8)) await compactStore(driver, files, PARTITION, view, SEGMENT_BYTES)
    const within = view.segments[random.below(view.segments.length - 1)]!.base + random.below(5)
    if (within > view.logStartOffset) view = driver.deleteRecords(1, within)
  }
  append(driver, random, 1 + random.below(20))
  if (random.chance(0.5)) driver.tick()
  append(driver, random, random.below(20))
  view = driver.deleteRecords(1, 0)
  const after = random.chance(0.5) ? files.clone(random) : files.image(random)
  return { files: after, before: contentOf(files, view), start: view.logStartOffset }
}

function append(driver: StoreDriver, random: Random, batches: number): void {
  for (let i = 0; i < batches; i++) {
    const key = Buffer.from(`key ${random.below(8)}`)
    const value = Buffer.alloc(random.below(300), i)
    const records = [{ timestamp: 1_000, key, value }]
    assert.is(driver.append(PARTITION, encodePlainBatch(records)).error, 0)
  }
}

const contentOf = (files: MemoryFs, view: LogView): Map<number, Buffer> =>
  new Map(readLog(files, PARTITION.name, view).map(({ baseOffset, bytes }) => [baseOffset, bytes]))

/** What deletes, or damages, a file. */
function hit(files: MemoryFs, path: string, random: Random): string {
  const file = files.peek(path)
  if (file === null) return 'is not there'
  const how = random.pick(['deleted', 'flipped', 'cut', 'zeroed'] as const)
  if (how === 'deleted') files.unlink(path)
  else if (how === 'cut') file.damage(() => {}, random.below(file.size))
  else if (how === 'zeroed') file.damage(bytes => bytes.fill(0))
  else {
    const at = random.below(file.size)
    file.damage(bytes => {
      bytes[at]! ^= 1 << random.below(8)
    })
  }
  return how
}

const segmentsOf = (files: MemoryFs): Map<string, Buffer> =>
  new Map(
    files
      .list()
      .filter(path => /topic-0\/\d+\.log$/.test(path))
      .map(path => [path, Buffer.from(files.peek(path)!.data.subarray(0, files.peek(path)!.size))]),
  )

function restart(files: MemoryFs): { view: LogView; notes: string[] } {
  const driver = new StoreDriver({ files })
  const { views, notes } = driver.command('open', {
    partitions: [PARTITION],
    recovering: true,
    deleted: [],
  })
  driver.command('ready', { workers: 1 })
  return { view: views[0]!, notes }
}

/** What was acknowledged is there as it was, and nothing else. */
function assertSame({ before }: Made, files: MemoryFs, view: LogView, from: number): void {
  assert.is(view.offline, null)
  const found = contentOf(files, view)
  for (const [offset, bytes] of before) {
    if (offset >= from) assert.ok(found.get(offset)?.equals(bytes), `offset ${offset}`)
  }
  for (const offset of found.keys()) {
    if (offset >= from) assert.ok(before.has(offset), `offset ${offset} had been compacted away`)
  }
}

/** Nothing that was there is anything else now, whatever is added at the end. */
function assertUntouched(before: ReadonlyMap<string, Buffer>, files: MemoryFs): void {
  for (const [path, bytes] of before) {
    const now = files.peek(path)
    assert.ok(now !== null, `${path} is gone`)
    assert.ok(now!.data.subarray(0, bytes.length).equals(bytes), `${path} was overwritten`)
  }
}

async function oneCopy(seed: number, plant: Plant = () => {}): Promise<void> {
  const one = await made(seed, plant)
  const random = new Random(seed + 2)
  for (const path of [...WORKERS, ...COMPACTIONS]) {
    const files = one.files.clone(new Random(seed))
    plant(files)
    const how = hit(files, path, random)
    const { view } = restart(files)
    assert.is(view.logStartOffset, one.start, `${path} ${how}`)
    assertSame(one, files, view, one.start)
    assert.ok(how === 'is not there' || files.exists(path), `${path} is made again`)
  }
}

test(`one copy of any checkpoint hit: nothing is lost, nothing comes back (${CASES} cases)`, async () => {
  for (const seed of seeds(1, CASES)) await named(seed, () => oneCopy(seed))
})

async function named(seed: number, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
  }
}

test(`both copies of a worker's checkpoint hit: compacted segments stay as they are (${CASES} cases)`, async () => {
  for (const seed of seeds(1, CASES)) {
    await named(seed, async () => {
      const one = await made(seed)
      const random = new Random(seed + 2)
      const { files } = one
      const segments = segmentsOf(files)
      for (const path of WORKERS) hit(files, path, random)
      const { view, notes } = restart(files)
      assertSame(one, files, view, one.start)
      assert.match(notes.join(), /no copy of the checkpoint is whole/)
      for (const path of segments.keys()) assert.ok(files.exists(path), `${path} is gone`)
    })
  }
})

test(`all checkpoints hit: what is there is untouched, and served only if it is whole (${CASES} cases)`, async () => {
  let offline = 0
  const all = seeds(1, CASES)
  for (const seed of all) {
    await named(seed, async () => {
      const one = await made(seed)
      const random = new Random(seed + 2)
      const { files } = one
      const closed = segmentsOf(files)
      const last = [...closed.keys()].sort().at(-1)!
      for (const path of [...(random.chance(0.5) ? WORKERS : []), ...COMPACTIONS]) {
        hit(files, path, random)
      }
      const { view } = restart(files)
      if (view.offline === null) assertSame(one, files, view, one.start)
      else offline++
      if (view.offline === null) closed.delete(last)
      assertUntouched(closed, files)
    })
  }
  assert.ok(offline > all.length / 4, `${offline} offline`)
})

const dropRename = (ending: string): Plant => {
  return files => {
    const { rename } = files
    files.rename = (from, to) => {
      if (!to.endsWith(ending)) rename.call(files, from, to)
    }
  }
}

const PLANTED: Record<string, Plant> = {
  'a second copy of the worker checkpoint is not written': dropRename('0/checkpoint.2'),
  'a second copy of the compaction checkpoint is not written':
    dropRename('compaction-checkpoint.2'),
}

for (const [name, plant] of Object.entries(PLANTED)) {
  test(`planted bug found: ${name}`, async () => {
    let found = ''
    for (let seed = 1; seed <= CASES && found === ''; seed++) {
      await oneCopy(seed, plant).catch(error => {
        found = String(error)
      })
    }
    assert.is.not(found, '')
  })
}

test.run()
