import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CpuShare } from '../../src/net/cpu-share.ts'

const test = suite('what a connection uses of the event loop')

/** A connection that sends so many requests in one go, every so many ms; each takes so long. */
function use(share: CpuShare, clock: { ms: number }, requests: number, eachMs: number): boolean {
  share.start(clock.ms)
  let wasSmall = true
  for (let i = 0; i < requests; i++) {
    const now = share.look()
    if (now !== -1 && !share.isSmall(now)) wasSmall = false
    clock.ms += eachMs
  }
  share.stop()
  return wasSmall
}

function newShare(): { share: CpuShare; clock: { ms: number } } {
  const clock = { ms: 1_000 }
  return { share: new CpuShare(() => clock.ms), clock }
}

test('a small request now and then is served at once', () => {
  const { share, clock } = newShare()
  for (let i = 0; i < 100; i++, clock.ms += 20) assert.ok(use(share, clock, 1, 0.05))
})

test('one that asks without a rest stands in line', () => {
  const { share, clock } = newShare()
  let small = 0
  for (let i = 0; i < 100; i++, clock.ms += 1) if (use(share, clock, 10, 0.05)) small++
  assert.ok(small < 5, `${small} of 100`)
})

test('many requests in one go are looked at before they are all through', () => {
  const { share, clock } = newShare()
  assert.not.ok(use(share, clock, 20, 0.05))
})

// A ping of 327 ms, and one of 454: beside a flood of 100 connections the process was held up for a moment amid a ping's request, which
// was charged as if it had taken that long; then it stood in line with the flood for a second.
test('a process that is held up during a request costs its connection no place', () => {
  const { share, clock } = newShare()
  use(share, clock, 1, 50)
  clock.ms += 20
  for (let i = 0; i < 20; i++, clock.ms += 20) assert.ok(use(share, clock, 1, 0.05), `${i}`)
})

test.run()
