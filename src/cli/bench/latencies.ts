/** A bucket's bounds are this far apart: what is told is off by half a percent at most. */
const GROWTH = 1.01
const MIN_MS = 0.001
const MAX_MS = 1e7

const bucketOf = (ms: number): number =>
  Math.round(Math.log(Math.min(MAX_MS, Math.max(MIN_MS, ms)) / MIN_MS) / Math.log(GROWTH))

/** How long things took, counted in buckets: memory does not grow with a run of hours. */
export class Latencies {
  readonly #counts = new Float64Array(bucketOf(MAX_MS) + 1)
  #count = 0
  #min = Number.POSITIVE_INFINITY
  #max = 0

  add(ms: number): void {
    this.#counts[bucketOf(ms)]!++
    this.#count++
    this.#min = Math.min(this.#min, ms)
    this.#max = Math.max(this.#max, ms)
  }

  get count(): number {
    return this.#count
  }

  /** Exact. */
  get max(): number {
    return this.#max
  }

  /** ms that this share of all stayed below, 0.5 for the median; 0 if there are none. */
  at(share: number): number {
    if (this.#count === 0) return 0
    let before = Math.floor(share * (this.#count - 1))
    let bucket = 0
    while (before >= this.#counts[bucket]!) before -= this.#counts[bucket++]!
    return Math.min(this.#max, Math.max(this.#min, MIN_MS * GROWTH ** bucket))
  }
}
