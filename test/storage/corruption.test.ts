import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as batch from '../../src/protocol/record-batch.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { idOf, plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'

const BATCHES = 60
const LOG = '/data/orders-0/00000000000000000000.log'
const PARTITION: PartitionToOpen = {
  handle: 0,
  name: 'orders-0',
  topicId: Buffer.alloc(16, 7).toString('base64url'),
  partition: 0,
  leaderEpoch: 0,
  config: { ...LOG_CONFIG, segmentBytes: 20_000 },
}
const JOURNAL = { journalFileBytes: 64 * 1024, bypassBytes: 16 * 1024 }

const test = suite('damaged files')

/** A log of two segments and a bit, all flushed; the last `unflushed` batches are only in the journal. */
function written(clean: boolean, config = PARTITION.config): MemoryFs {
  const files = new MemoryFs(new Random(1))
  const driver = new StoreDriver({ files, ...JOURNAL })
  driver.open([{ ...PARTITION, config }])
  driver.command('ready', { workers: 1 })
  for (let id = 1; id <= BATCHES; id++) {
    driver.append(PARTITION, plainBatch({ id, contentBytes: 700, producerId: 5, sequence: id - 1 }))
    if (id === BATCHES - 5) driver.tick()
  }
  if (clean) driver.command('close', {})
  return clean ? files : files.clone(new Random(1))
}

function open(
  files: MemoryFs,
  clean: boolean,
): { driver: StoreDriver; view: LogView; notes: string[] } {
  const driver = new StoreDriver({ files, clean, ...JOURNAL })
  const { views, notes } = driver.command('open', {
    partitions: [PARTITION],
    recovering: true,
    deleted: [],
  })
  driver.command('ready', { workers: 1 })
  return { driver, view: views[0]!, notes }
}

function assertWhole(files: MemoryFs, view: LogView): void {
  assert.is(view.offline, null)
  const ids = readLog(files, PARTITION.name, view).map(b => idOf(b.bytes))
  assert.equal(
    ids,
    Array.from({ length: BATCHES }, (_, i) => i + 1),
  )
}

const lastLog = (files: MemoryFs): string =>
  files
    .list()
    .filter(path => path.endsWith('.log'))
    .sort()
    .at(-1)!

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at]! ^= 0x10
}

const secondLog = (files: MemoryFs): string =>
  files
    .list()
    .filter(path => path.endsWith('.log'))
    .sort()[1]!

/** Ways to take whole batches of closed segments away: 761 bytes each. */
const HOLES: [string, (files: MemoryFs) => void][] = [
  ['an older segment cut by a batch', files => cutLog(files, LOG, 761)],
  ['a segment in the middle cut by five', files => cutLog(files, secondLog(files), 5 * 761)],
  ['an older segment that is empty', files => cutLog(files, LOG, files.peek(LOG)!.size)],
  ['a missing first segment', files => files.unlink(LOG)],
  ['a missing first segment with its indexes', files => removeSegment(files, LOG)],
  ['a missing segment in the middle', files => removeSegment(files, secondLog(files))],
]

const cutLog = (files: MemoryFs, path: string, bytes: number): void =>
  files.peek(path)!.damage(() => {}, files.peek(path)!.size - bytes)

function removeSegment(files: MemoryFs, log: string): void {
  for (const path of files.list().filter(p => p.startsWith(log.slice(0, -3)))) files.unlink(path)
}

for (const clean of [true, false]) {
  const stop = clean ? 'after a clean stop' : 'after a kill'

  test(`a batch header damaged below the durable end takes the partition offline, ${stop}`, () => {
    const files = written(clean)
    files.peek(lastLog(files))!.damage(flip(8))
    const { view } = open(files, clean)
    assert.match(view.offline!, /damaged at byte 0, below its durable end/)
  })

  test(`a last segment that has lost its end takes the partition offline, ${stop}`, () => {
    const files = written(clean)
    const path = lastLog(files)
    // 761 bytes a batch: whole batches are missing, which no CRC shows. What is in the journal would come back.
    files.peek(path)!.damage(() => {}, files.peek(path)!.size - 761 * 8)
    const { view } = open(files, clean)
    assert.match(view.offline!, /ends (before offset|at byte)/)
  })

  test(`an older segment that is cut off inside a batch takes the partition offline, ${stop}`, () => {
    const files = written(clean)
    files.peek(LOG)!.damage(() => {}, files.peek(LOG)!.size - 100)
    assert.match(open(files, clean).view.offline!, /segment 0 is damaged/)
  })

  for (const [what, remove] of HOLES) {
    test(`${what} takes the partition offline, ${stop}`, () => {
      const files = written(clean)
      remove(files)
      const { view } = open(files, clean)
      assert.match(
        view.offline!,
        /offsets \d+ to \d+ behind it are missing|those before it are missing/,
      )
      assert.equal(view.segments, [])
    })
  }

  for (const kind of ['index', 'timeindex', 'snapshot']) {
    for (const how of ['deleted', 'cut', 'zeroed', 'flipped'] as const) {
      test(`${kind} files ${how} are made again, ${stop}`, () => {
        const files = written(clean)
        for (const path of files.list().filter(p => p.endsWith(`.${kind}`))) {
          const file = files.peek(path)!
          if (how === 'deleted') files.unlink(path)
          else if (how === 'cut') file.damage(() => {}, Math.max(0, file.size - 3))
          else if (how === 'zeroed') file.damage(bytes => bytes.fill(0))
          else if (file.size > 0) file.damage(flip(file.size - 5))
        }
        const { driver, view } = open(files, clean)
        assertWhole(files, view)
        const next = { id: 99, contentBytes: 700, producerId: 5, sequence: BATCHES }
        assert.is(driver.append(PARTITION, plainBatch(next)).baseOffset, BATCHES)
        const again = plainBatch({ ...next, id: BATCHES, sequence: BATCHES - 1 })
        assert.is(driver.append(PARTITION, again).duplicate, true)
      })
    }
  }

  for (const how of ['deleted', 'zeroed'] as const) {
    test(`a leader epoch file ${how} is learnt again, ${stop}`, () => {
      const files = written(clean)
      const path = '/data/orders-0/leader-epoch-checkpoint'
      if (how === 'deleted') files.unlink(path)
      else files.peek(path)!.damage(bytes => bytes.fill(0))
      const { view } = open(files, clean)
      assertWhole(files, view)
      assert.equal(view.epochs, [{ epoch: 0, startOffset: 0 }])
    })

    for (const copies of [['checkpoint'], ['checkpoint.2'], ['checkpoint', 'checkpoint.2']]) {
      test(`a worker's ${copies.join(' and ')} ${how} costs a verification and no record, ${stop}`, () => {
        const files = written(clean)
        for (const copy of copies) {
          const path = `/data/journal/0/${copy}`
          if (how === 'deleted') files.unlink(path)
          else files.peek(path)!.damage(bytes => bytes.fill(0))
        }
        const { view, notes } = open(files, clean)
        assertWhole(files, view)
        assert.match(
          notes.join(),
          new RegExp(`${copies[0]} is ${how === 'deleted' ? 'missing' : 'damaged'}|no copy`),
        )
        for (const copy of copies) assert.ok(files.exists(`/data/journal/0/${copy}`), 'made again')
      })
    }
  }
}

test('a leader epoch file deleted beside one long segment is learnt again', () => {
  const files = new MemoryFs(new Random(1))
  const partition = { ...PARTITION, config: LOG_CONFIG }
  const driver = new StoreDriver({ files })
  driver.open([partition])
  driver.command('ready', { workers: 1 })
  // More than a stop leaves to be walked again.
  for (let id = 1; id <= 60; id++) {
    if (id === 6) driver.command('lead', { items: [{ handle: 0, epoch: 1, highWatermark: 5 }] })
    driver.submit(partition, plainBatch({ id, contentBytes: 10_000 }), id > 5 ? 1 : 0)
    driver.run()
  }
  driver.command('close', {})
  files.unlink('/data/orders-0/leader-epoch-checkpoint')
  const { views } = new StoreDriver({ files, clean: true }).command('open', {
    ...{ partitions: [partition], recovering: true, deleted: [] },
  })
  const epochs = [0, 1].map(epoch => ({ epoch, startOffset: 5 * epoch }))
  assert.equal(views[0]!.epochs, epochs)
})

test('a torn tail is saved aside and cut', () => {
  const files = written(false)
  const path = lastLog(files)
  const { size } = files.peek(path)!
  const fd = files.open(path, 'write')
  files.write(fd, [Buffer.alloc(300, 9)], size)
  files.close(fd)
  const { view, notes } = open(files, false)
  assertWhole(files, view)
  assert.is(files.peek(path)!.size, size)
  assert.is(files.peek(`${path}.${size}.torn`)!.size, 300)
  assert.match(notes.join(), /cut 300 bytes of a torn tail/)
})

const OTHER: PartitionToOpen = { ...PARTITION, handle: 1, name: 'orders-1', partition: 1 }

/** Two partitions of one worker, of which the journal has all: one group each in turn. */
function inJournal(): MemoryFs {
  const files = new MemoryFs(new Random(1))
  const driver = new StoreDriver({ files, ...JOURNAL })
  driver.open([PARTITION, OTHER])
  driver.command('ready', { workers: 1 })
  for (let id = 1; id <= 10; id++) {
    for (const one of [PARTITION, OTHER]) {
      driver.append(one, plainBatch({ id, contentBytes: 700, producerId: 5, sequence: id - 1 }))
    }
  }
  return files.clone(new Random(1))
}

function openBoth(files: MemoryFs): { views: LogView[]; notes: string[] } {
  const driver = new StoreDriver({ files, ...JOURNAL })
  const opened = driver.command('open', {
    partitions: [PARTITION, OTHER],
    recovering: true,
    deleted: [],
  })
  driver.command('ready', { workers: 1 })
  return opened
}

/** Where groups begin in the journal's first file: 1,024 bytes each, of PARTITION and OTHER in turn. */
const JOURNAL_FILE = '/data/journal/0/0.journal'
const GROUP = 1_024
const [IN_BATCH, IN_ENTRY] = [200, 64 + 24]

test('a batch that is damaged in the journal costs nothing if its segment has it', () => {
  const files = inJournal()
  files.peek(JOURNAL_FILE)!.damage(flip(17 * GROUP + IN_BATCH))
  const { views, notes } = openBoth(files)
  for (const [i, name] of ['orders-0', 'orders-1'].entries()) {
    assert.is(views[i]!.offline, null)
    const found = readLog(files, name, views[i]!)
    assert.is(found.length, 10)
    for (const { bytes } of found) assert.is(batch.computeCrc(bytes), batch.storedCrc(bytes))
  }
  assert.match(notes.join(), /1 groups of the journal are damaged/)
})

test('a batch that is damaged in the journal and not in its segment costs its partition, until it is there', () => {
  const files = inJournal()
  const whole = [0, 1].map(i => files.peek(`/data/orders-${i}/00000000000000000000.log`)!)
  const lost = Buffer.from(whole[1]!.data.subarray(0, whole[1]!.size))
  // A power cut takes the unflushed segments; the damage hits the 9th batch of the second partition.
  for (const file of whole) file.damage(() => {}, 0)
  files.peek(JOURNAL_FILE)!.damage(flip(17 * GROUP + IN_BATCH))
  for (let start = 0; start < 3; start++) {
    const { views } = openBoth(files)
    assert.is(views[0]!.offline, null)
    assert.is(readLog(files, 'orders-0', views[0]!).length, 10)
    assert.match(
      views[1]!.offline!,
      /offset 8 is damaged in the journal, and segment 0 does not have/,
    )
    assert.is(whole[1]!.size, 0, 'nothing is written')
  }
  const fd = files.open('/data/orders-1/00000000000000000000.log', 'write')
  files.write(fd, [lost.subarray(0, 9 * 761)], 0)
  files.close(fd)
  const { views } = openBoth(files)
  assert.is(views[1]!.offline, null)
  assert.is(readLog(files, 'orders-1', views[1]!).length, 10)
})

test('a durable journal group of which not even the names are certain stops the start, and changes nothing', () => {
  for (const at of [IN_ENTRY, 64, 24, 5]) {
    const files = inJournal()
    files.peek(JOURNAL_FILE)!.damage(flip(17 * GROUP + at))
    const before = files.list().map(path => [path, files.peek(path)!.data.toString('base64')])
    assert.throws(
      () => openBoth(files),
      /journal damaged: group \d+ says that group \d+ was flushed/,
    )
    const after = files.list().map(path => [path, files.peek(path)!.data.toString('base64')])
    assert.equal(after, before)
  }
})

test('a bit flip anywhere in the journal is mended from the segments, or stops the start', () => {
  const random = new Random(11)
  let refused = 0
  for (let i = 0; i < 400; i++) {
    const files = inJournal()
    const at = random.below(19 * GROUP)
    files.peek(JOURNAL_FILE)!.damage(flip(at))
    let views: LogView[]
    try {
      views = openBoth(files).views
    } catch (error) {
      assert.match(String(error), /journal damaged/)
      refused++
      continue
    }
    for (const [i, name] of ['orders-0', 'orders-1'].entries()) {
      assert.is(views[i]!.offline, null, `byte ${at}`)
      assert.is(readLog(files, name, views[i]!).length, 10, `byte ${at}`)
    }
  }
  // 144 of 1,024 bytes are headers.
  assert.ok(refused > 0 && refused < 100, `${refused} refused`)
})

test('a bit flip anywhere in log, journal or checkpoint is found, or changes nothing that is served', () => {
  const random = new Random(5)
  for (let i = 0; i < 250; i++) {
    const files = written(false)
    const paths = files.list().filter(p => /orders|journal/.test(p) && !p.endsWith('.metadata'))
    const path = random.pick(paths)
    const file = files.peek(path)!
    if (file.size === 0) continue
    const at = random.below(file.size)
    file.damage(flip(at))
    let view: LogView
    try {
      view = open(files, false).view
    } catch (error) {
      assert.match(String(error), /damaged/)
      continue
    }
    if (view.offline !== null) {
      assert.match(view.offline, /damaged/)
      continue
    }
    const found = readLog(files, PARTITION.name, view)
    // A flip inside a batch below the durable point is the reader's to find, by the batch's CRC.
    if (!path.endsWith('.log')) assert.is(found.length, BATCHES, `${path} at ${at}`)
  }
})

test.run()
