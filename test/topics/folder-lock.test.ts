import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LOCK_WAYS, lockFolder } from '../../src/topics/folder-lock.ts'
import { FolderTaken } from '../../src/topics/lock-claims.ts'
import { LockTaker, PID_FILE } from '../lib/lock-takers.ts'

const RACES = 400
/** Both processes have read their order by then. */
const RACE_STARTS_IN_NS = 1_500_000n
/** A program is started for each try. */
const RACES_OF_PROGRAM = 60

const root = fs.mkdtempSync(join(tmpdir(), 'odradek-lock-'))
let dirs = 0
const test = suite('the lock of a folder')
test.after(() => fs.rmSync(root, { recursive: true }))

function newDir(): string {
  const dir = join(root, String(dirs++))
  fs.mkdirSync(dir)
  return dir
}

const ways = { library: 0, 'the program flock': 1, claims: -1 }
const only = (way: number) => (way < 0 ? [] : [LOCK_WAYS[way]!])
const startTimeOf = (pid: number): string =>
  fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]!

/** With all its threads, and still there for its parent to look at. */
const isDead = (pid: number): boolean =>
  /\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')) &&
  fs.readdirSync(`/proc/${pid}/task`).length === 1

for (const [name, way] of Object.entries(ways)) {
  if (name !== 'library' && process.platform !== 'linux') continue

  test(`${name}: of two processes that start in the same moment never both own it`, async () => {
    await using a = new LockTaker()
    await using b = new LockTaker()
    const races = way === 1 ? RACES_OF_PROGRAM : RACES
    const dead = newDir()
    let none = 0
    for (let i = 0; i < races; i++) {
      // Every other time over what a crash has left.
      const dir = i % 2 === 0 ? newDir() : dead
      if (dir === dead) fs.writeFileSync(join(dir, `.lock-4194305-1-${'0'.repeat(16)}`), '')
      const at = process.hrtime.bigint() + RACE_STARTS_IN_NS
      const answers = await Promise.all([a.take(dir, way, at), b.take(dir, way, at)])
      const owners = answers.filter(answer => answer.held).length
      assert.ok(owners <= 1, `race ${i}: both own it`)
      if (owners === 0) none++
      for (const { held, error } of answers) if (!held) assert.match(error, /^in use by /)
      await Promise.all([a.release(dir), b.release(dir)])
    }
    // Claims let both step back.
    if (way >= 0) assert.is(none, 0, 'one of them has it')
    assert.ok(none < races, 'not always both step back')
  })

  test(`${name}: a process that is killed holds nothing, and what it left changes nothing`, async () => {
    const dir = newDir()
    for (let i = 0; i < 3; i++) {
      await using taker = new LockTaker()
      assert.ok((await taker.take(dir, way)).held)
      const refused = (error: Error) =>
        error instanceof FolderTaken && error.holder === `the process ${taker.child.pid}`
      assert.throws(() => lockFolder(dir, only(way)), refused)
      await taker.kill()
      const own = lockFolder(dir, only(way))
      assert.is(own.doubt === null, way >= 0)
      own.release()
    }
  })

  test(`${name}: two owners in one process keep off each other, and a release is one`, () => {
    const dir = newDir()
    const first = lockFolder(dir, only(way))
    assert.throws(() => lockFolder(dir, only(way)), /in use by/)
    first.release()
    const second = lockFolder(dir, only(way))
    first.release()
    assert.throws(() => lockFolder(dir, only(way)), /in use by/, 'released twice, still held')
    second.release()
    lockFolder(dir, only(way)).release()
  })
}

test('the library is there for this platform, and its lock is what brokers use', async () => {
  const dir = newDir()
  await using taker = new LockTaker()
  assert.ok((await taker.take(dir, ways.library)).held)
  assert.throws(() => lockFolder(dir), /in use by/)
})

test('what a lock file says does not matter: an empty, foreign or old one, or our own pid', () => {
  for (const text of ['', 'hello\n', '1 x\n', `${process.pid} 77\n`]) {
    const dir = newDir()
    fs.writeFileSync(join(dir, '.lock'), text)
    lockFolder(dir).release()
  }
})

test('the lock file stays: a lock on one that was removed would keep nobody out', () => {
  const dir = newDir()
  lockFolder(dir).release()
  const { ino } = fs.statSync(join(dir, '.lock'))
  lockFolder(dir).release()
  assert.is(fs.statSync(join(dir, '.lock')).ino, ino)
})

if (process.platform === 'linux') {
  test('a process that was killed and that nobody has waited for holds nothing', async () => {
    // The child ends and stays a zombie: what the shell has become by then does not wait for it.
    const script = 'cat <&3 & echo $!; exec sleep 30'
    const parent = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] })
    try {
      const [line] = await once(parent.stdout!, 'data')
      const pid = Number(String(line))
      while (fs.readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await turn()
      parent.stdio[3]!.destroy()
      while (!isDead(pid)) await turn()
      const dir = newDir()
      fs.writeFileSync(join(dir, `.lock-${pid}-${startTimeOf(pid)}-${'0'.repeat(16)}`), '')
      lockFolder(dir, []).release()
      assert.equal(fs.readdirSync(dir), ['.lock'])
    } finally {
      parent.kill('SIGKILL')
    }
  })

  test('nor does one that had a lock of the kernel', async () => {
    const dir = newDir()
    await using taker = new LockTaker()
    assert.ok((await taker.take(dir, ways.library)).held)
    const { pid } = taker.child
    taker.child.kill('SIGKILL')
    // Without a turn of the event loop nobody waits for it.
    while (!isDead(pid!));
    lockFolder(dir).release()
  })

  test('found: the pid file of before, by the same races', async () => {
    await using a = new LockTaker()
    await using b = new LockTaker()
    let both = false
    for (let i = 0; i < RACES && !both; i++) {
      const dir = newDir()
      fs.writeFileSync(join(dir, 'pid'), '4194305')
      const at = process.hrtime.bigint() + RACE_STARTS_IN_NS
      const answers = await Promise.all([a.take(dir, PID_FILE, at), b.take(dir, PID_FILE, at)])
      both = answers.every(answer => answer.held)
      await Promise.all([a.release(dir), b.release(dir)])
    }
    assert.ok(both)
  })

  test('without a lock of the kernel, a pid that is another process by now claims nothing', () => {
    const dir = newDir()
    fs.writeFileSync(join(dir, `.lock-${process.ppid}-1-${'0'.repeat(16)}`), '')
    lockFolder(dir, []).release()
    const live = `.lock-${process.ppid}-${startTimeOf(process.ppid)}-${'0'.repeat(16)}`
    fs.writeFileSync(join(dir, live), '')
    assert.throws(() => lockFolder(dir, []), new RegExp(`in use by the process ${process.ppid}$`))
    assert.equal(fs.readdirSync(dir).sort(), ['.lock', live])
  })
}

test.run()
