import type { BrokerNode } from '../../broker.ts'
import type { PartitionPlace } from '../../cluster/view.ts'
import { Deadline, type WaitOptions } from '../deadline.ts'

/** The brokers whose word counts now. */
type Nodes = () => readonly BrokerNode[]

interface Wanted {
  readonly topic: string
  readonly partition: number
}

/** What each of them knows; nothing as long as one does not know it. */
function placesOf(nodes: readonly BrokerNode[], { topic, partition }: Wanted): PartitionPlace[] {
  return nodes.flatMap(({ registry, cluster }) => {
    // What it has no replica of it knows, too.
    if (!registry.has(topic, partition)) return []
    const place = cluster.place(registry.topic(topic)!, partition)
    return place.replicas.length === 0 ? [] : [place]
  })
}

function shown(nodes: readonly BrokerNode[], wanted: Wanted): string {
  const places = placesOf(nodes, wanted)
  const each = places.map(({ leader, isr }, i) => {
    return `broker ${nodes[i]!.nodeId} says leader ${leader}, in sync ${isr.join(', ')}`
  })
  return places.length === 0 ? 'no running broker knows it' : each.join('; ')
}

async function until<T>(
  nodes: Nodes,
  wanted: Wanted,
  what: string,
  options: WaitOptions,
  closed: AbortSignal,
  look: (places: readonly PartitionPlace[], running: readonly BrokerNode[]) => T | undefined,
): Promise<T> {
  const deadline = new Deadline(options, closed)
  const found = (): T | undefined => {
    const running = nodes()
    const places = placesOf(running, wanted)
    const isKnown = places.length === running.length && places.length > 0
    return isKnown ? look(places, running) : undefined
  }
  const { topic, partition } = wanted
  const seen = (): string =>
    `${topic}-${partition} ${what} after ${deadline.timeout} ms: ${shown(nodes(), wanted)}.`
  try {
    return await deadline.poll(found, seen)
  } finally {
    deadline.clear()
  }
}

/** @internal */
export function waitForLeader(
  nodes: Nodes,
  wanted: Wanted,
  options: WaitOptions & { readonly id?: number; readonly not?: number },
  closed: AbortSignal,
): Promise<number> {
  const { id, not } = options
  const what = id === undefined ? 'had no leader' : `was not led by broker ${id}`
  return until(nodes, wanted, what, options, closed, (places, running) => {
    const { leader } = places[0]!
    if (leader === not || (id !== undefined && leader !== id)) return undefined
    const node = running.find(({ nodeId }) => nodeId === leader)
    const partition = node?.registry.partition(wanted.topic, wanted.partition)
    const isAgreed = places.every(place => place.leader === leader)
    return isAgreed && partition?.leads ? leader : undefined
  })
}

/** @internal */
export function waitForIsr(
  nodes: Nodes,
  wanted: Wanted,
  options: WaitOptions & { readonly isr?: readonly number[] },
  closed: AbortSignal,
): Promise<readonly number[]> {
  const text = (ids: readonly number[]): string => [...ids].sort((a, b) => a - b).join(', ')
  const what = `was not in sync on ${options.isr === undefined ? 'all its replicas' : text(options.isr)}`
  return until(nodes, wanted, what, options, closed, places => {
    const isSo = places.every(({ isr, replicas }) => text(isr) === text(options.isr ?? replicas))
    return isSo ? [...places[0]!.isr].sort((a, b) => a - b) : undefined
  })
}

/** @internal */
export async function moveLeader(
  nodes: Nodes,
  wanted: Wanted & { readonly id: number },
  closed: AbortSignal,
): Promise<void> {
  await waitForLeader(nodes, wanted, {}, closed)
  const { cluster, registry } = nodes()[0]!
  const { topic, partition, id } = wanted
  const known = registry.topic(topic)!
  const { leader, replicas } = cluster.place(known, partition)
  if (!replicas.includes(id)) {
    const ids = replicas.join(', ')
    throw new RangeError(`Broker ${id} has no replica of ${topic}-${partition}; ${ids} have one.`)
  }
  if (leader === id) return
  const first = [id, ...replicas.filter(other => other !== id)]
  if (replicas[0] !== id) await cluster.reassign(known, partition, first)
  await cluster.elect(known, partition, 'preferred')
  await waitForLeader(nodes, wanted, { id }, closed)
}
