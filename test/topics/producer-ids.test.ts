import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import type { MetadataStore } from '../../src/metadata/store.ts'
import { ProducerIds } from '../../src/topics/producer-ids.ts'
import { MemoryFs } from '../lib/memory-fs.ts'

const BLOCK = 1000
const test = suite('producer ids')

function newStore(): LocalMetadataStore {
  const files = new MemoryFs()
  files.mkdir('/data')
  return new LocalMetadataStore(files, '/data')
}

test('no two askers get the same id, and a block of them is one write', async () => {
  const store = newStore()
  const ids = new ProducerIds(store)
  const got = await Promise.all(Array.from({ length: 2 * BLOCK + 1 }, () => ids.next()))
  assert.is(new Set(got).size, 2 * BLOCK + 1)
  assert.is(store.revision, 3)
  await store.close()
})

test('a broker that starts again does not hand out what it may have handed out before', async () => {
  const store = newStore()
  const first = await new ProducerIds(store).next()
  const again = await new ProducerIds(store).next()
  assert.is(again, first + BLOCK)
  await store.close()
})

test('brokers with one store get different blocks; who loses the race takes the next', async () => {
  const store = newStore()
  let other = -1
  const raced = Object.assign(Object.create(store) as MetadataStore, {
    get: async (key: string) => {
      const entry = await store.get(key)
      other = await new ProducerIds(store).next() // is faster
      return entry
    },
    transact: store.transact.bind(store),
  })
  assert.is(await new ProducerIds(raced).next(), BLOCK)
  assert.is(other, 0)
  await store.close()
})

test('after a failed write the next asker tries again', async () => {
  const store = newStore()
  let fails = true
  const failing = Object.assign(Object.create(store) as MetadataStore, {
    get: (key: string) => store.get(key),
    transact: (...given: Parameters<MetadataStore['transact']>) => {
      if (fails) return Promise.reject(new Error('planned'))
      return store.transact(...given)
    },
  })
  const ids = new ProducerIds(failing)
  const results = await Promise.allSettled([ids.next(), ids.next()])
  assert.equal(
    results.map(r => r.status),
    ['rejected', 'rejected'],
  )
  fails = false
  assert.is(await ids.next(), 0)
  await store.close()
})

test.run()
