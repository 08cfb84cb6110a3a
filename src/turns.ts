/**
 * How the event loop's time is shared: the one pace of the process. Whatever may take long works in pieces and asks
 * between them whether its turn is over; then it waits in one line with everybody else who works in pieces. Between two
 * turns the event loop looks at all sockets and timers, so that what is short never waits behind what is long.
 *
 * Module state on purpose: there is one event loop, however many brokers live in the process.
 */

/** What may run in one turn of the event loop before everything else has its chance, in ms. */
export const TURN_MS = 5

type Piece = () => void

/**
 * When the current turn began, or one before it since which no time to speak of has passed, in ms of the monotonic clock. The
 * end of a turn is seen by an immediate, which costs a look at all sockets: so there is one for turns that may be long only.
 */
let began = Number.NEGATIVE_INFINITY
let isScheduled = false
/** Those who wait for a turn, first come, first served. */
const waiting: Piece[] = []
/** Those at the front of `waiting` that have had it; taken off now and then, for shifting a long array is slow. */
let served = 0
const SERVED_KEPT_MAX = 1024

function begin(now: number): void {
  began = now
  if (isScheduled) return
  isScheduled = true
  setImmediate(nextTurn)
}

function nextTurn(): void {
  isScheduled = false
  began = performance.now()
  const piece = waiting[served]
  if (piece === undefined) return
  if (++served > SERVED_KEPT_MAX || served === waiting.length) {
    waiting.splice(0, served)
    served = 0
  }
  begin(began)
  piece()
}

/**
 * Whether the work of this turn has had its time: then it goes on in another. A turn is over after TURN_MS, or twice that if nobody
 * has asked for as long before. `now`: performance.now(), if the caller has it.
 */
export function isTurnOver(now: number = performance.now()): boolean {
  if (now - began < TURN_MS) return false
  if (isScheduled) return true
  begin(now)
  return false
}

/** Calls back in a turn of the event loop that is this piece's own. */
export function inOwnTurn(piece: Piece): void {
  waiting.push(piece)
  if (!isScheduled) begin(performance.now())
}

/** Waits for a turn of one's own. */
export function nextOwnTurn(): Promise<void> {
  return new Promise(resolve => inOwnTurn(resolve))
}

/** Runs a generator to its end, as many pieces in a turn as fit. */
export async function inPieces<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
    if (isTurnOver()) await nextOwnTurn()
  }
}

/**
 * Long work that takes much memory while it lasts is done one at a time, in the order of asking, so that together it
 * takes no more than the largest of it.
 */
export class OneAtATime {
  readonly #waiting: (() => void)[] = []
  #isTaken = false

  enter(): Promise<void> {
    if (!this.#isTaken) {
      this.#isTaken = true
      return Promise.resolve()
    }
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#isTaken = false
    else next()
  }
}
