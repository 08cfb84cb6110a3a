import { rest } from '../../lib/cluster-ledger.ts'
import type { PartitionNow, ProcessCluster } from '../../lib/process-cluster.ts'
import type { Fleet, Pair } from './fleet.ts'

/** Whoever has got so many more goes on. */
const MORE = 50

/** Stops each broker as an operator does, starts it again, and waits until no partition is under-replicated. */
export async function rollOnce(cluster: ProcessCluster, fleet: Fleet): Promise<void> {
  for (const { id } of cluster.members) {
    const { signal, ms } = await cluster.broker(id).stop()
    if (signal !== null) throw new Error(`broker ${id} did not end by itself in ${ms} ms`)
    await Promise.all(fleet.pairs.map(({ producer }) => producer.more(MORE)))
    await cluster.startBroker(id)
    await fleet.untilWhole()
  }
  await fleet.more(MORE)
}

/** A leader stands still for so long at most: some clients ask the same one again until it answers. */
const PAUSE_MS_MAX = 30_000

export type How = 'kill' | 'pause'

/** What one client saw of a leader that went, in ms. */
export interface Gaps {
  /** The longest time between two acknowledgements. */
  readonly acknowledgements: number
  /** The longest time between two records of the group. */
  readonly reads: number
  /** From when the new leader was known to the group's next record. */
  readonly goesOn: number
}

/** Takes the leader of the only partition away, until all clients have gone on or for PAUSE_MS_MAX. */
export async function failOver(
  cluster: ProcessCluster,
  fleet: Fleet,
  how: How,
): Promise<Map<Pair, Gaps>> {
  await fleet.untilWhole()
  await fleet.more(MORE)
  const [partition] = await cluster.partitions(fleet.topic)
  const { leaderId } = partition!
  const gapsOf = fleet.pairs.map(watch)
  const leader = cluster.broker(leaderId)
  if (how === 'kill') await leader.kill()
  else leader.child.kill('SIGSTOP')
  const other = cluster.members.find(({ id }) => id !== leaderId)!.id
  const isElected = ([p]: readonly PartitionNow[]) => ![leaderId, -1].includes(p!.leaderId)
  await cluster.until(fleet.topic, isElected, other)
  const gaps = Promise.all(gapsOf.map(gaps => gaps()))
  if (how === 'kill') {
    await gaps
    await cluster.startBroker(leaderId)
  } else {
    await Promise.race([gaps, rest(PAUSE_MS_MAX)])
    leader.child.kill('SIGCONT')
  }
  return new Map((await gaps).map((seen, i) => [fleet.pairs[i]!, seen]))
}

/** From now on; what it returns is called when the new leader is known, and resolves when the client has gone on. */
function watch({ producer, consumer }: Pair): () => Promise<Gaps> {
  const acknowledged = producer.entries.length
  const read = consumer.entries.length
  return async () => {
    const known = performance.now()
    await consumer.more(1)
    const goesOn = performance.now() - known
    await Promise.all([producer.more(MORE), consumer.more(MORE)])
    return {
      acknowledgements: producer.gapSince(acknowledged),
      reads: consumer.gapSince(read),
      goesOn,
    }
  }
}
