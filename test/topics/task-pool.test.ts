import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeBatch } from '../../src/protocol/records.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { Segment } from '../../src/storage/segment.ts'
import { TaskPool, TaskPoolClosed, TaskPoolFull, TaskTimedOut } from '../../src/topics/task-pool.ts'
import { workerFile } from '../../src/topics/worker-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'odradek-task-pool-'))
const pools: TaskPool[] = []
const test = suite('task pool')

test.before(async () => {
  const segment = Segment.create(realFileSystem, dir, 0)
  const records = [100, 300, 200].map(timestamp => ({ timestamp, value: Buffer.from('v') }))
  segment.append(await encodeBatch(records, { codec: 4, leaderEpoch: 2 }))
  segment.seal()
})

test.after(async () => {
  await Promise.all(pools.map(pool => pool.close()))
  rmSync(dir, { recursive: true })
})

function open(options?: ConstructorParameters<typeof TaskPool>[0]): TaskPool {
  const pool = new TaskPool(options)
  pools.push(pool)
  return pool
}

const input = {
  dir,
  segments: [{ base: 0, size: 1_000_000 }],
  logStartOffset: 0,
  endOffset: 3,
}

test('searches run in a thread, which starts with the first job and ends when idle', async () => {
  const pool = open({ idleMs: 50 })
  assert.is(pool.threads, 0)
  const found = await pool.run('findByTimestamp', { ...input, target: 150 })
  assert.equal(found, { offset: 1, timestamp: 300, leaderEpoch: 2 })
  const newest = await pool.run('findMaxTimestamp', input)
  assert.equal(newest, { offset: 1, timestamp: 300, leaderEpoch: 2 })
  assert.is(await pool.run('findByTimestamp', { ...input, target: 301 }), null)
  assert.is(pool.threads, 1)
  const deadline = Date.now() + 5_000
  while (pool.threads > 0 && Date.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  assert.is(pool.threads, 0)
})

test('a job that fails rejects with its message, and the next one works', async () => {
  const pool = open()
  const broken = { ...input, segments: null as unknown as typeof input.segments }
  const error = await pool.run('findMaxTimestamp', broken).catch((error: unknown) => error)
  assert.instance(error, Error)
  assert.ok(await pool.run('findMaxTimestamp', input))
})

test('more jobs than the bound are refused at once, those taken are all answered', async () => {
  const pool = open({ jobsMax: 3 })
  const jobs = [1, 2, 3].map(() => pool.run('findMaxTimestamp', input))
  const error = await pool.run('findMaxTimestamp', input).catch((error: unknown) => error)
  assert.instance(error, TaskPoolFull)
  for (const found of await Promise.all(jobs)) assert.is(found?.offset, 1)
  assert.ok(await pool.run('findMaxTimestamp', input))
})

test('a job that takes too long is given up with its thread, and the next one works', async () => {
  const pool = open({ jobMsMax: 4_000 })
  const segments = Array.from({ length: 1_000_000 }, () => input.segments[0]!)
  const long = pool.run('findByTimestamp', { ...input, segments, target: 301 })
  const error = await long.catch((error: unknown) => error)
  assert.instance(error, TaskTimedOut)
  assert.instance(error, TaskPoolFull)
  assert.ok(await pool.run('findMaxTimestamp', input))
})

test('close lets a running job finish, is idempotent, and refuses new ones', async () => {
  const pool = open()
  const job = pool.run('findMaxTimestamp', input)
  const closing = pool.close()
  assert.is(pool.close(), closing)
  assert.is((await job)?.offset, 1)
  await closing
  const error = await pool.run('findMaxTimestamp', input).catch((error: unknown) => error)
  assert.instance(error, TaskPoolClosed)
})

test('close does not wait longer than it says: what still runs is rejected', async () => {
  const pool = open({ closeMs: 1 })
  const job = pool.run('findMaxTimestamp', input).catch((error: unknown) => error)
  const started = Date.now()
  await pool.close()
  assert.ok(Date.now() - started < 2_000)
  assert.instance(await job, TaskPoolClosed)
})

test('the worker file is made of the sources here, once, and can be found from any folder', () => {
  const { filename, execArgv } = workerFile('task')
  assert.match(filename, /^file:\/\/\/.*\/task-[0-9a-f]{64}\.mjs$/)
  assert.equal(execArgv, [])
  assert.equal(workerFile('task'), { filename, execArgv })
})

test.run()
