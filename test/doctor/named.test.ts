import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { carryOut } from '../../src/doctor/carry-out.ts'
import { examine } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type Plan, planRepair } from '../../src/doctor/repair.ts'
import { COPIES } from '../../src/metadata/copies.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { encodeLine, newHeader } from '../../src/metadata/log-file.ts'
import { readAnyGroup } from '../../src/storage/journal-groups.ts'
import { JournalBytes } from '../../src/storage/journal-source.ts'
import type { TopicRecord } from '../../src/topics/topic-record.ts'
import { plainBatch } from '../lib/batches.ts'
import { RunningFolder, writeFolder } from '../lib/data-folder.ts'
import { textOf } from '../lib/doctor-run.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { DATA_DIR } from '../lib/store-driver.ts'

const test = suite('what a start refuses, and the doctor')

async function repaired(files: MemoryFs): Promise<Plan> {
  const plan = await planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
  carryOut(files, DATA_DIR, plan, 'doctor-of-the-test')
  assert.is(textOf(plan.left), '')
  return plan
}

/** Offsets of the batches that each partition serves; throws if a start is refused, or one is offline. */
async function offsets(files: MemoryFs): Promise<Record<string, number[]>> {
  const running = await RunningFolder.start(files.clone(new Random(1)))
  const all = [...running.served()].map(([name, stored]) => {
    assert.ok(stored !== null, `${name} is online`)
    return [name, stored.map(one => one.baseOffset)] as const
  })
  return Object.fromEntries(all)
}

async function isRefused(files: MemoryFs): Promise<boolean> {
  try {
    await RunningFolder.start(files.clone(new Random(1)))
    return false
  } catch {
    return true
  }
}

/** A folder of which the last batches of `single-0` are in one journal, one group each; its first file, and the offsets. */
async function journalled() {
  const files = await writeFolder(new Random(5), 'clean')
  const running = await RunningFolder.start(files)
  const { driver } = running.logs.get('single-0')!
  const appended = Array.from({ length: 8 }, (_, id) =>
    running.append('single-0', plainBatch({ id })),
  )
  const journal = `${DATA_DIR}/journal/${running.drivers.indexOf(driver)}/0.journal`
  return { files: files.clone(new Random(1)), journal, appended }
}

/** Where the groups of a journal file begin. */
function groupsOf(files: MemoryFs, path: string): number[] {
  const file = files.peek(path)!
  const source = new JournalBytes(file.data.subarray(0, file.size))
  const starts: number[] = []
  for (let at = 0; ; ) {
    const found = readAnyGroup(source, at)
    if (found === null || !found.isWhole) return starts
    starts.push(at)
    at += found.group.bytes
  }
}

const flip = (files: MemoryFs, path: string, at: number): void =>
  files.peek(path)!.damage(bytes => {
    bytes[at]! ^= 0x10
  })

const about = (findings: readonly Finding[], what: string): Finding[] =>
  findings.filter(one => one.about === what)

/** Behind a group's start: its length, its sequence, the topic id and the length of its first entry, a batch. */
const IN_GROUP = { length: 8, sequence: 24, topicId: 64 + 33, entry: 64 + 2, batch: 64 + 80 + 70 }

for (const [what, places] of [
  ['a header of a group', [IN_GROUP.length]],
  ['a sequence', [IN_GROUP.sequence + 6]],
  ['a topic id', [IN_GROUP.topicId]],
  ['the length of an entry', [IN_GROUP.entry]],
] as const) {
  for (const count of [1, 3]) {
    test(`${what} damaged in ${count} journal groups in a row: what the segments have is not lost`, async () => {
      const { files, journal } = await journalled()
      const before = await offsets(files)
      const starts = groupsOf(files, journal)
      for (const start of starts.slice(1, 1 + count)) {
        for (const place of places) flip(files, journal, start + place)
      }
      assert.ok(await isRefused(files))
      const { findings } = await repaired(files)
      assert.match(textOf(findings), /journal\/\d\/0\.journal.* a start is refused/)
      assert.equal(await offsets(files), before)
    })
  }
}

test('a journal group that cannot be read, and a segment without its batches: what follows is kept, at its offsets', async () => {
  const { files, journal, appended } = await journalled()
  const before = await offsets(files)
  flip(files, journal, groupsOf(files, journal)[2]! + IN_GROUP.topicId)
  const logs = files.list().filter(path => /single-0\/\d{20}\.log$/.test(path))
  const last = files.peek(logs.sort().at(-1)!)!
  last.damage(() => {}, last.size - appended.length * plainBatch({ id: 1 }).length)
  const { findings } = await repaired(files)
  assert.match(textOf(findings), /^lost journal.*whose batches were in 1 groups cannot be told/m)
  const lost = findings.filter(one => one.about === 'single-0').flatMap(one => one.lost ?? [])
  const third = appended[2]!
  assert.ok(lost.some(({ from, to }) => from <= third && third <= to))
  const after = await offsets(files)
  assert.equal(
    after['single-0'],
    before['single-0']!.filter(offset => offset !== third),
  )
})

test('both copies of the metadata damaged in the same line: the rest is kept, and nothing is counted twice', async () => {
  const files = await writeFolder(new Random(3), 'kill')
  const before = new LocalMetadataStore(files.clone(new Random(1)), DATA_DIR)
  const lines = files.peek(`${DATA_DIR}/metadata.log`)!
  const content = lines.data.subarray(0, lines.size)
  // The last line but one.
  const at = content.lastIndexOf(10, content.lastIndexOf(10, lines.size - 2) - 1)
  for (const name of ['metadata.log', 'metadata.2.log']) flip(files, `${DATA_DIR}/${name}`, at - 5)
  assert.ok(await isRefused(files))
  const { findings } = await repaired(files)
  assert.match(textOf(findings), /what revisions \d+ to \d+ have changed is in neither/)
  const after = new LocalMetadataStore(files.clone(new Random(1)), DATA_DIR)
  const epoch = 'brokers/1/epoch'
  assert.ok((after.peek(epoch) as number) > (before.peek(epoch) as number) + 500)
  await RunningFolder.start(files)
})

/** As a metadata log begins: a header, and no snapshot. */
function cutBehindFirstLine(files: MemoryFs, path: string): void {
  const header = encodeLine(newHeader(0, 0))
  files.peek(path)!.damage(bytes => header.copy(bytes), header.length)
}

for (const how of [
  'missing',
  'damaged at their beginning',
  'cut behind their beginning',
] as const) {
  test(`both copies of the metadata ${how}: topics are made again from their folders, and keep everything`, async () => {
    const files = await writeFolder(new Random(3), 'kill')
    const before = await offsets(files)
    for (const name of COPIES) {
      if (how === 'missing') files.unlink(`${DATA_DIR}/${name}`)
      else if (how.startsWith('cut')) cutBehindFirstLine(files, `${DATA_DIR}/${name}`)
      else files.peek(`${DATA_DIR}/${name}`)!.damage(bytes => bytes.fill(0, 0, 40))
    }
    assert.ok(await isRefused(files))
    const { findings } = await repaired(files)
    assert.match(findings[0]!.repair!, /made again from the folders/)
    assert.equal(await offsets(files), before)
    const store = new LocalMetadataStore(files.clone(new Random(1)), DATA_DIR)
    const topic = store.peek('topics/orders') as unknown as TopicRecord
    assert.equal(topic.configs, { 'retention.ms': '-1', 'retention.bytes': '-1' })
    assert.is(topic.partitions, 2)
    files.unlink(`${DATA_DIR}/meta.properties`)
    for (const name of COPIES) files.unlink(`${DATA_DIR}/${name}`)
    const { left, changes } = await planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
    assert.equal(changes, [])
    assert.match(textOf(left), /both copies are missing/)
  })
}

test('metadata of an earlier start beside newer records: these are left as they are', async () => {
  const files = await writeFolder(new Random(3), 'clean')
  const old = COPIES.map(name => Buffer.from(bytesOf(files, name)))
  for (let start = 0; start < 3; start++) {
    const running = await RunningFolder.start(files)
    for (let id = 0; id < 3; id++) running.append('single-0', plainBatch({ id }))
    await running.stop()
  }
  for (const [i, name] of COPIES.entries()) {
    files.peek(`${DATA_DIR}/${name}`)!.damage(bytes => old[i]!.copy(bytes), old[i]!.length)
  }
  const { findings } = await examine(files, DATA_DIR)
  assert.match(textOf(findings.faults), /^damaged single-0\/.* newer starts than the metadata/m)
  const { changes } = await planRepair(files, DATA_DIR, await examine(files, DATA_DIR))
  assert.equal(
    changes.filter(({ file }) => file.startsWith('single-0')),
    [],
  )
})

function bytesOf(files: MemoryFs, name: string): Buffer {
  const file = files.peek(`${DATA_DIR}/${name}`)!
  return file.data.subarray(0, file.size)
}

test('a sector of a segment that the drive cannot read costs what is in it', async () => {
  const files = await writeFolder(new Random(4), 'clean')
  const before = await offsets(files)
  const path = `${DATA_DIR}/orders-1/${'0'.repeat(20)}.log`
  const { read } = files
  let broken = true
  files.read = (fd, target, offset, length, position) => {
    const isHit = files.pathOf(fd) === path && position < 900 && position + length > 700
    if (broken && isHit) throw Object.assign(new Error('EIO: read'), { code: 'EIO' })
    return read.call(files, fd, target, offset, length, position)
  }
  const { findings } = await repaired(files)
  broken = false
  const lost = about(findings, 'orders-1').flatMap(one => one.lost ?? [])
  assert.is(lost.length, 1)
  const { from, to } = lost[0]!
  const kept = before['orders-1']!.filter(offset => offset < from || offset > to)
  assert.equal((await offsets(files))['orders-1'], kept)
})

test.run()
