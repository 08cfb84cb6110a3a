import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Aim, type Held, type Move, planMoves } from '../../src/cli/cluster/plan.ts'

const test = suite('the plan of moves')

const held = (...lists: readonly number[][]): Held[] =>
  lists.map((replicas, partition) => ({ topic: 't', partition, replicas, bytes: partition }))

function aim(brokers: readonly number[], over: Partial<Aim> = {}): Aim {
  const takers = brokers.map(id => ({ id, rack: null }))
  const racks = new Map(brokers.map(id => [id, null]))
  return { takers, racks, leaving: new Set(), evens: true, ...over }
}

const after = (all: readonly Held[], moves: readonly Move[]): (readonly number[])[] =>
  all.map(one => moves.find(m => m.partition === one.partition)?.to ?? one.replicas)

const countsOf = (lists: readonly (readonly number[])[], brokers: readonly number[]) =>
  brokers.map(id => lists.filter(replicas => replicas.includes(id)).length)
const spread = (counts: readonly number[]): number => Math.max(...counts) - Math.min(...counts)

test('who leaves is replaced where it stood, and nothing else is moved', () => {
  const all = held([1, 2], [2, 3], [3, 1])
  const leaving = { leaving: new Set([1]), takers: aim([2, 3, 4]).takers, evens: false }
  const moves = planMoves(all, aim([1, 2, 3, 4], leaving))
  assert.equal(
    moves.map(({ partition, to }) => [partition, to]),
    [
      [0, [4, 2]],
      [2, [3, 4]],
    ],
  )
})

test('with nobody left to take it, it says which', () => {
  const leaving = { leaving: new Set([1]), takers: aim([2]).takers }
  assert.throws(
    () => planMoves(held([1, 2]), aim([1, 2], leaving)),
    /t-0 has 2 replicas, and no other broker can take the one of broker 1/,
  )
})

test('a new broker takes its share, and its share of leaders', () => {
  const all = held(...Array.from({ length: 12 }, (_, i) => [1 + (i % 3), 1 + ((i + 1) % 3)]))
  const moves = planMoves(all, aim([1, 2, 3, 4], { takers: aim([4]).takers }))
  const lists = after(all, moves)
  assert.equal(countsOf(lists, [4]), [6])
  assert.is(lists.filter(([first]) => first === 4).length, 3)
})

test('the small ones move, and a move leaves a partition in no fewer racks', () => {
  const racks = new Map([
    [1, 'a'],
    [2, 'b'],
    [3, 'a'],
  ])
  const takers = [{ id: 3, rack: 'a' }]
  const moves = planMoves(held([1, 2], [1, 2], [1, 2], [1, 2]), aim([], { racks, takers }))
  for (const { to } of moves) assert.ok(to.includes(2), 'rack b')
  assert.is(Math.max(...moves.map(({ partition }) => partition)), moves.length - 1)
})

test('whatever there is: all have as many, the same number of replicas, none twice, none who leaves', () => {
  const lists = fc.array(
    fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
    { minLength: 1, maxLength: 60 },
  )
  const leavers = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 2 })
  fc.assert(
    fc.property(lists, leavers, (replicaLists, leaving) => {
      const all = held(...replicaLists)
      const stay = [1, 2, 3, 4, 5, 6].filter(id => !leaving.includes(id))
      const options = { takers: aim(stay).takers, leaving: new Set(leaving) }
      const moves = planMoves(all, aim([1, 2, 3, 4, 5, 6], options))
      const now = after(all, moves)
      for (const [i, replicas] of now.entries()) {
        assert.is(replicas.length, replicaLists[i]!.length)
        assert.is(new Set(replicas).size, replicas.length)
        assert.not(replicas.some(id => leaving.includes(id)))
      }
      assert.ok(spread(countsOf(now, stay)) <= 1, 'replicas')
      assert.equal(planMoves(after2(all, now), aim([1, 2, 3, 4, 5, 6], options)), [], 'stays so')
    }),
  )
})

const after2 = (all: readonly Held[], now: readonly (readonly number[])[]): Held[] =>
  all.map((one, i) => ({ ...one, replicas: now[i]! }))

test.run()
