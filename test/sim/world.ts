import { Random } from '../lib/random.ts'

/** A rule of the design that did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

interface Event {
  readonly time: number
  readonly order: number
  readonly run: () => void
}

const isBefore = (a: Event, b: Event): boolean =>
  a.time < b.time || (a.time === b.time && a.order < b.order)

/** Virtual time (ms), all that will happen, and the one source of chance. */
export class World {
  now = 0
  events = 0
  hash = 0x811c9dc5
  readonly random: Random
  readonly isTraced: boolean
  readonly lines: string[] = []
  readonly #heap: Event[] = []
  #order = 0

  constructor(seed: number, isTraced = false) {
    this.random = new Random(seed)
    this.isTraced = isTraced
  }

  /** lo <= x < hi */
  between(lo: number, hi: number): number {
    return lo + this.random.next() * (hi - lo)
  }

  after(delay: number, run: () => void): void {
    const heap = this.#heap
    const event = { time: this.now + delay, order: ++this.#order, run }
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, event)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  run(until: number): void {
    const heap = this.#heap
    while (heap.length > 0 && heap[0]!.time <= until) {
      const event = this.#pop()
      this.now = event.time
      this.events++
      event.run()
    }
    this.now = until
  }

  /** What happened, for the trace and for the hash by which two runs are compared. */
  note(what: string, a: number | string = 0, b: number | string = 0, c: number | string = 0): void {
    this.#mix(what)
    this.#mix(a)
    this.#mix(b)
    this.#mix(c)
    if (this.isTraced) this.lines.push(`${this.now.toFixed(1).padStart(9)} ${what} ${a} ${b} ${c}`)
  }

  #mix(value: number | string): void {
    if (typeof value === 'number') {
      this.hash = Math.imul(this.hash ^ ((value * 16) | 0), 0x01000193)
      return
    }
    for (let i = 0; i < value.length; i++) {
      this.hash = Math.imul(this.hash ^ value.charCodeAt(i), 0x01000193)
    }
  }

  #pop(): Event {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
