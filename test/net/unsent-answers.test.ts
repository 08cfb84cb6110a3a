import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SMALL_BYTES } from '../../src/net/request-memory.ts'
import { UnsentAnswers } from '../../src/net/unsent-answers.ts'

const MAX = 10 * SMALL_BYTES
const LATER_MS = 60_000

const test = suite('answers that are not taken')

class Receiver {
  lastActive = performance.now()
  isGone = false
  readonly #unsent: UnsentAnswers

  constructor(unsent: UnsentAnswers) {
    this.#unsent = unsent
  }

  giveUp(): void {
    this.isGone = true
    this.#unsent.set(this, 0)
  }
}

test('past the bound connections with much unsent wait, others do not', () => {
  const unsent = new UnsentAnswers(MAX)
  unsent.set(new Receiver(unsent), MAX)
  assert.not.ok(unsent.isTooMuch(MAX), 'the bound itself')
  const receiver = new Receiver(unsent)
  unsent.set(receiver, 2 * SMALL_BYTES)
  assert.ok(unsent.isTooMuch(2 * SMALL_BYTES))
  assert.not.ok(unsent.isTooMuch(SMALL_BYTES))
  unsent.set(receiver, SMALL_BYTES)
  assert.is(unsent.bytes, MAX, 'what is small is not counted')
})

test('past the bound those that take nothing for a while are closed, no more than needed', () => {
  const unsent = new UnsentAnswers(MAX)
  const receivers = [1, 2, 3].map(() => new Receiver(unsent))
  for (const receiver of receivers) unsent.set(receiver, MAX / 2)
  unsent.sweep()
  assert.not.ok(
    receivers.some(r => r.isGone),
    'they may be taking them',
  )
  receivers[0]!.lastActive = performance.now() + LATER_MS
  unsent.sweep(performance.now() + LATER_MS)
  assert.equal(
    receivers.map(r => r.isGone),
    [false, true, false],
  )
  assert.is(unsent.bytes, MAX)
})

test.run()
