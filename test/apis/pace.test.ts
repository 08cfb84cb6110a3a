import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eachPaced, Once, Pace, sortPaced } from '../../src/apis/pace.ts'
import { Random } from '../lib/random.ts'

const test = suite('the pace of an answer')

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** A pace, and how often its connection was held. */
function newPace(): { pace: Pace; held: Promise<void>[] } {
  const held: Promise<void>[] = []
  return { pace: new Pace({ holdUntil: until => held.push(until) }), held }
}

test('what is short comes at once, in order, without what is not wanted', () => {
  const { pace, held } = newPace()
  const made = eachPaced(
    [1, 2, 3, 4],
    pace,
    n => n * 10,
    n => n % 2 === 0,
  )
  assert.equal(made, [20, 40])
  assert.equal(held, [])
})

test('what is long lets others run in between, and holds its connection until it leaves', async () => {
  const { pace, held } = newPace()
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  const made = await eachPaced([1, 2, 3, 4, 5, 6, 7, 8], pace, n => {
    busy(6)
    return n
  })
  clearInterval(timer)
  assert.equal(made, [1, 2, 3, 4, 5, 6, 7, 8])
  assert.ok(ticks >= 2, `${ticks} ticks`)
  assert.is(held.length, 1)
  let isOver = false
  held[0]!.then(() => {
    isOver = true
  })
  await sleep(5)
  assert.not.ok(isOver)
  pace.leave()
  await sleep(1)
  assert.ok(isOver)
})

test('of items that wait for something, some are under way at once, and the answers keep their order', async () => {
  const { pace } = newPace()
  let underWay = 0
  let most = 0
  const items = Array.from({ length: 200 }, (_, i) => i)
  const made = await eachPaced(items, pace, async n => {
    most = Math.max(most, ++underWay)
    await sleep(n % 3)
    underWay--
    return n
  })
  assert.equal(made, items)
  assert.ok(most > 10 && most <= 65, `${most} at once`)
})

test('the error of one item is the error of all', async () => {
  const { pace } = newPace()
  const failing = eachPaced([1, 2, 3], pace, async n => {
    if (n === 2) throw new RangeError('the second')
    return n
  })
  await Promise.resolve(failing).then(
    () => assert.unreachable(),
    error => assert.instance(error, RangeError),
  )
})

test('long answers are made one at a time', async () => {
  const order: string[] = []
  const long = async (name: string): Promise<void> => {
    const { pace } = newPace()
    await eachPaced([1, 2, 3], pace, () => {
      busy(6)
      order.push(name)
    })
    pace.leave()
  }
  await Promise.all([long('a'), long('b')])
  assert.equal([...order].sort(), ['a', 'a', 'a', 'b', 'b', 'b'])
  assert.equal(order.slice(-2), ['b', 'b'], 'b has begun, and waited until a was done')
})

test('sorts as Array.sort does', async () => {
  const { pace } = newPace()
  const random = new Random(7)
  for (const length of [0, 1, 2, 4_096, 4_097, 20_000]) {
    const items = Array.from({ length }, () => `t${random.below(1_000_000)}`)
    assert.equal(await sortPaced(items, pace), [...items].sort())
  }
  pace.leave()
})

test('says once that something comes for the first time', () => {
  const once = new Once()
  assert.equal(
    ['a', 'b', 'a', 'a', 'b'].map(key => once.isFirst(key)),
    [true, true, false, false, false],
  )
})

test.run()
