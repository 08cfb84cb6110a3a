import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RequestMemory, SMALL_BYTES } from '../../src/net/request-memory.ts'

const MAX = 10 * SMALL_BYTES
const LARGE = 4 * SMALL_BYTES

const test = suite('memory of requests')

/** A connection that takes and gives back as it is told. */
class Holder {
  heldBytes = 0
  woken = 0
  isInsideFrame = true
  spareBytes = 0
  readonly #memory: RequestMemory

  constructor(memory: RequestMemory) {
    this.#memory = memory
  }

  hold(bytes: number): this {
    this.heldBytes += bytes
    this.#memory.add(bytes)
    return this
  }

  get mayRead(): boolean {
    return this.#memory.mayRead(this)
  }

  giveSpare(): void {
    const spare = this.spareBytes
    this.spareBytes = 0
    if (spare > 0) this.hold(-spare)
  }

  onMemory(): void {
    this.woken++
  }
}

test('connections are read until the memory is full', () => {
  const memory = new RequestMemory(MAX)
  const holders = [1, 2, 3].map(() => new Holder(memory).hold(LARGE))
  assert.ok(memory.isFull)
  assert.equal(
    holders.map(h => h.mayRead),
    [true, false, false],
    'the first may go on: somebody must finish',
  )
})

test('what is small is read however full it is', () => {
  const memory = new RequestMemory(MAX)
  new Holder(memory).hold(MAX)
  assert.ok(new Holder(memory).mayRead)
  assert.ok(new Holder(memory).hold(SMALL_BYTES).mayRead)
  assert.ok(new Holder(memory).hold(SMALL_BYTES + 1).mayRead, 'nobody else goes on')
  assert.not.ok(new Holder(memory).hold(SMALL_BYTES + 1).mayRead)
})

test('one after the other goes on until its request is whole', () => {
  const memory = new RequestMemory(MAX)
  const [a, b, c] = [1, 2, 3].map(() => new Holder(memory).hold(LARGE)) as [Holder, Holder, Holder]
  assert.equal([a.mayRead, b.mayRead, c.mayRead], [true, false, false])
  a.hold(LARGE) // the rest of its request
  assert.equal([b.woken, c.woken], [0, 0])
  const filler = new Holder(memory).hold(MAX)
  a.hold(-2 * LARGE)
  memory.leave(a)
  assert.equal([b.woken, c.woken], [1, 0], 'still full: the next one alone')
  assert.equal([b.mayRead, c.mayRead], [true, false])
  filler.hold(-MAX)
  assert.is(c.woken, 1, 'there is room again')
})

test('one that is closed makes way', () => {
  const memory = new RequestMemory(MAX)
  const [a, b] = [1, 2].map(() => new Holder(memory).hold(MAX)) as [Holder, Holder]
  assert.equal([a.mayRead, b.mayRead], [true, false])
  a.hold(-MAX)
  memory.leave(a)
  assert.is(b.woken, 1)
  assert.ok(b.mayRead)
  b.hold(-MAX)
  memory.leave(b)
  assert.is(memory.usedBytes, 0)
})

test('who is between two requests does not go on in the place of others, and keeps nothing for later', () => {
  const memory = new RequestMemory(MAX)
  const idle = new Holder(memory).hold(LARGE)
  idle.isInsideFrame = false
  idle.spareBytes = LARGE
  const [a, b] = [1, 2].map(() => new Holder(memory).hold(LARGE)) as [Holder, Holder]
  assert.ok(memory.isFull)
  assert.ok(idle.mayRead)
  assert.is(idle.heldBytes, 0)
  a.hold(LARGE)
  const busy = new Holder(memory).hold(LARGE)
  busy.isInsideFrame = false
  assert.equal([busy.mayRead, a.mayRead, b.mayRead], [false, true, false])
  a.hold(-LARGE)
  memory.leave(a)
  assert.equal([busy.woken, b.woken], [0, 1], 'what is under way of it comes to an end by itself')
})

test.run()
