import type { ProducerState } from './producer-state.ts'

/** Producers that a worker keeps, over all its partitions: about 500 bytes each. */
export const PRODUCERS_TOTAL_MAX = 200_000

/**
 * Forgets producers until there are no more than the bound: of the partitions that have the most of them, those that have been
 * silent the longest, so that whoever invents producer ids makes his own partitions forget, not others.
 */
export function boundProducers(
  logs: () => Iterable<{ readonly log: { readonly producers: ProducerState } }>,
  totalMax = PRODUCERS_TOTAL_MAX,
): void {
  let total = 0
  for (const { log } of logs()) total += log.producers.producers.size
  if (total <= totalMax) return
  const all = Array.from(logs(), ({ log }) => log.producers)
  all.sort((a, b) => b.producers.size - a.producers.size)
  // From the top down to the level of the next ones, and again, as water does.
  for (let top = 1; total > totalMax; top++) {
    const level = all[top]?.producers.size ?? 0
    const share = Math.ceil((total - totalMax) / top)
    for (const state of all.slice(0, top)) {
      const before = state.producers.size
      state.forgetOldest(Math.min(before - level, share, total - totalMax))
      total -= before - state.producers.size
    }
  }
}
