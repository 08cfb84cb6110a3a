import type { Random } from '../../lib/random.ts'
import type { Place } from '../clients/workers.ts'

/** Keys that are used at a time; the hottest gets half of the operations. */
const LIVE = 10
/** A key is written to so often at most, and then another takes its place. */
const WRITES_MAX = 1_024
export const PARTITIONS = 2
/** Folders of its partitions. */
export const FOLDER_PATTERN = /^t\d+-\d+$/

export const placeOf = (key: number): Place => [
  `t${Math.floor(key / PARTITIONS)}`,
  key % PARTITIONS,
]
export const keyOf = (topic: string, partition: number): number =>
  Number(topic.slice(1)) * PARTITIONS + partition

interface Known {
  acknowledged: number
  polled: number
}

/** What is written to and read, and how far it is known to go. */
export class Keys {
  readonly #random: Random
  readonly #live: { readonly key: number; sent: number; left: number }[]
  /** Of each key, the highest offset of an acknowledged send, and of a record that was read; -1: none. */
  readonly #known = new Map<number, Known>()
  #next = 0

  constructor(random: Random) {
    this.#random = random
    this.#live = Array.from({ length: LIVE }, () => this.#fresh())
  }

  #fresh() {
    return { key: this.#next++, sent: 0, left: zipf(this.#random) }
  }

  /** How many there have been. */
  get count(): number {
    return this.#next
  }

  get hottest(): number {
    return this.#live[0]!.key
  }

  draw(): number {
    return this.#live[this.#drawPlace()]!.key
  }

  /** A key and its next value. */
  drawWrite(): { key: number; value: number } {
    const at = this.#drawPlace()
    const live = this.#live[at]!
    live.sent++
    if (--live.left === 0) this.#live[at] = this.#fresh()
    return { key: live.key, value: live.sent }
  }

  #drawPlace(): number {
    for (let at = 0; at < LIVE - 1; at++) if (this.#random.chance(0.5)) return at
    return LIVE - 1
  }

  #of(key: number): Known {
    const known = this.#known.get(key) ?? { acknowledged: -1, polled: -1 }
    this.#known.set(key, known)
    return known
  }

  acknowledged(key: number, offset: number): void {
    const known = this.#of(key)
    known.acknowledged = Math.max(known.acknowledged, offset)
  }

  polled(key: number, offset: number): void {
    const known = this.#of(key)
    known.polled = Math.max(known.polled, offset)
  }

  /** Keys with acknowledged records that nobody has read yet. */
  unseen(): number[] {
    const found = [...this.#known].filter(([, known]) => known.acknowledged > known.polled)
    return found.map(([key]) => key)
  }

  /** The last offset that anybody knows of, of each key that has one. */
  ends(): Map<number, number> {
    return new Map(
      [...this.#known].map(([key, known]) => [key, Math.max(known.acknowledged, known.polled)]),
    )
  }
}

const HARMONIC = Array.from({ length: WRITES_MAX }, (_, i) => 1 / (i + 1)).reduce((a, b) => a + b)

/** n is drawn as often as 1/n says. */
function zipf(random: Random): number {
  let left = random.next() * HARMONIC
  for (let n = 1; n < WRITES_MAX; n++) {
    left -= 1 / n
    if (left < 0) return n
  }
  return WRITES_MAX
}
