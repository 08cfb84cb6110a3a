import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Random, seeds } from '../lib/random.ts'
import { outcomeOf } from './clients/outcome.ts'
import { cutsOf, PARTITIONS } from './nemesis/partitions.ts'
import { FAULTS, scheduleOf } from './nemesis/schedule.ts'
import { Keys, keyOf, placeOf } from './workload/keys.ts'
import { NODES, type NodeName } from './world/network.ts'

const test = suite('what a run is made of')

test('the same seed breaks the same things at the same times', () => {
  const turns = scheduleOf(7, 300_000, FAULTS)
  assert.equal(turns, scheduleOf(7, 300_000, FAULTS))
  assert.not.equal(turns, scheduleOf(8, 300_000, FAULTS))
  assert.ok(turns[0]!.atMs >= 5_000 && turns.length > 20)
  assert.equal(scheduleOf(7, 300_000, []), [])
})

test('partitions part whom they say', () => {
  for (const seed of seeds(1, 50)) {
    const random = new Random(seed)
    const [one, halves, ring, leader, oneWay] = PARTITIONS.map(kind => {
      const cuts = cutsOf(kind, random, 'b2')
      assert.ok(cuts.every(({ from, to }) => from !== to))
      const hears = (a: NodeName, b: NodeName): boolean =>
        !cuts.some(({ from, to }) => from === b && to === a)
      const views = NODES.map(a => NODES.filter(b => hears(a, b)))
      return {
        cuts,
        views,
        isMutual: NODES.every(a => NODES.every(b => hears(a, b) === hears(b, a))),
      }
    })
    assert.equal(one!.views.map(view => view.length).sort(), [1, 3, 3, 3])
    assert.equal(leader!.views[NODES.indexOf('b2')], ['b2'])
    assert.ok(halves!.views.every(view => view.length === 2))
    assert.is(new Set(ring!.views.map(String)).size, NODES.length)
    assert.ok([one, halves, ring, leader].every(each => each!.isMutual) && !oneWay!.isMutual)
  }
})

test('the hottest key gets half, and keys are replaced', () => {
  const keys = new Keys(new Random(1))
  const { hottest } = keys
  const draws = Array.from({ length: 1_000 }, () => keys.draw())
  assert.ok(Math.abs(draws.filter(key => key === hottest).length - 500) < 60)
  const last = new Map<number, number>()
  for (let i = 0; i < 10_000; i++) {
    const { key, value } = keys.drawWrite()
    assert.is(value, (last.get(key) ?? 0) + 1)
    last.set(key, value)
  }
  assert.ok(keys.count > 30, `${keys.count} keys`)
  assert.ok(Math.max(...last.values()) <= 1_024)
})

test('keys know what is there, and what nobody has read', () => {
  const keys = new Keys(new Random(1))
  keys.acknowledged(3, 10)
  keys.acknowledged(4, 10)
  keys.polled(4, 12)
  assert.equal(keys.unseen(), [3])
  assert.equal(
    [...keys.ends()],
    [
      [3, 10],
      [4, 12],
    ],
  )
  for (const key of [0, 1, 17]) assert.is(keyOf(...placeOf(key)), key)
})

test('an error is definite only if nothing can have come of it', () => {
  const of = (error?: string, nothingSent?: boolean) =>
    outcomeOf({ rebalanced: [], ...(error && { error }), ...(nothingSent && { nothingSent }) })
  assert.is(of(), 'ok')
  assert.is(of('TimeoutException', true), 'fail')
  assert.is(of('UnknownTopicOrPartitionException'), 'fail')
  const unknown = ['TimeoutException', 'NotLeaderOrFollowerException', '_MSG_TIMED_OUT', 'Error']
  for (const error of unknown) assert.is(of(error), 'info', error)
})

test.run()
