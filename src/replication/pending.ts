import type { LeaderEffect } from './leader-effects.ts'
import type { Change, Compare, Entry, Outcome } from './types.ts'

/** Whether the compare fails against what was read; a key that is not among the entries is absent. */
function fails(compare: Compare, now: readonly Entry[]): boolean {
  const entry = now.find(({ key }) => key === compare.key)
  return 'revision' in compare
    ? (entry?.revision ?? 0) !== compare.revision
    : (entry?.created ?? 0) !== compare.created
}

/**
 * A change of the ISR that was sent. Once it was sent without an answer it may still be applied, at any time: until it is
 * certain that it was, or never can be, its members count as members, and nothing else is planned.
 */
export class Pending {
  readonly id: number
  /** What the ISR would be. */
  readonly isr: readonly number[]
  /** When it is sent again; Infinity while an answer may come. */
  sendAgainAt = Number.POSITIVE_INFINITY
  readonly #compares: readonly Compare[]
  readonly #change: Change
  #wasUnknown = false

  constructor(id: number, isr: readonly number[], compares: readonly Compare[], change: Change) {
    this.id = id
    this.isr = isr
    this.#compares = compares
    this.#change = change
  }

  send(): LeaderEffect<never> {
    this.sendAgainAt = Number.POSITIVE_INFINITY
    return { kind: 'propose', id: this.id, compares: this.#compares, change: this.#change }
  }

  isDue(now: number): boolean {
    return now >= this.sendAgainAt
  }

  /**
   * Whether this outcome ends it. If the record itself has changed, the record will be told, and ends it: the change may have
   * been ours. Refused for a compare of ours, everything that was sent before is dead too, for revisions never come back;
   * refused for another's compare, which went along, says that only of this time.
   */
  isSettledBy(outcome: Outcome): boolean {
    if (outcome.outcome === 'unknown') this.#wasUnknown = true
    if (outcome.outcome !== 'refused' || fails(this.#compares[0]!, outcome.now)) return false
    return !this.#wasUnknown || this.#compares.some(compare => fails(compare, outcome.now))
  }
}
