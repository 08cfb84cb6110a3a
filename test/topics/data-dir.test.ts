import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { COPIES } from '../../src/metadata/copies.ts'
import { CLEAN } from '../../src/topics/clean-mark.ts'
import { DataDir, DataDirError } from '../../src/topics/data-dir.ts'
import { LockTaker } from '../lib/lock-takers.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'odradek-data-dir-'))
let dirs = 0
const test = suite('data folder')
test.after(() => fs.rmSync(root, { recursive: true }))

const newPath = (): string => join(root, String(dirs++))

function refused(open: () => unknown, why: RegExp): void {
  assert.throws(open, (error: Error) => error instanceof DataDirError && why.test(error.message))
}

/** Opens a folder and lets go of it, as a start that fails does. */
async function openAndLeave(
  path: string,
  nodeId = 1,
  clusterId: string | null = null,
): Promise<void> {
  await leave(new DataDir(path, nodeId, clusterId))
}

async function leave(dir: DataDir): Promise<void> {
  await dir.store.close()
  dir.unlock()
}

/** A start and its end. @returns whether it found the folder clean */
async function run(path: string, isClean: boolean): Promise<boolean> {
  const dir = new DataDir(path, 1, null)
  await dir.begin()
  await dir.store.close()
  if (isClean) dir.markClean()
  dir.unlock()
  return dir.wasClean
}

test('a new folder is made, clean, with a cluster id that stays', async () => {
  const path = join(newPath(), 'deep', 'er')
  const first = new DataDir(path, 1, null)
  assert.ok(first.isNew && first.wasClean)
  assert.match(first.clusterId, /^[\w-]{22}$/)
  const meta = fs.readFileSync(join(path, 'meta.properties'), 'utf8')
  assert.match(meta, /^version=1$/m)
  assert.match(meta, /^node\.id=1$/m)
  assert.match(meta, /^directory\.id=[\w-]{22}$/m)
  await leave(first)
  const again = new DataDir(path, 1, null)
  assert.not.ok(again.isNew)
  assert.is(again.clusterId, first.clusterId)
  await leave(again)
  assert.is(fs.readFileSync(join(path, 'meta.properties'), 'utf8'), meta)
})

test('what is around a data folder makes it no less new', async () => {
  const path = newPath()
  fs.mkdirSync(join(path, 'lost+found'), { recursive: true })
  fs.mkdirSync(join(path, 'backup-2024'))
  fs.mkdirSync(join(path, 'journal'))
  fs.writeFileSync(join(path, 'notes-7'), '')
  const dir = new DataDir(path, 1, null)
  assert.ok(dir.isNew)
  await leave(dir)
})

test('the marker of a clean stop counts once', async () => {
  const path = newPath()
  assert.ok(await run(path, true), 'new')
  const second = new DataDir(path, 1, null)
  assert.ok(second.wasClean)
  assert.not.ok(fs.existsSync(join(path, CLEAN)), 'removed at the start')
  await leave(second)
  assert.not.ok(await run(path, true))
  assert.ok(await run(path, false))
  assert.not.ok(await run(path, false))
})

test('the marker of another start, of another folder or of no start proves nothing', async () => {
  const path = newPath()
  await run(path, true)
  const old = fs.readFileSync(join(path, CLEAN))
  const other = newPath()
  await run(other, true)
  for (const marker of [old, fs.readFileSync(join(other, CLEAN)), '{"version":0}\n', '', 'null']) {
    await run(path, false)
    fs.writeFileSync(join(path, CLEAN), marker)
    const dir = new DataDir(path, 1, null)
    assert.not.ok(dir.wasClean)
    assert.ok(dir.notes.some(note => /mark of a clean stop is not that/.test(note)))
    assert.not.ok(fs.existsSync(join(path, CLEAN)))
    await leave(dir)
  }
})

test('metadata that was put back counts the same epochs again, but not the same starts', async () => {
  const path = newPath()
  await run(path, true)
  const backup = COPIES.map(name => [join(path, name), fs.readFileSync(join(path, name))] as const)
  await run(path, true)
  const marker = fs.readFileSync(join(path, CLEAN))
  for (const [name, content] of backup) fs.writeFileSync(name, content)
  await run(path, false)
  fs.writeFileSync(join(path, CLEAN), marker)
  assert.not.ok(await run(path, false), 'epoch 2 both, and yet')
})

test('meta.properties that is missing, empty or cut short is made anew from its copy', async () => {
  for (const damage of [null, '', 'version=1\ncluster.id']) {
    const path = newPath()
    await run(path, false)
    const file = join(path, 'meta.properties')
    const whole = fs.readFileSync(file, 'utf8')
    if (damage === null) fs.rmSync(file)
    else fs.writeFileSync(file, damage)
    refused(() => new DataDir(path, 2, null), /belongs to|holds data/)
    refused(() => new DataDir(path, 1, 'other'), /belongs to cluster/)
    const dir = new DataDir(path, 1, null)
    assert.not.ok(dir.isNew || dir.wasClean)
    assert.ok(dir.notes.some(note => /^meta\.properties was missing or not whole/.test(note)))
    await leave(dir)
    assert.is(fs.readFileSync(file, 'utf8'), whole)
  }
})

test('meta.properties of another folder is refused', async () => {
  const [path, other] = [newPath(), newPath()]
  for (const one of [path, other]) await run(one, true)
  fs.copyFileSync(join(other, 'meta.properties'), join(path, 'meta.properties'))
  refused(
    () => new DataDir(path, 1, null),
    /meta\.properties says cluster .* metadata is of cluster/,
  )
  assert.ok(fs.existsSync(join(path, CLEAN)), 'the marker stays')
})

function addPartition(path: string, name: string): void {
  fs.mkdirSync(join(path, name))
  fs.writeFileSync(join(path, name, 'partition.metadata'), '')
}

test('data without metadata is refused, whatever else is there', async () => {
  for (const keep of [true, false]) {
    const path = newPath()
    await run(path, true)
    for (const name of COPIES) fs.rmSync(join(path, name))
    if (!keep) fs.rmSync(join(path, 'meta.properties'))
    for (let i = 0; i < 5; i++) addPartition(path, `t-${i}`)
    const before = fs.readdirSync(path)
    const why = /holds data \(t-0, t-1, t-2 and 2 more\), but both copies .* are missing.*: restore/
    refused(() => new DataDir(path, 1, null), why)
    assert.equal(fs.readdirSync(path), before)
  }
  const journals = newPath()
  fs.mkdirSync(join(journals, 'journal', '0'), { recursive: true })
  refused(() => new DataDir(journals, 1, null), /holds data \(journal\), but both copies/)
})

test('data beside empty metadata is refused', async () => {
  const path = newPath()
  await openAndLeave(path)
  addPartition(path, 't-0')
  refused(() => new DataDir(path, 1, null), /holds data \(t-0\), but its metadata is empty/)
})

test('a journal that was there is missed, until an empty one takes its place', async () => {
  const path = newPath()
  const dir = new DataDir(path, 1, null)
  await dir.begin()
  await dir.expectJournals(2)
  await leave(dir)
  const files = ['0/0', '0/1', '1/0', '1/1'].map(name => join(path, 'journal', `${name}.journal`))
  for (const worker of ['0', '1']) fs.mkdirSync(join(path, 'journal', worker), { recursive: true })
  for (const file of files) fs.writeFileSync(file, '')
  await openAndLeave(path)
  for (const file of files) {
    fs.rmSync(file)
    const name = file.slice(path.length + 1)
    refused(() => new DataDir(path, 1, null), new RegExp(`lacks ${name}, .* make empty files`))
    fs.writeFileSync(file, '')
  }
  const fewer = new DataDir(path, 1, null)
  await fewer.expectNoMoreThan(1)
  await leave(fewer)
  fs.rmSync(join(path, 'journal', '1'), { recursive: true })
  await openAndLeave(path)
})

test('two brokers of one process do not share a folder, by whatever name', async () => {
  const path = newPath()
  const first = new DataDir(path, 1, null)
  refused(() => new DataDir(path, 1, null), /in use by another broker in this process/)
  const link = newPath()
  fs.symlinkSync(path, link)
  refused(() => new DataDir(link, 1, null), /in use by another broker in this process/)
  await leave(first)
  await openAndLeave(link)
})

test('a lock file that was removed from a live broker lets nobody in', async () => {
  const path = newPath()
  for (const wasThere of [false, true]) {
    const first = new DataDir(path, 1, null)
    assert.is(first.isNew, !wasThere)
    await first.begin()
    fs.rmSync(join(path, '.lock'))
    const before = COPIES.map(name => fs.statSync(join(path, name)).ino)
    refused(() => new DataDir(path, 1, null), /in use by another process/)
    const after = COPIES.map(name => fs.statSync(join(path, name)).ino)
    assert.equal(after, before, 'the metadata was not written anew')
    await leave(first)
  }
  await openAndLeave(path)
})

test('a folder that a live process has is refused with its pid', async () => {
  const path = newPath()
  fs.mkdirSync(path)
  await using other = new LockTaker()
  assert.ok((await other.take(path, 0)).held)
  refused(() => new DataDir(path, 1, null), new RegExp(`in use by the process ${other.child.pid}:`))
  assert.equal(fs.readdirSync(path), ['.lock'])
  await other.kill()
  await openAndLeave(path)
})

test('a folder of another cluster or node is refused, and can be used by its own', async () => {
  const path = newPath()
  await openAndLeave(path, 1, 'cluster-a')
  refused(() => new DataDir(path, 1, 'cluster-b'), /belongs to cluster cluster-a, .* cluster-b/)
  refused(() => new DataDir(path, 2, null), /belongs to node 1, .* node\.id 2/)
  const own = new DataDir(path, 1, 'cluster-a')
  assert.is(own.clusterId, 'cluster-a')
  await leave(own)
})

test('a refusal leaves the marker of the clean stop where it is', async () => {
  const path = newPath()
  await run(path, true)
  refused(() => new DataDir(path, 2, null), /belongs to node 1/)
  const again = new DataDir(path, 1, null)
  assert.ok(again.wasClean)
  await leave(again)
})

test('a file in the place of the folder is one sentence, not a stack', () => {
  const path = newPath()
  fs.writeFileSync(path, '')
  refused(() => new DataDir(path, 1, null), /^The data folder .* cannot be made: /)
  refused(() => new DataDir(join(path, 'below'), 1, null), /^The data folder .* cannot be made: /)
})

test('a folder in which no lock can be written is refused', () => {
  const path = newPath()
  fs.mkdirSync(join(path, '.lock'), { recursive: true })
  refused(() => new DataDir(path, 1, null), /^The data folder .* cannot be written: /)
})

test('the folder of an Apache Kafka broker is refused, and left as it is', () => {
  const path = newPath()
  fs.mkdirSync(join(path, '__cluster_metadata-0'), { recursive: true })
  fs.writeFileSync(join(path, 'meta.properties'), 'version=1\nnode.id=1\ncluster.id=kafka\n')
  refused(() => new DataDir(path, 1, null), /holds the data of an Apache Kafka broker/)
  assert.equal(fs.readdirSync(path).sort(), ['__cluster_metadata-0', 'meta.properties'])
})

test.run()
