import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import { encodeLine, newHeader } from '../../src/metadata/log-file.ts'
import { CHANGES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../../src/metadata/store.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { DIR, rejects, stateOf, stateOnDisk, TestFiles } from './test-files.ts'

const local = suite('local metadata store')

local('reads back what was set, with the revision that set it', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  assert.equal(await store.compareAndSet('a', 0, { x: [1, null, 'é'] }), {
    outcome: 'applied',
    revision: 1,
  })
  assert.equal(await store.compareAndSet('b', 0, 7), { outcome: 'applied', revision: 2 })
  const entry = (await store.get('a'))!
  assert.equal(entry.value, { x: [1, null, 'é'] })
  assert.is(entry.revision, 1)
  assert.is(await store.get('c'), null)
  await store.close()
})

local('a compare that does not hold changes nothing', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  await store.compareAndSet('a', 0, 1)
  const refused = { outcome: 'refused', revision: 1, now: [await store.get('a')] }
  assert.equal(await store.compareAndSet('a', 0, 2), refused)
  assert.equal(await store.compareAndSet('a', 9, 2), refused)
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
  assert.equal(both, refused)
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
    results.map(result => result.outcome),
    ['applied', 'refused', 'applied', 'applied'],
  )
  assert.equal(await stateOf(store), { a: 'third' })
  await store.close()
})

local('transactions that arrive together share one flush', async () => {
  const files = new TestFiles()
  const store = new LocalMetadataStore(files, DIR)
  const before = files.flushes
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.compareAndSet(`k${i}`, 0, i)))
  assert.is(files.flushes - before, 2, 'one for each copy')
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
  assert.is((await waiting).outcome, 'applied')
  await rejects(store.get('a'), /closed/)
  await rejects(store.compareAndSet('a', 1, 2), /closed/)
  assert.equal(await stateOnDisk(files.afterPowerCut()), { a: 1 })
})

local('a watcher sees its changes in order, before the promise resolves', async () => {
  const store = new LocalMetadataStore(new TestFiles(), DIR)
  const seen: string[] = []
  const watch = store.watch('/t/', 0, {
    onChange: ({ revision, changes }) => {
      for (const { key, value } of changes) seen.push(`${revision} ${key}=${JSON.stringify(value)}`)
    },
    onReset: () => assert.unreachable(),
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
  watch.stop()
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
          if (one.value !== null || expected !== 0) revision++
          assert.equal(result, { outcome: 'applied', revision })
          if (one.value === null) model.delete(one.key)
          else model.set(one.key, { value: one.value, revision })
          continue
        }
        if (one.kind === 'reopen') await store.close()
        else files = files.afterPowerCut()
        store = new LocalMetadataStore(files, DIR)
        assert.equal(store.notes, [])
      }
      assert.is(store.revision, revision)
      const listed = (await store.list('')).entries.map(entry => [
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

local('works on the real file system, in a directory that was empty', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-metadata-'))
  try {
    const store = new LocalMetadataStore(realFileSystem, dir)
    for (let i = 0; i < 15; i++) {
      await store.compareAndSet('k', i, `${i}${'x'.repeat(100_000)}`)
    }
    await store.close()
    assert.equal(readdirSync(dir).sort(), ['metadata.2.log', 'metadata.log'])
    appendFileSync(join(dir, 'metadata.log'), '0123')
    const again = new LocalMetadataStore(realFileSystem, dir)
    assert.match(again.notes[0]!, /^metadata\.log is torn .*: 4 bytes are kept as/)
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
  assert.is((await again.list('k')).entries.length, 12 - deleted)
  await again.close()
})

local(
  'when a key was made is known after restarts, with the log as it was and written anew',
  async () => {
    const files = new TestFiles()
    for (const wasClean of [true, false]) {
      const store = new LocalMetadataStore(files, DIR, () => wasClean)
      await store.transact([], [{ key: 'a', value: wasClean }])
      await store.transact([], [{ key: 'b', value: wasClean }])
      await store.transact([], [{ key: 'gone', value: 1 }])
      await store.transact([], [{ key: 'gone', value: null }])
      await store.close()
    }
    for (const wasClean of [true, false, true]) {
      const store = new LocalMetadataStore(files, DIR, () => wasClean)
      const { entries } = await store.list('')
      assert.equal(
        entries.map(({ created, revision }) => [created, revision]),
        [
          [1, 5],
          [2, 6],
        ],
      )
      const { outcome } = await store.transact(
        [{ key: 'a', created: 1 }],
        [{ prefix: 'x', value: null }],
      )
      assert.is(outcome, 'applied')
      await store.close()
    }
  },
)

local('a log of a release that did not write down when keys were made is read', async () => {
  const lines = [
    encodeLine(newHeader(9, 1)),
    encodeLine([{ revision: 7, changes: [{ key: 'a', value: 1 }] }]),
    encodeLine([{ revision: 10, changes: [{ key: 'a', value: 2 }] }]),
  ]
  const store = new LocalMetadataStore(TestFiles.of(Buffer.concat(lines)), DIR)
  assert.equal(await store.get('a'), { key: 'a', value: 2, revision: 10, created: 7 })
  await store.close()
})

local(
  'what was bound to a lease of an earlier process is gone after a start, for good',
  async () => {
    let files = new TestFiles()
    let store = new LocalMetadataStore(files, DIR)
    const lease = await store.grant(1000)
    await store.transact(
      [],
      [
        { key: 'bound', value: 1, lease },
        { key: 'kept', value: 1 },
      ],
    )
    assert.is((await store.get('bound'))!.lease, lease)
    files = files.afterPowerCut()
    store = new LocalMetadataStore(files, DIR, () => true)
    assert.equal(await stateOf(store), { kept: 1 })
    assert.is(store.revision, 2)
    const bound = { key: 'bound', value: 2, lease: await store.grant(1000) }
    await store.transact([{ key: 'bound', created: 0 }], [bound])
    assert.is((await store.get('bound'))!.created, 3)
    await store.close()
    store = new LocalMetadataStore(files, DIR, () => true)
    assert.equal(await stateOf(store), { kept: 1 })
    await store.close()
  },
)

local.run()
