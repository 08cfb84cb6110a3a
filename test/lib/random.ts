/** A seeded generator (mulberry32): the same seed gives the same run. */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed
    this.#state = seed | 0
  }

  /** 0 <= x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** 0 <= n < bound */
  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  /** All of them, in another order. */
  shuffled<T>(items: readonly T[]): T[] {
    const keyed = items.map(item => ({ item, key: this.next() }))
    return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
  }
}

/**
 * The seeds of a test run: only `SEED` from the environment if it is set, else `count` from `first` on, or a share of them
 * (`SEEDS_SHARE`: 5 takes a fifth).
 */
export function seeds(first: number, count: number): number[] {
  const { SEED: only, SEEDS_SHARE: share = '1' } = process.env
  if (only !== undefined) return [Number(only)]
  return Array.from({ length: Math.ceil(count / Number(share)) }, (_, i) => first + i)
}

/** So few seeds tell nothing about how many of them do something. */
export const ARE_FEW = process.env.SEED !== undefined || process.env.SEEDS_SHARE !== undefined
