import { constants, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Listeners, type Listening } from '../../src/topics/listeners.ts'
import { Random, seeds } from '../lib/random.ts'

const test = suite('listeners of a partition')

test('everybody who waits is called, whoever ends or comes meanwhile, and nobody who has ended', () => {
  for (const seed of seeds(1, 200)) {
    const random = new Random(seed)
    const listeners = new Listeners(error => assert.unreachable(String(error)))
    const waiting = new Map<number, Listening>()
    let called = new Set<number>()
    let next = 0
    const end = (id: number): void => {
      waiting.get(id)?.end()
      waiting.delete(id)
    }
    const add = (): void => {
      const id = next++
      const listening = listeners.add(() => {
        assert.ok(waiting.has(id), `${id} has ended`)
        called.add(id)
        if (random.chance(0.3)) end(id)
        if (random.chance(0.2)) end(random.below(next))
        if (random.chance(0.1)) add()
      })
      waiting.set(id, listening)
    }
    for (let round = 0; round < 20; round++) {
      for (let i = random.below(8); i > 0; i--) add()
      called = new Set()
      const before = [...waiting.keys()]
      listeners.wake()
      for (const id of before) assert.ok(called.has(id) || !waiting.has(id), `${id}, seed ${seed}`)
    }
  }
})

test('one that throws is called no more, and the others are', () => {
  const errors: unknown[] = []
  const listeners = new Listeners(error => errors.push(error))
  let heard = 0
  listeners.add(() => heard++)
  listeners.add(() => {
    throw new Error('planted')
  })
  listeners.add(() => heard++)
  listeners.wake()
  listeners.wake()
  assert.is(errors.length, 1)
  assert.is(heard, 4)
})

test('what has waited is young garbage: it costs no full collection', async () => {
  let full = 0
  const observer = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as unknown as { detail: { kind: number } }
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full++
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  const listeners = new Listeners(error => assert.unreachable(String(error)))
  const waiting: Listening[] = []
  for (let i = 0; i < 300_000; i++) {
    const kept = new Array<number>(200).fill(i)
    // For a while nothing comes: what there is then becomes old.
    if (i < 10 || i > 50_000) waiting.push(listeners.add(() => kept.length))
    if (waiting.length > 10) waiting.shift()!.end()
    if (i % 10_000 === 0) await turn()
  }
  await turn()
  observer.disconnect()
  assert.is(full, 0)
})

test.run()
