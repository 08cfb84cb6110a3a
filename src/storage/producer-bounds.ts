import type { ProducerState } from './producer-state.ts'

/** Producers that a worker keeps, over all its partitions: about 500 bytes each. */
export const PRODUCERS_TOTAL_MAX = 200_000

/**
 * Forgets producers until there are no more than the bound: of the partitions that have the most of them, those that have been
 * silent the longest, so that whoever invents producer ids makes his own partitions forget, not others.
 */
export function boundProducers<L extends { readonly log: { readonly producers: ProducerState } }>(
  logs: () => Iterable<L>,
  guard: (owner: L, action: () => void) => void,
  totalMax = PRODUCERS_TOTAL_MAX,
): void {
  let total = 0
  for (const { log } of logs()) total += log.producers.producers.size
  if (total <= totalMax) return
  const all = Array.from(logs(), owner => ({ owner, producers: owner.log.producers.producers }))
  all.sort((a, b) => b.producers.size - a.producers.size)
  // From the top down to the level of the next ones, and again, as water does.
  for (let top = 1; total > totalMax; top++) {
    const level = all[top]?.producers.size ?? 0
    const share = Math.ceil((total - totalMax) / top)
    const totalBefore = total
    for (const { owner, producers } of all.slice(0, top)) {
      const before = producers.size
      const excess = Math.min(before - level, share, total - totalMax)
      guard(owner, () => owner.log.producers.forgetOldest(excess))
      total -= before - producers.size
    }
    // What cannot forget does not hold up the worker.
    if (top >= all.length && total === totalBefore) return
  }
}
