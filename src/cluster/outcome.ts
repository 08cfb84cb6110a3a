import type { Change, Compare, Entry, Outcome } from '../replication/types.ts'
import type { ClusterImage, Known } from './image.ts'

/**
 * What the outcome of an own transaction says of the keys in it, for `ClusterImage.learn`: what was written, or what stood in
 * the way; a key that was compared and is not among what was read is absent.
 */
export function knownBy(
  image: ClusterImage,
  compares: readonly Compare[],
  changes: readonly Change[],
  outcome: Outcome,
): readonly Known[] {
  if (outcome.outcome === 'unknown') return []
  const { revision } = outcome
  if (outcome.outcome === 'refused') {
    const isThere = new Set(outcome.now.map(({ key }) => key))
    const absent = compares.filter(({ key }) => !isThere.has(key))
    return [...outcome.now, ...absent.map(({ key }) => ({ key, value: null, revision }))]
  }
  return changes.map(({ key, value }): Known => {
    if (value === null) return { key, value, revision }
    return { key, value, revision, created: createdOf(image.entry(key), key, compares, revision) }
  })
}

/** create_revision of a key after a put: what was compared tells, or else what was known before. */
function createdOf(
  old: Entry | null,
  key: string,
  compares: readonly Compare[],
  revision: number,
): number {
  for (const compare of compares) {
    if (compare.key !== key) continue
    if ('created' in compare) return compare.created === 0 ? revision : compare.created
    if (compare.revision === 0) return revision
  }
  return old?.created ?? revision
}
