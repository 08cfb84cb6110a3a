import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkPattern, matchTopics, PATTERN_LIMITS } from '../../src/groups/consumer/pattern.ts'
import { tasks } from '../../src/topics/tasks.ts'
import { GroupWorld, stateOf } from '../lib/group-world.ts'

const test = suite('patterns of consumer groups')

const byPattern = (subscribedTopicRegex: string) => ({ subscribedTopicRegex })

function assigned(world: GroupWorld, memberId: string): string[] {
  const member = world.group.describe().members.find(m => m.memberId === memberId)!
  return member.assignment.topicPartitions.map(t => t.topicName).sort()
}

test('a pattern is RE2, and matches names as a whole', () => {
  assert.is(checkPattern('foo.*'), null)
  assert.is(checkPattern(''), null)
  assert.equal(matchTopics('a|ab', ['a', 'ab', 'abc', 'xa']), ['a', 'ab'])
  assert.equal(matchTopics('(?i)orders-\\d+', ['ORDERS-1', 'orders-', 'orders-12']), [
    'ORDERS-1',
    'orders-12',
  ])
  for (const bad of ['(', '*a', '[b-a]', 'a{1001}', '(?=a)', '(?<!a)b', '(a)\\1', 'a**', '\\']) {
    assert.match(checkPattern(bad) ?? 'valid', /not valid/, bad)
  }
})

test('what is too large is refused', () => {
  const { charsMax, exoticCharsMax } = PATTERN_LIMITS
  assert.is(checkPattern('a'.repeat(4_000)), null)
  assert.match(checkPattern('a'.repeat(charsMax + 1)) ?? '', /characters, at most 8192/)
  assert.match(checkPattern('\\x{1ffff}'.repeat(exoticCharsMax)) ?? '', /at most 512/)
  assert.match(checkPattern('\\pL|'.repeat(2_000)) ?? '', /at most 512/, 'slow to compile')
  assert.match(checkPattern('(a?){1000}(b?){1000}') ?? '', /instructions, at most 5000/)
})

const HOSTILE = [
  '(a*)*b',
  '(a|aa)*b',
  '((a{1,10}){1,10}){1,10}b',
  '.*a[ab]{200}',
  '(.*a[ab]{20}){5}',
  '(?:a?b?){1000}x',
  '\\b(?:a?b?){1000}\\b',
  '([ab]{0,30}a){30}',
  '\\pL|'.repeat(2_000),
  `(?i)${'[k-\u{1ffff}]'.repeat(100)}`,
  `(?i)[${'\\pL\\PL'.repeat(1_300)}]`,
  '('.repeat(4_000) + ')'.repeat(4_000),
]

test('a hostile pattern is refused, matched or given up: 10,000 names of 249 characters', () => {
  let seed = 1
  const letter = (): string => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    return (seed >> 16) % 2 === 0 ? 'a' : 'b'
  }
  const names = Array.from({ length: 10_000 }, () => Array.from({ length: 249 }, letter).join(''))
  for (const pattern of HOSTILE) {
    if (checkPattern(pattern) !== null) continue
    try {
      matchTopics(pattern, names)
    } catch (error) {
      assert.match(String(error), /takes more than 500 ms/)
    }
  }
})

test('a match ends before its time is over, however long a name takes', () => {
  for (const eachMs of [1, 90, 170, 260, 499]) {
    let ms = 0
    const now = (): number => {
      ms += eachMs
      return ms - eachMs
    }
    const names = Array.from({ length: 1_000 }, (_, i) => `t${i}`)
    assert.throws(() => matchTopics('t.*', names, now), /takes more than 500 ms/)
    // How long the first one takes is not known before.
    assert.ok(ms - eachMs <= 500 + eachMs, `${ms - eachMs} ms with ${eachMs} ms each`)
  }
})

test('the task threads have both jobs', () => {
  assert.is(tasks.checkPattern({ pattern: 'a' }), null)
  assert.equal(tasks.matchTopics({ pattern: 'a.*', names: ['a', 'b', 'ab'] }), ['a', 'ab'])
})

test('a member with a pattern has its topics when it is resolved', () => {
  const world = new GroupWorld()
  world.topic('a1')
  world.topic('b1')
  assert.not(world.group.knowsPattern('a.*'))
  const joined = world.enter('m1', null, byPattern('a.*'))
  assert.ok(world.group.knowsPattern('a.*'))
  assert.equal(joined.assignment, { topicPartitions: [] })
  assert.is(joined.memberEpoch, 1, 'a new group has an epoch, though nothing is assigned yet')
  assert.equal(world.asked, ['a.*'])
  world.resolve()
  assert.equal(world.kinds(), ['groupEpoch', 'regularExpression'])
  world.heartbeat({ memberId: 'm1', memberEpoch: 1 })
  assert.equal(assigned(world, 'm1'), ['a1'])
  assert.ok(world.group.isSubscribedTo('a1'))
  assert.equal(stateOf(world.reloaded()), stateOf(world.group))
})

test('a second member with a known pattern need not wait', () => {
  const world = new GroupWorld()
  world.topic('a1', 2)
  world.enter('m1', null, byPattern('a.*'))
  world.resolve()
  world.heartbeat({ memberId: 'm1', memberEpoch: 1 })
  const before = world.group.describe().groupEpoch
  world.enter('m2', null, byPattern('a.*'))
  assert.equal(world.asked, [])
  assert.is(world.group.describe().groupEpoch, before + 1)
})

test('names and a pattern together', () => {
  const world = new GroupWorld()
  for (const name of ['a1', 'b1', 'c1']) world.topic(name)
  world.enter('m1', ['c1'], byPattern('a.*'))
  assert.equal(assigned(world, 'm1'), ['c1'])
  world.resolve()
  world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  assert.equal(assigned(world, 'm1'), ['a1', 'c1'])
})

test('new topics are found, but not more often than every 10 s', () => {
  const world = new GroupWorld()
  world.topic('a1')
  world.enter('m1', null, byPattern('a.*'))
  world.resolve()
  world.topic('a2')
  const beat = (): void => {
    const { memberEpoch } = world.group.describe().members[0]!
    world.heartbeat({ memberId: 'm1', memberEpoch })
  }
  beat()
  assert.equal(world.asked, [])
  world.now += 10_000
  beat()
  world.resolve()
  beat()
  assert.equal(assigned(world, 'm1'), ['a1', 'a2'])
  world.now += 599_000
  beat()
  assert.equal(world.asked, [], 'without news it is asked again after the interval')
  world.now += 1_000
  beat()
  assert.equal(world.asked, ['a.*'])
  const writes = world.writes.length
  world.resolve()
  assert.is(world.writes.length, writes, 'and the same answer changes nothing')
})

test('an answer that never comes is asked for again, less and less often', () => {
  const world = new GroupWorld()
  world.enter('m1', null, byPattern('a.*'))
  const asked: number[] = []
  for (let s = 0; s < 200; s++) {
    world.now += 1_000
    world.asked.length = 0
    world.heartbeat({ memberId: 'm1', memberEpoch: 1 })
    if (world.asked.length > 0) asked.push(s)
  }
  const gaps = asked.map((s, i) => s - (asked[i - 1] ?? 0))
  assert.equal(gaps.slice(1, 4), [2, 4, 8])
})

test('a pattern goes with its last subscriber', () => {
  const world = new GroupWorld()
  world.topic('a1')
  const id = world.topic('b1')
  world.enter('m1', null, byPattern('a.*'))
  world.resolve()
  world.heartbeat({ memberId: 'm1', memberEpoch: 1 })
  world.enter('m1', ['b1'], byPattern(''))
  assert.ok(world.kinds().includes('-regularExpression'))
  assert.not(world.group.isSubscribedTo('a1'))
  world.heartbeat({ memberId: 'm1', memberEpoch: 2, topicPartitions: [] })
  assert.equal(assigned(world, 'm1'), ['b1'])
  world.group.resolved('a.*', ['a1'])
  assert.not(world.group.isSubscribedTo('a1'), 'an answer that comes too late')
  assert.ok(id.length > 0)
})

test('a pattern that matches nothing frees what its subscriber had before', () => {
  const world = new GroupWorld()
  world.topic('a1', 2)
  world.enter('m1', null, byPattern('a.*'))
  world.resolve()
  world.heartbeat({ memberId: 'm1', memberEpoch: 1 })
  const joined = world.enter('m2', null, byPattern('a.*'))
  world.heartbeat({ memberId: 'm1', memberEpoch: 2 })
  world.enter('m1', null, byPattern('none'))
  world.resolve()
  world.heartbeat({ memberId: 'm2', memberEpoch: joined.memberEpoch })
  const last = world.group.describe().members.find(m => m.memberId === 'm2')!
  assert.equal(last.assignment.topicPartitions[0]!.partitions, [0, 1])
})

test.run()
