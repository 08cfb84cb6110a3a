/** Somebody who waits for the high watermark: an acks=all append, or a duplicate of one that waits for its original's end. */
export interface Waiter<W> {
  /** Answered when the high watermark is here. */
  readonly end: number
  /** Monotonic ms at which the request's own time is over. */
  readonly deadline: number
  /** The caller's own. */
  readonly slot: W
}

/** Those who wait, in order of offset; of the same offset in order of arrival. */
export class Waiters<W> {
  #queue: Waiter<W>[] = []
  /** Nobody's deadline is before this. */
  #earliest = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#queue.length
  }

  add(waiter: Waiter<W>): void {
    const queue = this.#queue
    let at = queue.length
    // Only a duplicate has an end below others'.
    while (at > 0 && queue[at - 1]!.end > waiter.end) at--
    queue.splice(at, 0, waiter)
    this.#earliest = Math.min(this.#earliest, waiter.deadline)
  }

  /** Takes out those whose end has been reached. */
  upTo(offset: number): W[] {
    let count = 0
    while (count < this.#queue.length && this.#queue[count]!.end <= offset) count++
    return count === 0 ? [] : this.#queue.splice(0, count).map(({ slot }) => slot)
  }

  /** Takes out those whose time is over. */
  expired(now: number): W[] {
    if (now < this.#earliest) return []
    const over = this.#queue.filter(({ deadline }) => deadline <= now)
    this.#queue = this.#queue.filter(({ deadline }) => deadline > now)
    this.#earliest = this.#queue.reduce((t, w) => Math.min(t, w.deadline), Number.POSITIVE_INFINITY)
    return over.map(({ slot }) => slot)
  }

  all(): W[] {
    return this.#queue.splice(0).map(({ slot }) => slot)
  }
}
