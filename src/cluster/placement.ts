/** A broker that may be given replicas. */
export interface Candidate {
  readonly id: number
  readonly rack: string | null
}

/** The brokers of one rack, and which of them is the first to be dealt. */
interface Rack {
  readonly ids: readonly number[]
  readonly first: number
}

/**
 * Where replicas of new partitions go (StripedReplicaPlacer): leaders and followers in turn over racks, and in each rack in
 * turn over brokers, so that two replicas share a rack only if there are more of them than racks.
 *
 * @param below a number of chance, 0 <= n < bound: else the first brokers would get the first partitions of all topics
 * @returns for each partition its replicas, the preferred leader first; null if there are too few brokers
 */
export function placeReplicas(
  brokers: readonly Candidate[],
  partitions: number,
  replicationFactor: number,
  below: (bound: number) => number,
): number[][] | null {
  if (replicationFactor < 1 || brokers.length < replicationFactor) return null
  const byRack = new Map<string, number[]>()
  for (const { id, rack } of [...brokers].sort((a, b) => a.id - b.id)) {
    const name = rack ?? ''
    byRack.set(name, [...(byRack.get(name) ?? []), id])
  }
  const racks = [...byRack]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, ids]): Rack => ({ ids, first: below(ids.length) }))
  const first = below(racks.length)
  return Array.from({ length: partitions }, (_, index) =>
    replicasOf(racks, first + index, replicationFactor),
  )
}

/**
 * Places for more replicas than there are brokers that serve now: those that are away (stopped, or about to stop) are followers
 * then, behind all that are there, as in Kafka. A topic that is made while a broker is restarted has as many replicas as any.
 *
 * @returns null if there are too few brokers, or none that could lead
 */
export function placeWithOthers(
  serving: readonly Candidate[],
  away: readonly Candidate[],
  partitions: number,
  replicationFactor: number,
  below: (bound: number) => number,
): number[][] | null {
  const missing = replicationFactor - serving.length
  if (missing <= 0) return placeReplicas(serving, partitions, replicationFactor, below)
  const here = placeReplicas(serving, partitions, serving.length, below)
  const there = placeReplicas(away, partitions, missing, below)
  return here === null || there === null ? null : here.map((ids, i) => [...ids, ...there[i]!])
}

/** A place is a rack and, each time that all racks have had their turn, the next broker in it: so leaders move on as followers do. */
function replicasOf(racks: readonly Rack[], from: number, count: number): number[] {
  const replicas: number[] = []
  for (let at = from; replicas.length < count; at++) {
    const { ids, first } = racks[at % racks.length]!
    const id = ids[(first + Math.floor(at / racks.length)) % ids.length]!
    // A rack that has given all it has is passed over.
    if (!replicas.includes(id)) replicas.push(id)
  }
  return replicas
}
