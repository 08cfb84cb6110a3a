import { sameTarget, type Target } from '../assignment.ts'
import type { AssignedMember } from './assignor.ts'

/**
 * Each topic is cut into consecutive ranges, one for each of its subscribers, the first ones longer by one if it does not come
 * out even. Members with the same subscription therefore get the same partition numbers of all topics that have equally
 * many. Static members come first, by instance id: a restart does not shift their ranges.
 */
export function range(members: readonly AssignedMember[]): Target[] {
  const order = members.map((_, i) => i).sort((a, b) => compare(members[a]!, members[b]!))
  const subscribers = new Map<string, number>()
  for (const { topics } of members) {
    for (const { id } of topics) subscribers.set(id, (subscribers.get(id) ?? 0) + 1)
  }
  /** Members that have had their range of the topic. */
  const served = new Map<string, number>()
  const targets: Target[] = members.map(member => member.target)
  for (const i of order) {
    const target = new Map<string, number[]>()
    for (const { id, partitions } of members[i]!.topics) {
      const count = subscribers.get(id)!
      const position = served.get(id) ?? 0
      served.set(id, position + 1)
      const length = Math.floor(partitions / count)
      const longer = partitions % count
      const first = position * length + Math.min(position, longer)
      const size = length + (position < longer ? 1 : 0)
      if (size > 0)
        target.set(
          id,
          Array.from({ length: size }, (_, k) => first + k),
        )
    }
    if (!sameTarget(target, targets[i]!)) targets[i] = target
  }
  return targets
}

function compare(a: AssignedMember, b: AssignedMember): number {
  if (a.instanceId !== null && b.instanceId !== null) return a.instanceId < b.instanceId ? -1 : 1
  if (a.instanceId !== null) return -1
  if (b.instanceId !== null) return 1
  return a.memberId < b.memberId ? -1 : 1
}
