import { plural } from '../base/output.ts'

/** A partition that there is: whoever has it, the preferred leader first. */
export interface Held {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
  /** Of one replica. */
  readonly bytes: number
}

export interface Taker {
  readonly id: number
  readonly rack: string | null
}

export interface Aim {
  /** Those that may be given replicas. */
  readonly takers: readonly Taker[]
  /** Racks of all brokers, takers or not. */
  readonly racks: ReadonlyMap<number, string | null>
  /** Those that are to have nothing afterwards. */
  readonly leaving: ReadonlySet<number>
  /** Whether those that have more than others are to give some away. */
  readonly evens: boolean
}

export interface Move extends Held {
  readonly to: readonly number[]
}

/** Who gets what while it is planned. */
class Plan {
  readonly #aim: Aim
  readonly #held: readonly Held[]
  readonly #to: number[][]
  /** Replicas by broker, and how many of them come first. */
  readonly #counts = new Map<number, number>()
  readonly #firsts = new Map<number, number>()

  constructor(held: readonly Held[], aim: Aim) {
    this.#aim = aim
    this.#held = [...held].sort((a, b) => a.bytes - b.bytes)
    this.#to = this.#held.map(({ replicas }) => [...replicas])
    for (const replicas of this.#to) {
      replicas.forEach((id, at) => {
        this.#count(id, at, 1)
      })
    }
  }

  get moves(): Move[] {
    return this.#held
      .map((held, i) => ({ ...held, to: this.#to[i]! }))
      .filter(({ replicas, to }) => replicas.join() !== to.join())
      .sort((a, b) =>
        a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
      )
  }

  #count(id: number, at: number, by: 1 | -1): void {
    this.#counts.set(id, this.#has(id) + by)
    if (at === 0) this.#firsts.set(id, this.#leads(id) + by)
  }

  #has = (id: number): number => this.#counts.get(id) ?? 0
  #leads = (id: number): number => this.#firsts.get(id) ?? 0

  #replace(replicas: number[], at: number, id: number): void {
    this.#count(replicas[at]!, at, -1)
    replicas[at] = id
    this.#count(id, at, 1)
  }

  #racksOf(replicas: readonly number[]): number {
    return new Set(replicas.map(id => this.#aim.racks.get(id) ?? `no rack: ${id}`)).size
  }

  /** @throws RangeError that names a partition for which there is nobody */
  leave(): void {
    for (const [i, replicas] of this.#to.entries()) {
      for (const [at, id] of replicas.entries()) {
        if (!this.#aim.leaving.has(id)) continue
        const taker = this.#takerFor(replicas, at)
        if (taker !== null) this.#replace(replicas, at, taker)
        else {
          const { topic, partition } = this.#held[i]!
          throw new RangeError(
            `${topic}-${partition} has ${plural(replicas.length, 'replica')}, and no other broker can take the one of broker ${id}`,
          )
        }
      }
    }
  }

  /** Whoever spreads it over most racks, and of those whoever has least. */
  #takerFor(replicas: readonly number[], at: number): number | null {
    const free = this.#aim.takers.filter(({ id }) => !replicas.includes(id))
    const racks = (id: number): number => this.#racksOf(replicas.with(at, id))
    const weight = (id: number): number => (at === 0 ? this.#leads(id) : 0)
    const [best] = free
      .map(({ id }) => ({ id, racks: racks(id), has: this.#has(id), leads: weight(id) }))
      .sort((a, b) => b.racks - a.racks || a.has - b.has || a.leads - b.leads || a.id - b.id)
    return best?.id ?? null
  }

  /** Small partitions first: they cost least. */
  even(): void {
    const donors = [...this.#aim.racks.keys()].filter(id => !this.#aim.leaving.has(id))
    /** Pairs of whom one has nothing that the other could take. */
    const done = new Set<string>()
    for (;;) {
      const pairs = donors.flatMap(from =>
        this.#aim.takers
          .filter(({ id }) => this.#has(from) - this.#has(id) > 1 && !done.has(`${from} ${id}`))
          .map(({ id: to }) => ({ from, to, gap: this.#has(from) - this.#has(to) })),
      )
      const [pair] = pairs.sort((a, b) => b.gap - a.gap || a.from - b.from || a.to - b.to)
      if (pair === undefined) return
      if (!this.#give(pair.from, pair.to)) done.add(`${pair.from} ${pair.to}`)
    }
  }

  #give(from: number, to: number): boolean {
    const wantsFirst = this.#leads(from) > this.#leads(to) + 1
    let other: number[] | null = null
    for (const replicas of this.#to) {
      const at = replicas.indexOf(from)
      if (at === -1 || replicas.includes(to)) continue
      if (this.#racksOf(replicas.with(at, to)) < this.#racksOf(replicas)) continue
      if ((at === 0) === wantsFirst) {
        this.#replace(replicas, at, to)
        return true
      }
      other ??= replicas
    }
    if (other === null) return false
    this.#replace(other, other.indexOf(from), to)
    return true
  }

  /** Has each lead about as many: whom replicas are led by costs nothing to change. */
  spreadLeaders(): void {
    for (let isChanged = true; isChanged; ) {
      isChanged = false
      for (const replicas of this.#to) {
        const least = replicas.reduce((a, b) => (this.#leads(b) < this.#leads(a) ? b : a))
        const first = replicas[0]!
        if (this.#leads(first) - this.#leads(least) <= 1) continue
        const at = replicas.indexOf(least)
        this.#replace(replicas, 0, least)
        // Counts of replicas stay what they were: only who comes first has changed.
        this.#count(least, at, -1)
        replicas[at] = first
        this.#count(first, at, 1)
        isChanged = true
      }
    }
  }
}

/**
 * Which replicas go where, so that those who leave have nothing and, if wanted, nobody has more than one replica, or leads more
 * than one partition, more than others: with as few moves as a greedy search finds, and never fewer racks for a partition.
 * @throws RangeError that names a partition for which there are too few brokers
 */
export function planMoves(held: readonly Held[], aim: Aim): Move[] {
  const plan = new Plan(held, aim)
  plan.leave()
  if (aim.evens) {
    plan.even()
    plan.spreadLeaders()
  }
  return plan.moves
}
