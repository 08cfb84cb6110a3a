import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { AccessHere } from '../../src/embedded/access.ts'
import { Appender } from '../../src/embedded/append.ts'
import { read } from '../../src/embedded/read.ts'
import { DataDirError } from '../../src/index.ts'
import { COPIES, MetadataCorrupt } from '../../src/metadata/copies.ts'
import { CLEAN } from '../../src/topics/clean-mark.ts'

// A file that somebody deletes after a crash (meta.properties: a common remedy with Kafka), or puts back from somewhere, made
// a start believe that the folder was new or clean: the journal was skipped, or topics were forgotten.
const test = suite('nothing starts empty or clean beside data')
const RECORDS = 10
const root = fs.mkdtempSync(join(tmpdir(), 'odradek-issue-'))
test.after(() => fs.rmSync(root, { recursive: true }))
let folders = 0

const start = (dataDir: string): Promise<BrokerNode> =>
  BrokerNode.start({ code: { dataDir, listeners: 'PLAINTEXT://127.0.0.1:0' } })

/** A folder after a crash and a power cut: ten acknowledged records that only the journal has. */
async function crashed(): Promise<string> {
  const dir = join(root, String(folders++))
  const broker = await start(dir)
  await broker.registry.create('t', 1, {})
  const appender = new Appender(new AccessHere(broker), AbortSignal.any([]))
  for (let i = 0; i < RECORDS; i++) await appender.append('t', [{ value: String(i) }])
  await broker.kill()
  fs.truncateSync(join(dir, 't-0', '00000000000000000000.log'))
  return dir
}

async function expectAllThere(dir: string): Promise<void> {
  const broker = await start(dir)
  try {
    assert.not.ok(broker.wasClean)
    const values: number[] = []
    const { signal } = new AbortController()
    for await (const record of read(new AccessHere(broker), 't', { until: 'end' }, signal)) {
      values.push(Number(record.value))
    }
    assert.equal(values, [...Array(RECORDS).keys()])
  } finally {
    await broker.close()
  }
}

async function expectRefusal(dir: string, why: RegExp): Promise<void> {
  const before = fs.readdirSync(dir)
  const error = await start(dir).then(
    broker => broker.kill(),
    (error: unknown) => error,
  )
  assert.instance(error, DataDirError)
  assert.match((error as Error).message, why)
  assert.equal(fs.readdirSync(dir), before)
}

test('meta.properties deleted after a crash', async () => {
  const dir = await crashed()
  const file = join(dir, 'meta.properties')
  const before = fs.readFileSync(file, 'utf8')
  fs.rmSync(file)
  await expectAllThere(dir)
  assert.is(fs.readFileSync(file, 'utf8'), before)
})

test('one copy of the metadata deleted or damaged after a crash', async () => {
  for (const name of COPIES) {
    for (const kind of ['deleted', 'damaged']) {
      const dir = await crashed()
      const path = join(dir, name)
      const content = fs.readFileSync(path)
      if (kind === 'deleted') fs.rmSync(path)
      else fs.writeFileSync(path, content.fill(content[99]! ^ 8, 99, 100))
      await expectAllThere(dir)
    }
  }
})

test('both copies of the metadata deleted: refused, until one is put back', async () => {
  const dir = await crashed()
  const [first, second] = COPIES.map(name => join(dir, name))
  const content = fs.readFileSync(first!)
  fs.rmSync(first!)
  fs.rmSync(second!)
  await expectRefusal(dir, /holds data \(journal, t-0\), but both copies of its metadata/)
  fs.rmSync(join(dir, 'meta.properties'))
  await expectRefusal(dir, /holds data \(journal, t-0\), but both copies of its metadata/)
  fs.writeFileSync(second!, content)
  await expectAllThere(dir)
})

test('both copies of the metadata damaged: refused', async () => {
  const dir = await crashed()
  for (const name of COPIES) {
    const content = fs.readFileSync(join(dir, name))
    fs.writeFileSync(join(dir, name), content.fill(content[99]! ^ 1, 99, 100))
  }
  const error = await start(dir).catch((error: unknown) => error)
  assert.instance(error, MetadataCorrupt)
})

test('the journal deleted after a crash: refused, until it is put back or given up', async () => {
  const dir = await crashed()
  const journal = join(dir, 'journal')
  const aside = join(root, `journal-${folders}`)
  fs.renameSync(journal, aside)
  await expectRefusal(dir, /lacks journal\/0\/0\.journal, .*restore it from a copy/)
  fs.renameSync(aside, journal)
  await expectAllThere(dir)
})

test('worker counts that change between crashes leave no journal missed', async () => {
  const dir = join(root, String(folders++))
  const listeners = 'PLAINTEXT://127.0.0.1:0'
  for (const [i, workers] of [3, 1, 4, 2, 2, 1].entries()) {
    const code = { dataDir: dir, listeners, 'odradek.partition.workers': workers }
    const broker = await BrokerNode.start({ code })
    assert.is(await expectedJournals(broker), workers)
    await new Appender(new AccessHere(broker), AbortSignal.any([])).append('t', [
      { value: String(i) },
    ])
    const topic = broker.registry.topic('t')!
    assert.is(
      topic.partitions.reduce((sum, { highWatermark }) => sum + highWatermark, 0),
      i + 1,
    )
    await (i % 2 === 0 ? broker.kill() : broker.close())
  }
})

async function expectedJournals(broker: BrokerNode): Promise<unknown> {
  return (await broker.store.get(`brokers/${broker.nodeId}/journals`))?.value
}

test('a mark of an earlier clean stop, put back after a crash', async () => {
  const dir = join(root, String(folders++))
  await (await start(dir)).close()
  const mark = fs.readFileSync(join(dir, CLEAN))
  const broken = await crashed()
  fs.writeFileSync(join(broken, CLEAN), mark)
  await expectAllThere(broken)
})

test('a clean stop after all of it is clean', async () => {
  const dir = await crashed()
  await expectAllThere(dir)
  const broker = await start(dir)
  assert.ok(broker.wasClean)
  await broker.close()
})

test.run()
