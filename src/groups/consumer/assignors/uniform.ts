import type { Target } from '../assignment.ts'
import type { AssignedMember, AssignedTopic } from './assignor.ts'
import { Ledger, NOBODY } from './ledger.ts'
import { uniformMixed } from './uniform-mixed.ts'

/** All members get equally many partitions, give or take one, and as few partitions as possible move. */
export function uniform(members: readonly AssignedMember[]): Target[] {
  const topics = members[0]?.topics ?? []
  const isMixed = members.some(member => member.topics !== topics)
  return isMixed ? uniformMixed(members) : uniformAlike(members, topics)
}

/** All members subscribe to the same topics: only the totals matter. */
function uniformAlike(
  members: readonly AssignedMember[],
  topics: readonly AssignedTopic[],
): Target[] {
  const ledger = new Ledger(members, topics)
  for (let i = 0; i < members.length; i++) ledger.keep(i, () => true)
  const quotas = quotasFor(
    ledger.counts,
    topics.reduce((sum, topic) => sum + topic.partitions, 0),
  )
  const { counts } = ledger
  for (const { id } of topics) {
    const owners = ledger.owners(id)
    // From the end: a member keeps the partitions with the lowest numbers.
    for (let partition = owners.length - 1; partition >= 0; partition--) {
      const owner = owners[partition]!
      if (owner !== NOBODY && counts[owner]! > quotas[owner]!) ledger.release(owners, partition)
    }
  }
  let next = 0
  for (const { id } of topics) {
    const owners = ledger.owners(id)
    for (let partition = 0; partition < owners.length; partition++) {
      if (owners[partition] !== NOBODY) continue
      while (counts[next]! >= quotas[next]!) next++
      ledger.give(owners, partition, next)
    }
  }
  return ledger.targets()
}

/** If it does not come out even, those who have more already keep it. */
function quotasFor(counts: Int32Array, partitions: number): Int32Array {
  const least = Math.floor(partitions / counts.length)
  let more = partitions % counts.length
  const quotas = new Int32Array(counts.length).fill(least)
  for (const isRicher of [true, false]) {
    for (let i = 0; i < counts.length && more > 0; i++) {
      if (counts[i]! > least !== isRicher) continue
      quotas[i] = least + 1
      more--
    }
  }
  return quotas
}
