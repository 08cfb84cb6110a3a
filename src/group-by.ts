/** Those that have a key in common together, in their order (Map.groupBy, which Node has from 21 on). */
export function groupBy<K, T>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [item])
    else known.push(item)
  }
  return groups
}

/** Items by topic id, as requests and answers have them. */
export function byTopicId<T, P>(
  items: Iterable<T>,
  topicIdOf: (item: T) => string,
  partitionOf: (item: T) => P,
): { topicId: string; partitions: P[] }[] {
  return [...groupBy(items, topicIdOf)].map(([topicId, some]) => {
    return { topicId, partitions: some.map(partitionOf) }
  })
}
