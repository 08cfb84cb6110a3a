import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Target } from '../../src/groups/consumer/assignment.ts'
import {
  type AssignedMember,
  type AssignedTopic,
  assignors,
} from '../../src/groups/consumer/assignors/index.ts'
import { levelled } from '../../src/groups/consumer/assignors/uniform-mixed.ts'
import { Random, seeds } from '../lib/random.ts'

const test = suite('assignors of the consumer protocol')

const uniform = assignors.get('uniform')!
const range = assignors.get('range')!

const topic = (id: string, partitions: number): AssignedTopic => ({ id, partitions })

function member(
  memberId: string,
  topics: readonly AssignedTopic[],
  target: Target = new Map(),
): AssignedMember {
  return { memberId, instanceId: null, topics, target }
}

const shown = (targets: readonly Target[]): string[] =>
  targets.map(target => [...target].map(([id, ps]) => `${id}:${ps}`).join(' '))

const size = (target: Target): number => [...target.values()].reduce((n, ps) => n + ps.length, 0)

test('uniform: what does not come out even goes to the first', () => {
  const topics = [topic('a', 5)]
  const members = ['m1', 'm2', 'm3'].map(id => member(id, topics))
  assert.equal(shown(uniform(members)), ['a:0,1', 'a:2,3', 'a:4'])
})

test('uniform: a member that joins gets its share, and nothing else moves', () => {
  const topics = [topic('a', 4), topic('b', 2)]
  const before = uniform([member('m1', topics), member('m2', topics)])
  assert.equal(shown(before), ['a:0,1,2', 'a:3 b:0,1'])
  const after = uniform([
    ...before.map((target, i) => member(`m${i + 1}`, topics, target)),
    member('m3', topics),
  ])
  assert.equal(shown(after), ['a:0,1', 'b:0,1', 'a:2,3'])
})

test('uniform: a member that has more already keeps it', () => {
  const topics = [topic('a', 3)]
  const targets: Target[] = [new Map([['a', [0]]]), new Map([['a', [1, 2]]])]
  const members = targets.map((target, i) => member(`m${i}`, topics, target))
  assert.ok(uniform(members).every((target, i) => target === targets[i]))
})

test('uniform: what is gone, or has another member, is dropped from targets', () => {
  const topics = [topic('a', 2)]
  const stale: Target = new Map([
    ['a', [0, 7]],
    ['gone', [0]],
  ])
  const members = [member('m1', topics, stale), member('m2', topics, new Map([['a', [0, 1]]]))]
  assert.equal(shown(uniform(members)), ['a:0', 'a:1'])
})

test('uniform: different subscriptions are respected and evened out', () => {
  const [a, b] = [topic('a', 2), topic('b', 4)]
  const targets = uniform([member('m1', [a, b]), member('m2', [b]), member('m3', [a])])
  assert.equal(shown(targets), ['b:0,1', 'b:2,3', 'a:0,1'])
})

test('uniform: nobody subscribes to anything', () => {
  assert.equal(uniform([]), [])
  assert.equal(shown(uniform([member('m1', []), member('m2', [])])), ['', ''])
  const targets = uniform([member('m1', [topic('a', 1)]), member('m2', [])])
  assert.equal(shown(targets), ['a:0', ''])
})

test('range: consecutive partitions, the same of every topic', () => {
  const topics = [topic('a', 5), topic('b', 5)]
  const targets = range(['m3', 'm1', 'm2'].map(id => member(id, topics)))
  assert.equal(shown(targets), ['a:4 b:4', 'a:0,1 b:0,1', 'a:2,3 b:2,3'])
})

test('range: static members come first, whatever their member ids', () => {
  const topics = [topic('a', 3)]
  const members = [
    member('m1', topics),
    { ...member('x', topics), instanceId: 'i2' },
    { ...member('z', topics), instanceId: 'i1' },
  ]
  assert.equal(shown(range(members)), ['a:2', 'a:1', 'a:0'])
})

test('range: more members than partitions, and other subscriptions', () => {
  const [a, b] = [topic('a', 1), topic('b', 2)]
  const members = [member('m1', [a, b]), member('m2', [a, b]), member('m3', [b])]
  const targets = range(members)
  assert.equal(shown(targets), ['a:0 b:0', 'b:1', ''])
  const again = members.map((m, i) => ({ ...m, target: targets[i]! }))
  assert.ok(range(again).every((target, i) => target === targets[i]))
})

test('levels are as even as they can be, and disturb as little as they can', () => {
  assert.equal(levelled([0, 0, 0], [0, 0, 0], 4), [2, 1, 1])
  assert.equal(levelled([0, 0, 0], [0, 0, 2], 4), [1, 1, 2])
  assert.equal(levelled([5, 0, 1], [0, 0, 0], 3), [0, 2, 1])
  assert.equal(levelled([5, 0, 1], [0, 0, 0], 1), [0, 1, 0])
  assert.equal(levelled([2, 2], [0, 1], 1), [0, 1])
  for (const seed of seeds(1, 300)) {
    const random = new Random(seed)
    const loads = Array.from({ length: 1 + random.below(6) }, () => random.below(8))
    const count = 1 + random.below(20)
    const shares = levelled(
      loads,
      loads.map(() => random.below(5)),
      count,
    )
    assert.is(
      shares.reduce((a, b) => a + b),
      count,
      `seed ${seed}`,
    )
    const wet = loads.map((load, i) => load + shares[i]!).filter((_, i) => shares[i]! > 0)
    const level = Math.max(...wet)
    assert.ok(
      wet.every(total => total >= level - 1),
      `seed ${seed}`,
    )
    assert.ok(
      loads.every((load, i) => load + shares[i]! >= level - 1),
      `seed ${seed}`,
    )
  }
})

/** Members come, go and change their minds; topics grow. After each change, the targets must be right. */
test('random groups: each partition has one member that subscribes to it, and all is even', () => {
  for (const seed of seeds(1, 150)) {
    const random = new Random(seed)
    const isMixed = random.chance(0.6)
    let topics = Array.from({ length: 1 + random.below(5) }, (_, i) =>
      topic(`t${i}`, 1 + random.below(9)),
    )
    const choose = (): AssignedTopic[] =>
      isMixed ? topics.filter(() => random.chance(0.6)) : topics
    let members = [member('m0', choose())]
    for (let step = 1; step < 12; step++) {
      const what = random.below(4)
      if (what === 0 && members.length > 1) members.splice(random.below(members.length), 1)
      else if (what === 1) {
        const grown = random.pick(topics)
        topics = topics.map(t => (t === grown ? topic(t.id, t.partitions + 1) : t))
      } else members.push(member(`m${step}`, choose()))
      // Assignors tell members that are alike by their arrays.
      const byKey = new Map<string, AssignedTopic[]>()
      members = members.map(m => {
        const ids = isMixed ? new Set(m.topics.map(t => t.id)) : new Set(topics.map(t => t.id))
        const key = [...ids].join()
        const own = byKey.get(key) ?? topics.filter(t => ids.has(t.id))
        byKey.set(key, own)
        return { ...m, topics: own }
      })
      check(members, uniform(members), `seed ${seed} step ${step}`, true)
      assert.equal(shown(uniform(members)), shown(uniform(members)), 'and always the same')
      check(members, range(members), `seed ${seed} step ${step}`, false)
      const targets = uniform(members)
      members = members.map((m, i) => ({ ...m, target: targets[i]! }))
      const isAtRest = uniform(members).every((target, i) => target === targets[i])
      assert.ok(isAtRest, `seed ${seed} step ${step}: nothing moves without need`)
    }
  }
})

function check(members: AssignedMember[], targets: Target[], at: string, isEven: boolean): void {
  const owners = new Map<string, number>()
  targets.forEach((target, i) => {
    for (const [id, partitions] of target) {
      const known = members[i]!.topics.find(t => t.id === id)
      assert.ok(known, `${at}: ${id} is not subscribed to`)
      for (const partition of partitions) {
        assert.ok(partition < known!.partitions, at)
        assert.not(owners.has(`${id}:${partition}`), `${at}: ${id}:${partition} twice`)
        owners.set(`${id}:${partition}`, i)
      }
    }
  })
  const all = new Map(members.flatMap(m => m.topics).map(t => [t.id, t.partitions]))
  assert.is(
    owners.size,
    [...all.values()].reduce((a, b) => a + b, 0),
    `${at}: all are assigned`,
  )
  if (!isEven) return
  const sizes = targets.map(size)
  // No topic has a subscriber that could hand over to one with two partitions less.
  for (const [one, owner] of owners) {
    const id = one.slice(0, one.lastIndexOf(':'))
    members.forEach((m, i) => {
      if (!m.topics.some(t => t.id === id)) return
      assert.ok(
        sizes[owner]! - sizes[i]! <= 1,
        `${at}: ${owner} has ${sizes[owner]}, ${i} ${sizes[i]}`,
      )
    })
  }
}

test('large groups are quick', () => {
  const topics = Array.from({ length: 10 }, (_, i) => topic(`t${i}`, 100))
  const some = topics.slice(1)
  let members = Array.from({ length: 500 }, (_, i) => member(`m${i}`, i % 7 === 0 ? some : topics))
  const targets = uniform(members)
  members = members.map((m, i) => ({ ...m, target: targets[i]! }))
  members.push(member('new', topics))
  const started = performance.now()
  for (let i = 0; i < 10; i++) uniform(members)
  const ms = (performance.now() - started) / 10
  assert.ok(ms < 50, `${ms} ms`)
})

test.run()
