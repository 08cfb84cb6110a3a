import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import type { MetadataStore } from '../../src/metadata/store.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
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

test('brokers with one store get different blocks; who loses the race says so and can go on', async () => {
  const store = newStore()
  const raced: MetadataStore = {
    get: async key => {
      const entry = await store.get(key)
      await new ProducerIds(store).next() // the other broker is faster
      return entry
    },
    list: prefix => store.list(prefix),
    compareAndSet: (key, revision, value) => store.compareAndSet(key, revision, value),
    transact: (compares, changes) => store.transact(compares, changes),
    watch: (prefix, listener) => store.watch(prefix, listener),
    close: () => store.close(),
  }
  const error = await new ProducerIds(raced).next().then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, BrokerError)
  assert.is((error as BrokerError).errorCode, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  assert.is(await new ProducerIds(store).next(), BLOCK)
  await store.close()
})

test('after a failed write the next asker tries again', async () => {
  const store = newStore()
  let fails = true
  const failing = Object.assign(Object.create(store) as MetadataStore, {
    get: (key: string) => store.get(key),
    compareAndSet: (key: string, revision: number, value: number) => {
      if (fails) return Promise.reject(new Error('planned'))
      return store.compareAndSet(key, revision, value)
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
