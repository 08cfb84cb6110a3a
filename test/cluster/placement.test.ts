import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Candidate, placeReplicas, placeWithOthers } from '../../src/cluster/placement.ts'
import { Random } from '../lib/random.ts'

const test = suite('where replicas go')

const brokers = (...racks: (string | null)[]): Candidate[] =>
  racks.map((rack, i) => ({ id: i + 1, rack }))
const below = (seed: number) => {
  const random = new Random(seed)
  return (bound: number) => random.below(bound)
}

function counts(placed: number[][], of: (replicas: number[]) => number[]): number[] {
  const found = new Map<number, number>()
  for (const id of placed.flatMap(of)) found.set(id, (found.get(id) ?? 0) + 1)
  return [...found.values()]
}

test('leaders and followers are dealt out evenly', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const placed = placeReplicas(brokers(null, null, null, null), 12, 3, below(seed))!
    assert.equal(
      counts(placed, ([leader]) => [leader!]),
      [3, 3, 3, 3],
    )
    assert.equal(
      counts(placed, replicas => replicas),
      [9, 9, 9, 9],
    )
  }
})

test('no broker has a partition twice', () => {
  for (let seed = 1; seed <= 50; seed++) {
    for (const replicas of placeReplicas(brokers('a', 'a', 'b'), 7, 3, below(seed))!) {
      assert.is(new Set(replicas).size, 3)
    }
  }
})

test('every rack has a replica before one has two', () => {
  const all = brokers('a', 'a', 'b', 'b', 'c', 'c')
  for (let seed = 1; seed <= 50; seed++) {
    for (const replicas of placeReplicas(all, 9, 3, below(seed))!) {
      assert.is(new Set(replicas.map(id => all[id - 1]!.rack)).size, 3)
    }
  }
})

test('the first partitions of all topics do not go to the same brokers', () => {
  const leaders = new Set<number>()
  for (let seed = 1; seed <= 50; seed++) {
    leaders.add(placeReplicas(brokers(null, null, null), 1, 1, below(seed))![0]![0]!)
  }
  assert.is(leaders.size, 3)
})

test('those that are away come behind all that serve, and only where these are too few', () => {
  const [a, b, c, d] = brokers(null, null, null, null) as [
    Candidate,
    Candidate,
    Candidate,
    Candidate,
  ]
  for (let seed = 1; seed <= 20; seed++) {
    for (const replicas of placeWithOthers([a, b], [c, d], 6, 3, below(seed))!) {
      assert.is(new Set(replicas).size, 3)
      assert.equal([...replicas.slice(0, 2)].sort(), [1, 2])
    }
    for (const replicas of placeWithOthers([a, b], [c, d], 6, 2, below(seed))!) {
      assert.equal([...replicas].sort(), [1, 2])
    }
  }
  assert.is(placeWithOthers([], [a, b], 1, 1, below(1)), null)
  assert.is(placeWithOthers([a], [b], 1, 3, below(1)), null)
})

test('with too few brokers there is no place', () => {
  assert.is(placeReplicas(brokers(null, null), 1, 3, below(1)), null)
  assert.is(placeReplicas(brokers(null), 1, 0, below(1)), null)
})

test.run()
