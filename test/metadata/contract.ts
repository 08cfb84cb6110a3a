import fc from 'fast-check'
import type { Test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  CHANGES_MAX,
  type Change,
  type Entry,
  type Json,
  KEY_BYTES_MAX,
  LeaseEnded,
  type MetadataStore,
  VALUE_BYTES_MAX,
} from '../../src/metadata/store.ts'
import { Mirror } from './mirror.ts'
import { rejects } from './test-files.ts'

/** One kind of store. */
export interface Kind {
  /** A store that is empty, of which the test gets one way in, or as many as it wants. */
  make(): Promise<Place>
  /** Whether others can use it at the same time: without that, `connect` gives the same again. */
  readonly isShared: boolean
  /** Runs of the comparison with a model. */
  readonly runs: number
}

export interface Place {
  connect(): Promise<MetadataStore>
  /** Makes everything up to the newest revision unknown to watches; null: there never is any history. */
  readonly compact: (() => Promise<void>) | null
  close(): Promise<void>
}

const put = (key: string, value: Json | null = key): Change => ({ key, value })
const textOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ key, value }) => `${key}=${JSON.stringify(value)}`)

/** What every store promises. */
export function addContract(test: Test, kind: Kind, of = ''): void {
  const add = (name: string, run: (place: Place) => Promise<void>): void => {
    test(`${of} ${name}`.trim(), async () => {
      const place = await kind.make()
      try {
        await run(place)
      } finally {
        await place.close()
      }
    })
  }

  add('an entry says what it holds, who wrote it last and who made it', async place => {
    const store = await place.connect()
    assert.is(await store.get('a'), null)
    const { revision: first } = await store.compareAndSet('a', 0, { x: [1, null, 'é', ''], y: {} })
    const value = { x: [1, null, 'é', ''], y: {} }
    assert.equal(await store.get('a'), { key: 'a', value, revision: first, created: first })
    const { revision } = await store.compareAndSet('a', first, false)
    assert.ok(revision > first)
    assert.equal(await store.get('a'), { key: 'a', value: false, revision, created: first })
    assert.equal(await store.list(''), { revision, entries: [(await store.get('a'))!] })
  })

  add(
    'a compare that does not hold changes nothing, and what was compared is told',
    async place => {
      const store = await place.connect()
      await store.transact([], [put('a', 1), put('b', 2)])
      const { revision } = (await store.get('a'))!
      const compares = [
        { key: 'b', revision },
        { key: 'nothing', revision: 0 },
        { key: 'a', revision: revision - 1 },
        { key: 'a', created: revision },
      ]
      const result = await store.transact(compares, [put('a', null), put('c')])
      const now = [(await store.get('b'))!, (await store.get('a'))!]
      assert.equal(result, { outcome: 'refused', revision, now })
      assert.equal(textOf((await store.list('')).entries), ['a=1', 'b=2'])
      const absent = await store.compareAndSet('nothing', revision, 1)
      assert.equal(absent, { outcome: 'refused', revision, now: [] })
    },
  )

  add('a key that was deleted and made again is another one', async place => {
    const store = await place.connect()
    await store.compareAndSet('a', 0, 1)
    const { created } = (await store.get('a'))!
    await store.transact([{ key: 'a', created }], [put('a', 2)])
    assert.is((await store.get('a'))!.created, created)
    await store.transact([{ key: 'a', created }], [put('a', null)])
    assert.is((await store.transact([{ key: 'a', created }], [put('x')])).outcome, 'refused')
    assert.is((await store.transact([{ key: 'a', created: 0 }], [put('a', 3)])).outcome, 'applied')
    assert.is((await store.transact([{ key: 'a', created }], [put('x')])).outcome, 'refused')
    assert.equal(textOf((await store.list('')).entries), ['a=3'])
  })

  add('what changes nothing takes no revision, and no watch hears of it', async place => {
    const store = await place.connect()
    const { revision } = await store.transact([], [put('a')])
    const mirror = await Mirror.of(store, '')
    const nothing = [put('b', null), { prefix: 'none/', value: null }]
    assert.equal(await store.transact([], nothing), { outcome: 'applied', revision })
    assert.equal(await store.transact([{ key: 'a', revision }], []), {
      outcome: 'applied',
      revision,
    })
    await store.transact([], [put('a', 2)])
    await mirror.reaches(store)
    assert.equal(mirror.told, [`${revision + 1} a=2`])
  })

  add('a prefix is deleted in one operation, however many keys it has', async place => {
    const store = await place.connect()
    const keys = Array.from({ length: 300 }, (_, i) => `t/${i}`)
    for (let from = 0; from < keys.length; from += 100) {
      await store.transact(
        [],
        keys.slice(from, from + 100).map(key => put(key)),
      )
    }
    await store.transact([], [put('t'), put('t0'), put('s/1'), put('t/é')])
    const mirror = await Mirror.of(store, '')
    const changes = [{ prefix: 't/', value: null }, put('t', null), put('u')]
    const { revision } = await store.transact(
      [{ key: 't/1', created: (await store.get('t/1'))!.created }],
      changes,
    )
    assert.equal(textOf((await store.list('')).entries), ['s/1="s/1"', 't0="t0"', 'u="u"'])
    await mirror.reaches(store)
    assert.is(mirror.told.length, 303)
    assert.ok(
      mirror.told.every(text => text.startsWith(`${revision} `)),
      'it is one transaction',
    )
  })

  add('keeps its bounds, and says which', async place => {
    const store = await place.connect()
    const { revision } = await store.transact([], [put('a')])
    const many = Array.from({ length: CHANGES_MAX + 1 }, (_, i) => put(`k${i}`))
    await rejects(store.transact([], many), /at most 128/)
    await rejects(
      store.transact(
        many.map(() => ({ key: 'a', revision })),
        [],
      ),
      /at most 128/,
    )
    await rejects(store.compareAndSet('', 0, 1), /1 to 1024 bytes/)
    await rejects(store.compareAndSet('é'.repeat(KEY_BYTES_MAX / 2 + 1), 0, 1), /not 1026/)
    await rejects(store.compareAndSet('a', 0, 'x'.repeat(VALUE_BYTES_MAX)), /at most 1048576/)
    await rejects(store.transact([], [{ prefix: '', value: null }]), /1 to 1024 bytes/)
    for (const twice of [
      [put('a'), put('a', null)],
      [put('t/1'), { prefix: 't/', value: null }],
      [{ prefix: 't/', value: null }, put('t/')],
      [
        { prefix: 't/', value: null },
        { prefix: 't/1', value: null },
      ],
    ]) {
      await rejects(store.transact([], twice), /twice/)
    }
    assert.is((await store.list('')).revision, revision)
    const most = Array.from({ length: CHANGES_MAX }, (_, i) => put(`k${i}`))
    const compares = most.map((_, i) => ({ key: `k${i}`, revision: 0 }))
    assert.is((await store.transact(compares, most)).outcome, 'applied')
    const refused = await store.transact(compares, most)
    assert.is(refused.outcome === 'refused' && refused.now.length, CHANGES_MAX)
  })

  add('of many that race for a key one wins, again and again', async place => {
    const stores = [await place.connect(), await place.connect()]
    let revision = 0
    for (let round = 0; round < 5; round++) {
      const asked = revision
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          stores[i % 2]!.compareAndSet('a', asked, `${round} ${i}`),
        ),
      )
      const winners = results.flatMap((one, i) => (one.outcome === 'applied' ? [i] : []))
      assert.is(winners.length, 1)
      const entry = (await stores[0]!.get('a'))!
      assert.is(entry.value, `${round} ${winners[0]}`)
      assert.is(entry.revision, results[winners[0]!]!.revision)
      revision = entry.revision
    }
  })

  add('lists what has the prefix, by key', async place => {
    const store = await place.connect()
    const keys = [
      't/2',
      't/10',
      't/',
      't',
      't0',
      'T/1',
      's/~',
      't//',
      '__proto__',
      'a b "c"\n',
      'é',
    ]
    const { revision } = await store.transact(
      [],
      keys.map(key => put(key)),
    )
    const { entries } = await store.list('t/')
    assert.equal(
      entries.map(({ key }) => key),
      ['t/', 't//', 't/10', 't/2'],
    )
    const all = await store.list('')
    assert.equal(
      all.entries.map(({ key }) => key),
      [...keys].sort(),
    )
    assert.is(all.revision, revision)
    assert.ok(all.entries.every(entry => entry.value === entry.key))
  })

  add('what was read or given cannot be changed from outside', async place => {
    const store = await place.connect()
    const given = { list: [1] }
    const done = store.compareAndSet('a', 0, given)
    given.list.push(2)
    await done
    const value = (await store.get('a'))!.value as { list: number[] }
    assert.throws(() => value.list.push(3), TypeError)
    assert.equal(value, { list: [1] })
  })

  add('a watch is told of each transaction once, in order, and of its prefix only', async place => {
    const store = await place.connect()
    const writer = await place.connect()
    const { revision: r } = await writer.transact([], [put('t/0'), put('x')])
    const mirror = await Mirror.of(store, 't/')
    await writer.transact([], [put('t/a', 1), put('other', 2), put('t/b', { c: [] })])
    await writer.transact([], [put('other', 3)])
    await writer.transact([], [put('t/a', null)])
    await writer.transact([], [put('t/0', 2)])
    await mirror.reaches(store)
    assert.equal(mirror.told, [
      `${r + 1} t/a=1`,
      `${r + 1} t/b={"c":[]}`,
      `${r + 3} t/a=null`,
      `${r + 4} t/0=2`,
    ])
    assert.is(mirror.resets, 0)
    mirror.watch.stop()
    mirror.watch.stop()
    const other = await Mirror.of(store, '')
    await writer.transact([], [put('t/late')])
    await other.reaches(store)
    assert.is(mirror.told.length, 4, 'it was stopped')
  })

  add(
    'a watch from an earlier revision misses nothing, also when it is begun anew',
    async place => {
      const store = await place.connect()
      await store.transact([], [put('a', 1), put('gone', 1)])
      const listing = await store.list('')
      await store.transact([], [put('a', 2)])
      await store.transact([], [put('gone', null), put('b')])
      const mirror = new Mirror(store, '', listing)
      await mirror.reaches(store)
      assert.is(mirror.resets, place.compact === null ? 1 : 0)
      if (place.compact !== null) assert.is(mirror.told.length, 3)
      const changes: Promise<unknown>[] = []
      for (let i = 0; i < 20; i++) {
        const change = store.transact([], [put(`k${i % 3}`, i % 4 === 3 ? null : i)])
        mirror.watch.restart()
        if (i % 2 === 0) await change
        else changes.push(change)
      }
      await Promise.all(changes)
      await store.transact([], [put('end')])
      await mirror.reaches(store)
    },
  )

  add(
    'a watch that comes too late is told of everything anew, without what was deleted',
    async place => {
      if (place.compact === null) return
      const store = await place.connect()
      await store.transact([], [put('t/a', 1), put('t/gone', 1), put('u', 1)])
      const listing = await store.list('t/')
      await store.transact([], [put('t/gone', null)])
      await store.transact([], [put('t/a', 2)])
      await place.compact()
      const mirror = new Mirror(store, 't/', listing)
      await mirror.reaches(store)
      assert.is(mirror.resets, 1)
      assert.equal(mirror.told, [])
      await store.transact([], [put('t/b')])
      await mirror.reaches(store)
      assert.is(mirror.told.length, 1)
    },
  )

  add('keys go with the lease that they are bound to, in one transaction', async place => {
    const store = await place.connect()
    const other = await place.connect()
    const lease = await store.grant(5_000)
    assert.ok((await other.keepAlive(lease)) > 0)
    const bound = { key: 'a', value: 1, lease }
    await store.transact([], [bound, put('b', 2)])
    await other.transact(
      [],
      [
        { key: 'c', value: 3, lease },
        { key: 'd', value: 4, lease },
      ],
    )
    const entry = (await other.get('a'))!
    assert.equal(entry, {
      key: 'a',
      value: 1,
      revision: entry.revision,
      created: entry.revision,
      lease,
    })
    await other.transact([], [put('d', 5)])
    assert.not('lease' in (await other.get('d'))!, 'it is bound no more')
    const mirror = await Mirror.of(other, '')
    await other.revoke(lease)
    await other.revoke(lease)
    await mirror.reaches(other)
    assert.equal(textOf((await other.list('')).entries), ['b=2', 'd=5'])
    assert.equal(new Set(mirror.told.map(text => text.split(' ')[0])).size, 1)
    await rejects(store.transact([], [put('e'), bound]), /The lease has ended/)
    const error = await store.transact([], [bound]).catch((thrown: unknown) => thrown)
    assert.instance(error, LeaseEnded)
    assert.is(await store.get('e'), null)
    assert.is(await store.keepAlive(lease), 0)
    const next = await store.grant(5_000)
    assert.is.not(next, lease)
    assert.is((await store.transact([], [{ ...bound, lease: next }])).outcome, 'applied')
    await store.revoke(next)
    assert.is(await store.get('a'), null)
  })

  add('close ends watches and refuses the rest', async place => {
    const store = await place.connect()
    const other = await place.connect()
    const lease = await store.grant(60_000)
    await store.transact([], [{ key: 'bound', value: 1, lease }])
    const told: number[] = []
    const listener = { onChange: () => void told.push(1), onReset: () => void told.push(0) }
    store.watch('', (await store.list('')).revision, listener)
    await store.close()
    await store.close()
    await rejects(store.get('a'), /closed/)
    await rejects(store.list(''), /closed/)
    await rejects(store.transact([], [put('a')]), /closed/)
    assert.throws(() => store.watch('', 0, listener), /closed/)
    if (!kind.isShared) return
    const mirror = await Mirror.of(other, '')
    assert.is((await other.get('bound'))?.lease, lease, 'a lease goes on: it may be of others')
    await other.transact([], [put('more')])
    await mirror.reaches(other)
    assert.equal(told, [])
  })

  test(`${of} behaves like a model, whatever is asked of it`.trim(), async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
        const place = await kind.make()
        try {
          await followModel(await place.connect(), steps)
        } finally {
          await place.close()
        }
      }),
      { numRuns: kind.runs },
    )
  })
}

const key = fc.constantFrom('a', 'b', 'c', 't/1', 't/2', 't/1/x', '__proto__')
const value = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.array(fc.boolean()))
/** What of a key is compared, and whether rightly. */
const compare = fc.record({
  key,
  by: fc.constantFrom('revision' as const, 'created' as const),
  isRight: fc.boolean(),
})
const change = fc.oneof(
  { weight: 5, arbitrary: fc.record({ key, value }) },
  {
    weight: 1,
    arbitrary: fc.record({ prefix: fc.constantFrom('t/', 't/1'), value: fc.constant(null) }),
  },
)
const step = fc.record({
  compares: fc.array(compare, { maxLength: 2 }),
  changes: fc.uniqueArray(change, {
    maxLength: 3,
    selector: one => ('key' in one && !one.key.startsWith('t/') ? one.key : 't/'),
  }),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

async function followModel(store: MetadataStore, steps: readonly Step[]): Promise<void> {
  const model = new Map<string, Entry>()
  let { revision } = await store.list('')
  const mirror = await Mirror.of(store, '')
  for (const { compares, changes } of steps) {
    const asked = compares.map(({ key, by, isRight }) => {
      const number = (model.get(key)?.[by] ?? 0) + (isRight ? 0 : 1)
      return by === 'created' ? { key, created: number } : { key, revision: number }
    })
    const result = await store.transact(asked, changes)
    if (compares.some(({ isRight }) => !isRight)) {
      const keys = [...new Set(compares.map(({ key }) => key))]
      const now = keys.flatMap(key => model.get(key) ?? [])
      assert.equal(result, { outcome: 'refused', revision, now })
      continue
    }
    const next = revision + 1
    let isChanged = false
    for (const change of changes) {
      const goes = [...model.keys()].filter(key =>
        'prefix' in change ? key.startsWith(change.prefix) : key === change.key,
      )
      isChanged ||= goes.length > 0 || change.value !== null
      const created = model.get(goes[0]!)?.created ?? next
      for (const key of goes) model.delete(key)
      if (!('key' in change) || change.value === null) continue
      model.set(change.key, { key: change.key, value: change.value, revision: next, created })
    }
    if (isChanged) revision = next
    assert.equal(result, { outcome: 'applied', revision })
  }
  const entries = [...model.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  assert.equal(await store.list(''), { revision, entries })
  await mirror.reaches(store)
  assert.is(mirror.resets, 0)
}
