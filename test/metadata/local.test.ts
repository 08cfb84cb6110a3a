import { Buffer } from 'node:buffer'
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../src/metadata/store.ts'
import { type FileSystem, realFileSystem } from '../../src/storage/fs.ts'

const DIR = '/data'
const LOG = '/data/metadata.log'

interface File {
  bytes: Buffer
  flushed: Buffer
}

/** Files in memory that know what a power cut would leave, and fail at the n-th call. */
class TestFiles implements FileSystem {
  names = new Map<string, File>()
  #flushedNames = new Map<string, File>()
  #open = new Map<number, File>()
  #nextFd = 3
  calls = 0
  flushes = 0
  failAt = 0

  static of(log: Uint8Array): TestFiles {
    const files = new TestFiles()
    files.names.set(LOG, { bytes: Buffer.from(log), flushed: Buffer.from(log) })
    files.fsyncDir(DIR)
    files.calls = 0
    return files
  }

  /** The disk after a power cut now: flushed names, flushed bytes. */
  afterPowerCut(): TestFiles {
    const after = new TestFiles()
    for (const [name, { flushed }] of this.#flushedNames) {
      after.names.set(name, { bytes: Buffer.from(flushed), flushed: Buffer.from(flushed) })
    }
    after.fsyncDir(DIR)
    return after
  }

  content(path = LOG): Buffer {
    return this.names.get(path)!.bytes
  }

  get openFiles(): number {
    return this.#open.size
  }

  #step(): void {
    this.calls++
    if (this.calls === this.failAt) throw Object.assign(new Error('EIO: planned'), { code: 'EIO' })
  }

  open(path: string, mode: 'read' | 'write' | 'create'): number {
    this.#step()
    let file = this.names.get(path)
    if (file === undefined) {
      if (mode !== 'create') throw new Error(`ENOENT: ${path}`)
      file = { bytes: Buffer.alloc(0), flushed: Buffer.alloc(0) }
      this.names.set(path, file)
    }
    this.#open.set(this.#nextFd, file)
    return this.#nextFd++
  }

  close(fd: number): void {
    assert.ok(this.#open.delete(fd), 'closes an open file')
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    this.#step()
    const part = this.#open.get(fd)!.bytes.subarray(position, position + length)
    target.set(part, offset)
    return part.length
  }

  write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    this.#step()
    const file = this.#open.get(fd)!
    file.bytes = Buffer.concat([file.bytes.subarray(0, position), ...buffers])
  }

  truncate(fd: number, size: number): void {
    this.#step()
    const file = this.#open.get(fd)!
    file.bytes = Buffer.from(file.bytes.subarray(0, size))
  }

  fdatasync(fd: number): void {
    this.#step()
    this.flushes++
    const file = this.#open.get(fd)!
    file.flushed = Buffer.from(file.bytes)
  }

  size(fd: number): number {
    return this.#open.get(fd)!.bytes.length
  }

  rename(from: string, to: string): void {
    this.#step()
    this.names.set(to, this.names.get(from)!)
    this.names.delete(from)
  }

  unlink(path: string): void {
    this.names.delete(path)
  }

  mkdir(): void {}
  rmdir(): void {}

  readdir(): string[] {
    return [...this.names.keys()]
  }

  modifiedMs(): number {
    return 0
  }

  exists(path: string): boolean {
    return this.names.has(path)
  }

  fsyncDir(_path: string): void {
    this.#step()
    this.#flushedNames = new Map(this.names)
  }
}

async function stateOf(store: LocalMetadataStore): Promise<Record<string, unknown>> {
  return Object.fromEntries((await store.list('')).map(({ key, value }) => [key, value]))
}

/** Opens the disk, reads everything, closes. */
async function stateOnDisk(files: TestFiles): Promise<Record<string, unknown>> {
  const store = new LocalMetadataStore(files, DIR)
  const state = await stateOf(store)
  await store.close()
  return state
}

const rejects = async (promise: Promise<unknown>, pattern: RegExp): Promise<void> => {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, BrokerError)
  assert.match((error as Error).message, pattern)
}

const local = suite('local metadata store')

local('reads back what was set, with the revision that set it', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  assert.equal(await store.compareAndSet('a', 0, { x: [1, null, 'é'] }), { ok: true, revision: 1 })
  assert.equal(await store.compareAndSet('b', 0, 7), { ok: true, revision: 2 })
  const entry = (await store.get('a'))!
  assert.equal(entry.value, { x: [1, null, 'é'] })
  assert.is(entry.revision, 1)
  assert.is(await store.get('c'), null)
  await store.close()
})

local('a compare that does not hold changes nothing', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  await store.compareAndSet('a', 0, 1)
  assert.equal(await store.compareAndSet('a', 0, 2), { ok: false, revision: 1 })
  assert.equal(await store.compareAndSet('a', 9, 2), { ok: false, revision: 1 })
  const both = await store.transact(
    [
      { key: 'a', revision: 1 },
      { key: 'b', revision: 5 },
    ],
    [
      { key: 'a', value: 3 },
      { key: 'b', value: 3 },
    ],
  )
  assert.is(both.ok, false)
  assert.equal(await stateOf(store), { a: 1 })
  await store.close()
})

local('of two racing for one key, one wins', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  const results = await Promise.all([
    store.compareAndSet('a', 0, 'first'),
    store.compareAndSet('a', 0, 'second'),
    store.compareAndSet('a', 1, null),
    store.compareAndSet('a', 0, 'third'),
  ])
  assert.equal(
    results.map(result => result.ok),
    [true, false, true, true],
  )
  assert.equal(await stateOf(store), { a: 'third' })
  await store.close()
})

local('transactions that arrive together share one flush', async () => {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  const before = files.flushes
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.compareAndSet(`k${i}`, 0, i)))
  assert.is(files.flushes - before, 1)
  assert.is(store.revision, 500)
  await store.close()
  assert.is(files.openFiles, 0)
})

local('close flushes what is waiting, then refuses', async () => {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  const waiting = store.compareAndSet('a', 0, 1)
  await store.close()
  await store.close()
  assert.is((await waiting).ok, true)
  await rejects(store.get('a'), /closed/)
  await rejects(store.compareAndSet('a', 1, 2), /closed/)
  assert.equal(await stateOnDisk(files.afterPowerCut()), { a: 1 })
})

local('what was read or given cannot be changed from outside', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  const given = { list: [1] }
  const done = store.compareAndSet('a', 0, given)
  given.list.push(2)
  await done
  const value = (await store.get('a'))!.value as { list: number[] }
  assert.throws(() => value.list.push(3), TypeError)
  assert.equal(value, { list: [1] })
  await store.close()
})

local('a watcher sees its changes in order, before the promise resolves', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  const seen: string[] = []
  const stop = store.watch('/t/', ({ revision, changes }) => {
    for (const { key, value } of changes) seen.push(`${revision} ${key}=${JSON.stringify(value)}`)
  })
  await store.transact(
    [],
    [
      { key: '/t/a', value: 1 },
      { key: '/other', value: 2 },
    ],
  )
  assert.equal(seen, ['1 /t/a=1'])
  await Promise.all([store.compareAndSet('/t/b', 0, 2), store.compareAndSet('/t/a', 1, null)])
  assert.equal(seen, ['1 /t/a=1', '2 /t/b=2', '3 /t/a=null'])
  stop()
  await store.compareAndSet('/t/c', 0, 1)
  assert.is(seen.length, 3)
  await store.close()
})

local('keeps its bounds on keys, values and transactions', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  const many = Array.from({ length: CHANGES_MAX + 1 }, (_, i) => ({ key: `k${i}`, value: 1 }))
  await rejects(store.transact([], many), /at most 128/)
  await rejects(store.compareAndSet('', 0, 1), /1 to 1024 bytes/)
  await rejects(store.compareAndSet('é'.repeat(KEY_BYTES_MAX / 2 + 1), 0, 1), /not 1026/)
  await rejects(store.compareAndSet('a', 0, 'x'.repeat(VALUE_BYTES_MAX)), /at most 1048576/)
  const twice = [
    { key: 'a', value: 1 },
    { key: 'a', value: 2 },
  ]
  await rejects(store.transact([], twice), /twice/)
  assert.is(store.revision, 0)
  await store.close()
})

const key = fc.constantFrom('a', 'b', 'c', '/t/1', '/t/2', '__proto__', 'constructor')
const value = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.array(fc.boolean()))
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('set' as const), key, value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('power cut' as const) }) },
)

local('behaves like a map, across restarts and power cuts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      let files = new TestFiles()
      let store = new LocalMetadataStore(files, DIR)
      const model = new Map<string, { value: unknown; revision: number }>()
      let revision = 0
      for (const one of steps) {
        if (one.kind === 'set') {
          const expected = model.get(one.key)?.revision ?? 0
          const result = await store.compareAndSet(one.key, expected, one.value)
          assert.equal(result, { ok: true, revision: ++revision })
          if (one.value === null) model.delete(one.key)
          else model.set(one.key, { value: one.value, revision })
          continue
        }
        if (one.kind === 'reopen') await store.close()
        else files = files.afterPowerCut()
        store = new LocalMetadataStore(files, DIR)
        assert.is(store.recovered, null)
      }
      assert.is(store.revision, revision)
      const listed = (await store.list('')).map(entry => [
        entry.key,
        { value: entry.value, revision: entry.revision },
      ])
      assert.equal(
        listed,
        [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
      )
      await store.close()
    }),
    { numRuns: 150 },
  )
})

/** A log of a few transactions, and after each of them the file's size and the state. */
async function history() {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  const states = [{ size: files.content().length, state: await stateOf(store) }]
  for (let i = 0; i < 6; i++) {
    await store.transact(
      [],
      [
        { key: `k${i % 3}`, value: { i, text: 'ü\n' } },
        { key: 'last', value: i === 4 ? null : i },
      ],
    )
    states.push({ size: files.content().length, state: await stateOf(store) })
  }
  await store.close()
  return { log: Buffer.from(files.content()), states }
}

local(
  'a crash at any byte of a write loses nothing but that write, and keeps the torn bytes',
  async () => {
    const { log, states } = await history()
    for (let size = states[0]!.size; size <= log.length; size++) {
      const expected = states.findLast(one => one.size <= size)!
      const torn = size - expected.size
      const files = TestFiles.of(log.subarray(0, size))
      const store = new LocalMetadataStore(files, DIR)
      assert.equal(await stateOf(store), expected.state)
      if (torn === 0) assert.is(store.recovered, null)
      else {
        assert.is(store.recovered!.bytes, torn)
        const saved = files.content(store.recovered!.savedAs)
        assert.equal(saved, log.subarray(expected.size, size))
      }
      assert.is((await store.compareAndSet('new', 0, 1)).ok, true)
      await store.close()
      assert.equal(await stateOnDisk(files.afterPowerCut()), { ...expected.state, new: 1 })
      assert.is(files.openFiles, 0)
    }
  },
)

local('a last write whose blocks arrived only in part is a torn one', async () => {
  const { log, states } = await history()
  const start = states.at(-2)!.size
  for (let from = start; from < log.length; from += 7) {
    const holed = Buffer.from(log)
    holed.fill(0, from, Math.min(from + 9, log.length))
    const files = TestFiles.of(holed)
    assert.equal(await stateOnDisk(files), states.at(-2)!.state)
  }
})

local('a changed byte anywhere in what was durable is refused, and nothing is cut', async () => {
  const { log } = await history()
  for (let at = 0; at < log.length; at++) {
    const bad = Buffer.from(log)
    bad[at]! ^= 1
    const files = TestFiles.of(bad)
    assert.throws(
      () => new LocalMetadataStore(files, DIR),
      (error: Error) =>
        /metadata\.log is corrupt at byte \d+: .*Nothing was changed/.test(error.message),
      `byte ${at}`,
    )
    assert.equal(files.content(), bad)
    assert.is(files.openFiles, 0)
  }
})

local('a zeroed block, a missing line or a foreign file is refused', async () => {
  const { log, states } = await history()
  const refused = (bytes: Buffer, what: RegExp) =>
    assert.throws(
      () => new LocalMetadataStore(TestFiles.of(bytes), DIR),
      (error: Error) => what.test(error.message),
    )
  const zeroed = Buffer.from(log).fill(0, states[1]!.size, states[2]!.size)
  refused(zeroed, /does not match its checksum/)
  const gap = [log.subarray(0, states[1]!.size), log.subarray(states[2]!.size)]
  refused(Buffer.concat(gap), /revision 3 follows 1/)
  refused(log.subarray(states[0]!.size), /header of odradek-metadata 1/)
  refused(Buffer.from('hello\n'), /header of odradek-metadata 1/)
  refused(Buffer.alloc(0), /header of odradek-metadata 1/)
})

/** Overwrites a few large values until the log was compacted; says what was acknowledged. */
async function churn(files: TestFiles, rounds: number) {
  const acknowledged: Record<string, unknown> = {}
  let store: LocalMetadataStore | undefined
  let failed = false
  try {
    store = new LocalMetadataStore(files, DIR)
    for (let i = 0; i < rounds; i++) {
      const changed = { key: `k${i % 3}`, value: `${i}:${'x'.repeat(100_000)}` }
      await store.transact([], [changed])
      acknowledged[changed.key] = changed.value
    }
  } catch {
    failed = true
  }
  return { store, failed, acknowledged }
}

local('the log stays within a bound of what is alive, and compaction loses nothing', async () => {
  const files = new TestFiles()
  const { store, acknowledged } = await churn(files, 50)
  assert.ok(files.content().length < 1_048_576 + 200_000, String(files.content().length))
  assert.is(store!.revision, 50)
  await store!.close()
  assert.is(files.openFiles, 0)
  const again = new LocalMetadataStore(files.afterPowerCut(), DIR)
  assert.is(again.revision, 50)
  assert.equal(await stateOf(again), acknowledged)
  assert.equal(await again.compareAndSet('k9', 0, 1), { ok: true, revision: 51 })
  await again.close()
  const snapshot = files.content()
  const short = TestFiles.of(snapshot.subarray(0, snapshot.indexOf(0x0a) + 1 + 1000))
  assert.throws(() => new LocalMetadataStore(short, DIR), /its snapshot is cut short/)
})

local('compaction keeps the revisions of keys, so that compares still hold', async () => {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  await store.compareAndSet('old', 0, 'kept')
  for (let i = 0; i < 12; i++) {
    await store.compareAndSet('k', i === 0 ? 0 : i + 1, 'x'.repeat(100_000))
  }
  assert.ok(files.content().length < 1_000_000, 'was compacted')
  await store.close()
  const again = new LocalMetadataStore(files, DIR)
  assert.is((await again.get('old'))!.revision, 1)
  assert.is((await again.compareAndSet('old', 1, 'new')).ok, true)
  await again.close()
})

local(
  'whichever file call fails, nothing acknowledged is lost and nothing more is taken',
  async () => {
    const clean = new TestFiles()
    await churn(clean, 25)
    assert.ok(clean.names.size === 1 && clean.calls > 50)
    for (let n = 1; n <= clean.calls; n++) {
      const files = new TestFiles()
      files.failAt = n
      const { store, failed, acknowledged } = await churn(files, 25)
      if (store !== undefined) {
        const calls = files.calls
        // The failure of the very last compaction shows only now.
        await rejects(store.compareAndSet('more', 0, 1), /could not be written; restart/)
        assert.is(files.calls, calls, 'the disk is left alone')
        await store.close()
      } else assert.ok(failed)
      const disk = await stateOnDisk(files.afterPowerCut())
      for (const [name, text] of Object.entries(acknowledged)) {
        const round = (of: unknown) => Number(String(of).split(':')[0])
        assert.ok(round(disk[name]) >= round(text), `call ${n}: ${name}`)
      }
    }
  },
)

local('works on the real file system, in a directory that was empty', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-metadata-'))
  try {
    const store = new LocalMetadataStore(realFileSystem, dir)
    for (let i = 0; i < 15; i++) {
      await store.compareAndSet('k', i, `${i}${'x'.repeat(100_000)}`)
    }
    await store.close()
    assert.equal(readdirSync(dir), ['metadata.log'])
    appendFileSync(join(dir, 'metadata.log'), '0123')
    const again = new LocalMetadataStore(realFileSystem, dir)
    assert.is(again.recovered!.bytes, 4)
    assert.is((await again.get('k'))!.revision, 15)
    await again.close()
  } finally {
    rmSync(dir, { recursive: true })
  }
})

local('revisions go on after a compaction whose last transaction was a deletion', async () => {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  for (let i = 0; i < 12; i++) await store.compareAndSet(`k${i}`, 0, 'x'.repeat(100_000))
  let deleted = 0
  for (; files.content().length > 1_048_576; deleted++) {
    await store.compareAndSet(`k${11 - deleted}`, 12 - deleted, null)
  }
  await store.compareAndSet('after', 0, 1)
  await store.close()
  const again = new LocalMetadataStore(files, DIR)
  assert.is(again.revision, 12 + deleted + 1)
  assert.is((await again.list('k')).length, 12 - deleted)
  await again.close()
})

local.run()
