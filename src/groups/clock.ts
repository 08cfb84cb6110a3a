/** The longest time between two looks at the clock while there are deadlines, and the shortest: so late may a deadline be met. */
const TICK_MS_MAX = 100
const TICK_MS_MIN = 5
/** A step longer than this means that the process or its event loop stood still: only this much of it counts. */
const STEP_MS_MAX = 200
/** After such a stop nothing expires for so long: what clients sent meanwhile is read first. */
const GRACE_MS = 1_000

/**
 * Broker time: it runs with the process's event loop. While that stands still (a stopped process, blocking user code in an
 * embedding program) it stands still too, so that no session ends because the broker did not listen.
 */
export class BrokerClock {
  readonly #monotonic: () => number
  #last: number
  #now = 0
  #graceUntil = 0

  /** @param monotonic ms of a clock that only rises */
  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic
    this.#last = monotonic()
  }

  /** ms since the clock was made, less the time that the process stood still. */
  now(): number {
    const monotonic = this.#monotonic()
    const step = monotonic - this.#last
    this.#last = monotonic
    this.#now += Math.min(step, STEP_MS_MAX)
    if (step > STEP_MS_MAX) this.#graceUntil = this.#now + GRACE_MS
    return this.#now
  }

  /** Whether time-outs may be acted on. */
  get isSettled(): boolean {
    return this.#now >= this.#graceUntil
  }
}

/** Something that wants to be called when its deadline has passed. */
export interface Timed {
  /** Broker time in ms; Infinity: never. */
  readonly deadline: number
  onTime(now: number): void
}

interface Entry {
  readonly at: number
  readonly timed: Timed
}

/**
 * Deadlines of many things with one timer. A deadline that moves to later costs nothing: the old entry is looked at when its
 * time comes and put in again. Whoever's deadline may have become earlier is given to `watch`.
 */
export class Deadlines {
  readonly #clock: BrokerClock
  readonly #onError: (error: unknown, timed: Timed) => void
  /** A binary heap, the earliest first. */
  readonly #heap: Entry[] = []
  /** The earliest entry of each. */
  readonly #queued = new Map<Timed, number>()
  #timer: NodeJS.Timeout | null = null
  /** Broker time of the next tick. */
  #nextTick = Number.POSITIVE_INFINITY

  /** @param onError told of what one of them throws: it is not called again until somebody watches it */
  constructor(clock: BrokerClock, onError: (error: unknown, timed: Timed) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  watch(timed: Timed): void {
    const { deadline } = timed
    if (deadline === Number.POSITIVE_INFINITY) return
    const queued = this.#queued.get(timed)
    if (queued !== undefined && queued <= deadline) return
    this.#queued.set(timed, deadline)
    this.#push({ at: deadline, timed })
    if (deadline < this.#nextTick) this.#schedule()
  }

  #schedule(): void {
    this.close()
    const first = this.#heap[0]
    if (first === undefined) return
    const now = this.#clock.now()
    const wait = Math.min(Math.max(first.at - now, TICK_MS_MIN), TICK_MS_MAX)
    this.#nextTick = now + wait
    this.#timer = setTimeout(() => this.tick(), wait)
    this.#timer.unref()
  }

  forget(timed: Timed): void {
    this.#queued.delete(timed)
  }

  /** Calls everybody whose deadline has passed. */
  tick(): void {
    const now = this.#clock.now()
    // Those who are watched meanwhile need no timer of their own.
    this.#nextTick = Number.NEGATIVE_INFINITY
    if (this.#clock.isSettled) this.#call(now)
    this.#schedule()
  }

  #call(now: number): void {
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.#pop()
      const { timed, at } = first
      if (this.#queued.get(timed) !== at) continue
      this.#queued.delete(timed)
      try {
        if (timed.deadline <= now) timed.onTime(now)
        this.watch(timed)
      } catch (error) {
        this.forget(timed)
        this.#onError(error, timed)
      }
    }
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#nextTick = Number.POSITIVE_INFINITY
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]!.at <= entry.at) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = i * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++
      if (heap[child]!.at >= last.at) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}
