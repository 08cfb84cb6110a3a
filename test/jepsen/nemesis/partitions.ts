import type { Random } from '../../lib/random.ts'
import { type Cut, NODES, type NodeName } from '../world/network.ts'

const BROKERS: readonly NodeName[] = NODES.filter(node => node !== 'etcd')

export const PARTITIONS = ['one', 'halves', 'ring', 'leader', 'one-way'] as const
export type PartitionKind = (typeof PARTITIONS)[number]

/** What is cut; each node is parted from the others that are on the other side, not from clients. */
export function cutsOf(kind: PartitionKind, random: Random, leader: NodeName): readonly Cut[] {
  const [a, b, c, d] = random.shuffled(NODES)
  switch (kind) {
    case 'one':
      return between([random.pick(BROKERS)])
    case 'leader':
      return between([leader])
    case 'halves':
      return between([a!, b!])
    // Each sees two of the three others: no two have the same view.
    case 'ring':
      return [...both(a!, c!), ...both(b!, d!)]
    // One is heard by nobody, or hears nobody, or only one other does not hear it.
    case 'one-way': {
      const [from, to] = random.shuffled(BROKERS)
      const others = NODES.filter(node => node !== from)
      return random.pick([
        others.map(other => ({ from: from!, to: other })),
        others.map(other => ({ from: other, to: from! })),
        [{ from: from!, to: to! }],
      ])
    }
  }
}

const both = (a: NodeName, b: NodeName): Cut[] => [
  { from: a, to: b },
  { from: b, to: a },
]

function between(side: readonly NodeName[]): Cut[] {
  const others = NODES.filter(node => !side.includes(node))
  return side.flatMap(one => others.flatMap(other => both(one, other)))
}
