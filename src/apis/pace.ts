import { isTurnOver, nextOwnTurn, OneAtATime } from '../turns.ts'

/** Requests that are long, or whose answers take long to make, of all connections: each may take much memory. */
const longWork = new OneAtATime()

/** An answer that takes no longer than this is made without a rest, in ms. */
const SHORT_MS = 0.5

/** Items of one request that may wait for something (a worker, a search, a flush) at the same time. */
const WAITING_MAX = 64

/** What stops reading the connection until the promise resolves. */
export interface Reading {
  holdUntil(until: Promise<void>): void
}

/**
 * Splits the making of one answer into pieces: what loops over what a request names, or over what there is, calls `rest`
 * between the pieces. An answer that has to rest is a long one, and waits for the long ones before it; so does a long request,
 * before it is decoded. It has the place until its answer is encoded, or waits for others (`leave`), and its connection is
 * not read meanwhile, so that requests stay in order.
 */
export class Pace {
  readonly #reading: Reading
  /** ms of the monotonic clock; -1 until a second piece is asked about: most requests have one, and need no clock. */
  #began = -1
  #isFirst = true
  #entered: Promise<void> | null = null
  #left: (() => void) | null = null

  constructor(reading: Reading) {
    this.#reading = reading
  }

  /** Whether it is time to `rest`. What is short never is, however busy the turn has been with others. */
  get isDue(): boolean {
    if (this.#isFirst) {
      this.#isFirst = false
      return false
    }
    const now = performance.now()
    if (this.#began === -1) this.#began = now
    return now - this.#began > SHORT_MS && isTurnOver(now)
  }

  /** Lets other work run if it is time. */
  async rest(): Promise<void> {
    if (!this.isDue) return
    await this.enter()
    await nextOwnTurn()
  }

  /** Waits for the long ones before this one. */
  enter(): Promise<void> {
    if (this.#entered === null) {
      this.#entered = longWork.enter()
      this.#reading.holdUntil(
        new Promise(resolve => {
          this.#left = resolve
        }),
      )
    }
    return this.#entered
  }

  /** The answer is encoded, or nobody wants it any more. */
  leave(): void {
    const entered = this.#entered
    if (entered === null) return
    this.#entered = null
    this.#left?.()
    entered.then(() => longWork.leave())
  }
}

/** Says of a key whether it comes for the first time: what a request names twice is answered once. */
export class Once {
  readonly #seen = new Set<unknown>()

  isFirst(key: unknown): boolean {
    const before = this.#seen.size
    return this.#seen.add(key).size > before
  }
}

/**
 * What a request names, made into what is answered about it, in its order; piece by piece where that takes long. Items that
 * are not wanted are left out. The result comes at once if nothing had to wait.
 */
export function eachPaced<T, R>(
  items: readonly T[],
  pace: Pace,
  make: (item: T) => R | Promise<R>,
  isWanted: (item: T) => boolean = () => true,
): R[] | Promise<R[]> {
  const made: R[] = []
  for (let i = 0; i < items.length; i++) {
    if (pace.isDue) return restPaced(items, i, made, null, pace, make, isWanted)
    if (!isWanted(items[i]!)) continue
    const one = make(items[i]!)
    if (one instanceof Promise) return restPaced(items, i + 1, made, one, pace, make, isWanted)
    made.push(one)
  }
  return made
}

/** For what a request names by topic and partition: each partition is answered once, whatever topic it stands under. */
export function oncePerPartition(pace: Pace) {
  const once = new Once()
  return <T, R>(
    topic: string,
    partitions: readonly T[],
    indexOf: (partition: T) => number,
    make: (partition: T) => R | Promise<R>,
  ): R[] | Promise<R[]> =>
    eachPaced(partitions, pace, make, one => once.isFirst(`${topic} ${indexOf(one)}`))
}

/** The items from one on; `first` is what the one before them is made into. */
async function restPaced<T, R>(
  items: readonly T[],
  from: number,
  made: R[],
  first: Promise<R> | null,
  pace: Pace,
  make: (item: T) => R | Promise<R>,
  isWanted: (item: T) => boolean,
): Promise<R[]> {
  let waiting: Promise<void>[] = []
  const put = (one: Promise<R>): void => {
    const at = made.push(undefined as R) - 1
    const done = one.then(value => {
      made[at] = value
    })
    waiting.push(done)
  }
  if (first !== null) put(first)
  for (let i = from; i < items.length; i++) {
    if (pace.isDue) await pace.rest()
    if (!isWanted(items[i]!)) continue
    const one = make(items[i]!)
    if (!(one instanceof Promise)) {
      made.push(one)
      continue
    }
    put(one)
    if (waiting.length < WAITING_MAX) continue
    await Promise.all(waiting)
    waiting = []
  }
  await Promise.all(waiting)
  return made
}

/** Strings sorted together: a few thousand take a millisecond or two. */
const SORTED_AT_ONCE = 4096

/** Sorts by code units, piece by piece: parts of the list, then larger and larger ones put together. */
export async function sortPaced(items: readonly string[], pace: Pace): Promise<string[]> {
  let runs: string[][] = []
  for (let i = 0; i < items.length; i += SORTED_AT_ONCE) {
    runs.push(items.slice(i, i + SORTED_AT_ONCE).sort())
    await pace.rest()
  }
  while (runs.length > 1) {
    const merged: string[][] = []
    for (let i = 0; i < runs.length; i += 2) {
      merged.push(i + 1 < runs.length ? await merge(runs[i]!, runs[i + 1]!, pace) : runs[i]!)
    }
    runs = merged
  }
  return runs[0] ?? []
}

async function merge(a: readonly string[], b: readonly string[], pace: Pace): Promise<string[]> {
  const out: string[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (out.length % SORTED_AT_ONCE === 0) await pace.rest()
    out.push(j >= b.length || (i < a.length && a[i]! <= b[j]!) ? a[i++]! : b[j++]!)
  }
  return out
}
