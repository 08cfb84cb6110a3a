import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DataDir, DataDirError } from '../../src/topics/data-dir.ts'

const root = fs.mkdtempSync(join(tmpdir(), 'odradek-data-dir-'))
let dirs = 0
const test = suite('data folder')
test.after(() => fs.rmSync(root, { recursive: true }))

const newPath = (): string => join(root, String(dirs++))

function refused(open: () => unknown, why: RegExp): void {
  assert.throws(open, (error: Error) => error instanceof DataDirError && why.test(error.message))
}

function writeLock(content: string): string {
  const path = newPath()
  fs.mkdirSync(path)
  fs.writeFileSync(join(path, '.lock'), content)
  return path
}

/** When a process started, as the lock names it: field 22 of /proc/<pid>/stat, '-' where there is no /proc. */
function startTimeOf(pid: number): string {
  if (!fs.existsSync(`/proc/${pid}/stat`)) return '-'
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
}

function deadPid(): number {
  return spawnSync(process.execPath, ['--version']).pid
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

test('a folder locked by a live process is refused with its pid, and the lock stays', () => {
  const pid = process.ppid
  const path = writeLock(`${pid} ${startTimeOf(pid)}\n`)
  refused(() => new DataDir(path, 1, null), new RegExp(`in use by the process ${pid}:`))
  assert.equal(fs.readdirSync(path), ['.lock'])
})

test('a lock whose process is gone is taken over', () => {
  const path = writeLock(`${deadPid()} 12345\n`)
  const dir = new DataDir(path, 1, null)
  const held = fs.readFileSync(join(path, '.lock'), 'utf8')
  assert.is(held, `${process.pid} ${startTimeOf(process.pid)}\n`)
  dir.unlock()
  assert.not.ok(fs.existsSync(join(path, '.lock')))
})

if (fs.existsSync('/proc/self/stat')) {
  test('a lock whose pid belongs to another process by now is taken over', () => {
    new DataDir(writeLock(`${process.ppid} 1\n`), 1, null).unlock()
  })
}

test('an empty or foreign lock, and one with our own pid from before, are taken over', () => {
  for (const content of ['', 'hello\n', '-1 -\n', `${process.pid} ${startTimeOf(process.pid)}\n`]) {
    new DataDir(writeLock(content), 1, null).unlock()
  }
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

if (process.platform === 'linux') {
  test('a process that was killed and that nobody has waited for holds nothing', async () => {
    // The shell's child ends and stays a zombie: what the shell has become does not wait for it.
    const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 30'])
    try {
      const [line] = await once(parent.stdout, 'data')
      const pid = Number(String(line))
      while (!/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))) await turn()
      new DataDir(writeLock(`${pid} ${startTimeOf(pid)}`), 1, null).unlock()
    } finally {
      parent.kill('SIGKILL')
    }
  })
}

test.run()
