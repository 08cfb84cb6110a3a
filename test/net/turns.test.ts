import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  inOwnTurn,
  inPieces,
  isTurnOver,
  nextOwnTurn,
  OneAtATime,
  TURN_MS,
} from '../../src/turns.ts'

const test = suite('turns of the event loop')

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test('a turn is over when its time is, and the next one is new', async () => {
  await nextOwnTurn()
  assert.not.ok(isTurnOver())
  busy(TURN_MS)
  assert.ok(isTurnOver())
  await nextOwnTurn()
  assert.not.ok(isTurnOver())
})

test('long work lets timers and others run, and all of it shares the turns', async () => {
  const order: string[] = []
  function* work(name: string): Generator<void, string> {
    for (let i = 0; i < 3; i++) {
      busy(TURN_MS)
      order.push(name)
      yield
    }
    return name
  }
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  const done = await Promise.all([inPieces(work('a')), inPieces(work('b'))])
  clearInterval(timer)
  assert.equal(done, ['a', 'b'])
  assert.equal(order, ['a', 'b', 'a', 'b', 'a', 'b'])
  assert.ok(ticks >= 3, `a timer ran ${ticks} times`)
})

test('an error in a piece is the error of the work', async () => {
  function* work(): Generator<void, void> {
    yield
    throw new RangeError('in the second piece')
  }
  await inPieces(work()).then(
    () => assert.unreachable(),
    error => assert.instance(error, RangeError),
  )
})

test('pieces wait in one line, first come first served, also very many', async () => {
  const seen: number[] = []
  await new Promise<void>(resolve => {
    for (let i = 0; i < 3_000; i++) {
      inOwnTurn(() => {
        seen.push(i)
        if (i === 2_999) resolve()
      })
    }
  })
  assert.equal(seen, [...seen.keys()])
})

test('one at a time, in the order of asking', async () => {
  const door = new OneAtATime()
  const inside: number[] = []
  let most = 0
  let now = 0
  await Promise.all(
    [0, 1, 2, 3].map(async i => {
      await door.enter()
      most = Math.max(most, ++now)
      await sleep(1)
      inside.push(i)
      now--
      door.leave()
    }),
  )
  assert.equal(inside, [0, 1, 2, 3])
  assert.is(most, 1)
})

test.run()
