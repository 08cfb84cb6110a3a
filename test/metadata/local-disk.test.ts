import { Buffer } from 'node:buffer'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { DIR, LOG, rejects, SECOND, stateOf, stateOnDisk, TestFiles } from './test-files.ts'

const local = suite('local metadata store on a bad disk')

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
      const saved = files.names.get(`${LOG}.torn-${expected.size}`)
      assert.equal(saved?.bytes, torn === 0 ? undefined : log.subarray(expected.size, size))
      const said = store.notes.some(note => note.includes(`${torn} bytes are kept as`))
      assert.is(said, torn > 0)
      assert.is((await store.compareAndSet('new', 0, 1)).outcome, 'applied')
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
        /is corrupt: metadata\.log at byte \d+: .*Nothing was changed/.test(error.message),
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

local('either copy alone has everything; a changed byte or an absence costs nothing', async () => {
  const { log, states } = await history()
  const last = states.at(-1)!.state
  const whole = (files: TestFiles) => {
    for (const path of [LOG, SECOND]) assert.equal(files.content(path), files.content())
  }
  for (let at = 0; at < log.length; at += 3) {
    const bad = Buffer.from(log)
    bad[at]! ^= 1 << (at % 8)
    for (const files of [TestFiles.of(bad, log), TestFiles.of(log, bad)]) {
      const store = new LocalMetadataStore(files, DIR, () => true)
      assert.equal(await stateOf(store), last, `byte ${at}`)
      assert.is(store.notes.length, 1)
      await store.close()
      whole(files)
    }
  }
  for (const path of [LOG, SECOND]) {
    const files = TestFiles.of(log, log)
    files.unlink(path)
    const store = new LocalMetadataStore(files, DIR, () => true)
    assert.equal(await stateOf(store), last)
    assert.match(store.notes[0]!, /is missing: it is written anew from metadata\./)
    await store.close()
    whole(files)
  }
})

local('a copy that ends early is believed only as far as the other one proves it', async () => {
  const { log, states } = await history()
  const short = log.subarray(0, states[2]!.size)
  for (const files of [TestFiles.of(short, log), TestFiles.of(log, short)]) {
    assert.equal(await stateOnDisk(files), states.at(-1)!.state)
  }
  const both = Buffer.from(log)
  both[states[4]!.size + 25]! ^= 1
  assert.throws(() => new LocalMetadataStore(TestFiles.of(both, both), DIR), /is corrupt/)
  // The damage is behind where the short one ends: nobody knows what came after it.
  const bad = Buffer.from(log)
  bad[states[4]!.size + 25]! ^= 1
  assert.throws(
    () => new LocalMetadataStore(TestFiles.of(short, bad), DIR),
    /metadata\.log ends at revision 2; metadata\.2\.log at byte \d+: a line does not match/,
  )
})

local('what a failed flush left in the page cache is written anew by the next start', async () => {
  for (const failing of [1, 2]) {
    let files = new TestFiles()
    let store = new LocalMetadataStore(files, DIR)
    await store.compareAndSet('before', 0, 1)
    // Two writes come first.
    files.failAt = files.calls + 2 + failing
    await rejects(store.compareAndSet('unknown', 0, 1), /could not be written/)
    assert.ok(store.hasFailed)
    await store.close()
    store = new LocalMetadataStore(files, DIR)
    await store.compareAndSet('after', 0, 1)
    files = files.afterPowerCut()
    assert.equal(await stateOnDisk(files), { before: 1, unknown: 1, after: 1 })
  }
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
  assert.equal(await again.compareAndSet('k9', 0, 1), { outcome: 'applied', revision: 51 })
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
  assert.is((await again.compareAndSet('old', 1, 'new')).outcome, 'applied')
  await again.close()
})

local(
  'whichever file call fails, nothing acknowledged is lost and nothing more is taken',
  async () => {
    const clean = new TestFiles()
    await churn(clean, 25)
    assert.ok(clean.names.size === 2 && clean.calls > 50)
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

local('on a full disk a change is refused, and the next one may find room', async () => {
  for (const write of [1, 2]) {
    const files = new TestFiles()
    files.failWith = 'ENOSPC'
    const store = new LocalMetadataStore(files, DIR)
    await store.compareAndSet('before', 0, 1)
    files.failAt = files.calls + write
    await rejects(
      store.compareAndSet('refused', 0, 'a long value that leaves bytes'),
      /disk is full/,
    )
    assert.is(await store.get('refused'), null)
    assert.is((await store.compareAndSet('after', 0, 1)).outcome, 'applied')
    const seen = await stateOf(store)
    await store.close()
    assert.equal(seen, { before: 1, after: 1 })
    assert.equal(await stateOnDisk(files.afterPowerCut()), seen)
    const again = new LocalMetadataStore(files, DIR)
    assert.equal(again.notes, [], 'nothing is left of what was refused')
    await again.close()
  }
})

local('the reserve gives way to a change that finds no room', async () => {
  const files = new TestFiles()
  files.failWith = 'ENOSPC'
  const store = new LocalMetadataStore(files, DIR)
  store.ensureReserve()
  const hasReserve = () => [...files.names.keys()].some(name => name.endsWith('reserve'))
  assert.ok(hasReserve())
  files.failAt = files.calls + 1
  assert.is((await store.compareAndSet('a', 0, 1)).outcome, 'applied')
  assert.not.ok(hasReserve())
  store.ensureReserve()
  assert.ok(hasReserve(), 'there is one again')
  await store.close()
  assert.equal(await stateOnDisk(files.afterPowerCut()), { a: 1 })
})

local.run()
