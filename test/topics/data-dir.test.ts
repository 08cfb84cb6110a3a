import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
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

test('a new folder is made, clean, with a cluster id that stays', () => {
  const path = join(newPath(), 'deep', 'er')
  const first = new DataDir(path, 1, null)
  assert.ok(first.isNew && first.wasClean)
  assert.match(first.clusterId, /^[\w-]{22}$/)
  const meta = fs.readFileSync(join(path, 'meta.properties'), 'utf8')
  assert.match(meta, /^version=1$/m)
  assert.match(meta, /^node\.id=1$/m)
  assert.match(meta, /^directory\.id=[\w-]{22}$/m)
  first.unlock()
  const again = new DataDir(path, 1, null)
  assert.not.ok(again.isNew)
  assert.is(again.clusterId, first.clusterId)
  again.unlock()
  assert.is(fs.readFileSync(join(path, 'meta.properties'), 'utf8'), meta)
})

test('the marker of a clean stop counts once', () => {
  const path = newPath()
  const first = new DataDir(path, 1, null)
  first.markClean()
  first.unlock()
  const second = new DataDir(path, 1, null)
  assert.ok(second.wasClean)
  assert.not.ok(fs.existsSync(join(path, '.kafka_cleanshutdown')), 'removed at the start')
  second.unlock()
  const third = new DataDir(path, 1, null)
  assert.not.ok(third.wasClean)
  third.unlock()
})

test('two brokers of one process do not share a folder, by whatever name', () => {
  const path = newPath()
  const first = new DataDir(path, 1, null)
  refused(() => new DataDir(path, 1, null), /in use by another broker in this process/)
  const link = newPath()
  fs.symlinkSync(path, link)
  refused(() => new DataDir(link, 1, null), /in use by another broker in this process/)
  first.unlock()
  new DataDir(link, 1, null).unlock()
})

test('a folder that a live process has is refused with its pid', async () => {
  const path = newPath()
  fs.mkdirSync(path)
  await using other = new LockTaker()
  assert.ok((await other.take(path, 0)).held)
  refused(() => new DataDir(path, 1, null), new RegExp(`in use by the process ${other.child.pid}:`))
  assert.equal(fs.readdirSync(path), ['.lock'])
  await other.kill()
  new DataDir(path, 1, null).unlock()
})

test('a folder of another cluster or node is refused, and can be used by its own', () => {
  const path = newPath()
  new DataDir(path, 1, 'cluster-a').unlock()
  refused(() => new DataDir(path, 1, 'cluster-b'), /belongs to cluster cluster-a, .* cluster-b/)
  refused(() => new DataDir(path, 2, null), /belongs to node 1, .* node\.id 2/)
  const own = new DataDir(path, 1, 'cluster-a')
  assert.is(own.clusterId, 'cluster-a')
  own.unlock()
})

test('a refusal leaves the marker of the clean stop where it is', () => {
  const path = newPath()
  const first = new DataDir(path, 1, null)
  first.markClean()
  first.unlock()
  refused(() => new DataDir(path, 2, null), /belongs to node 1/)
  const again = new DataDir(path, 1, null)
  assert.ok(again.wasClean)
  again.unlock()
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
