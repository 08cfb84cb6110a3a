import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HISTORY_MAX, type MemoryClock, MemoryMetadata } from '../../src/metadata/memory.ts'
import { Mirror } from './mirror.ts'
import { rejects } from './test-files.ts'

const TTL_MS = 6_000

/** Time goes on when it is told to. */
class TestClock implements MemoryClock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly act: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, act: () => void): () => void {
    const timer = { at: this.#now + ms, act }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  soon(act: () => void): void {
    this.after(0, act)
  }

  pass(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = due.at
      due.act()
    }
    this.#now = until
  }
}

const test = suite('metadata in memory')

test('a lease lives as long as it is kept alive, by the clock that is given', async () => {
  const clock = new TestClock()
  const metadata = new MemoryMetadata(clock)
  const [store, other] = [metadata.connect(), metadata.connect()]
  const lease = await store.grant(TTL_MS)
  await store.transact([], [{ key: 'a', value: 1, lease }])
  const mirror = await Mirror.of(other, '')
  for (let i = 0; i < 10; i++) {
    clock.pass(TTL_MS - 1)
    assert.is(await store.keepAlive(lease), TTL_MS)
  }
  assert.is.not(await other.get('a'), null)
  clock.pass(TTL_MS)
  assert.is(await other.get('a'), null)
  assert.equal(mirror.told, ['2 a=null'])
  assert.is(await store.keepAlive(lease), 0)
  await rejects(store.transact([], [{ key: 'a', value: 1, lease }]), /lease has ended/)
})

test('a watch is told later, never amid the transaction', async () => {
  const clock = new TestClock()
  const metadata = new MemoryMetadata(clock)
  const store = metadata.connect()
  const mirror = await Mirror.of(store, '')
  await store.transact([], [{ key: 'a', value: 1 }])
  await store.transact([], [{ key: 'a', value: 2 }])
  assert.equal(mirror.told, [])
  clock.pass(0)
  assert.equal(mirror.told, ['1 a=1', '2 a=2'])
})

test('who is far behind is told of everything anew', async () => {
  const clock = new TestClock()
  const metadata = new MemoryMetadata(clock)
  const store = metadata.connect()
  const mirror = await Mirror.of(store, '')
  for (let i = 0; i <= HISTORY_MAX; i++) await store.transact([], [{ key: `k${i % 7}`, value: i }])
  clock.pass(0)
  await mirror.reaches(store)
  assert.is(mirror.resets, 1)
})

test('a listener that throws: the others are told', async () => {
  const clock = new TestClock()
  const metadata = new MemoryMetadata(clock)
  const bad: unknown[] = []
  metadata.onBadWatcher = error => void bad.push(error)
  const store = metadata.connect()
  const planted = (): void => {
    throw new Error('planted')
  }
  store.watch('', 0, { onChange: planted, onReset: planted })
  const mirror = await Mirror.of(store, '')
  await store.transact([], [{ key: 'a', value: 1 }])
  clock.pass(0)
  assert.is(bad.length, 1)
  assert.equal(mirror.told, ['1 a=1'])
})

test.run()
