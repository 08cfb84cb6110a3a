import type { ProcessCluster } from '../../lib/process-cluster.ts'
import type { Fleet, Pair } from './fleet.ts'

/** Records that everybody has to get before a broker is looked on as back in use. */
const MORE = 50

/** Stops each broker as an operator does, starts it again, and waits until no partition is under-replicated. */
export async function rollOnce(cluster: ProcessCluster, fleet: Fleet): Promise<void> {
  for (const { id } of cluster.members) {
    const { signal, ms } = await cluster.broker(id).stop()
    if (signal !== null) throw new Error(`broker ${id} did not end by itself in ${ms} ms`)
    await fleet.more(MORE)
    await cluster.startBroker(id)
    await fleet.untilWhole()
  }
  await fleet.more(MORE)
}

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

/** Takes the leader of the only partition away until all clients have gone on. */
export async function failOver(
  cluster: ProcessCluster,
  fleet: Fleet,
  how: How,
): Promise<Map<Pair, Gaps>> {
  await fleet.untilWhole()
  await fleet.more(MORE)
  const [{ leaderId } = { leaderId: -1 }] = await cluster.partitions(fleet.topic)
  const before = fleet.pairs.map(({ producer, consumer }) => ({
    acknowledged: producer.entries.length,
    read: consumer.entries.length,
  }))
  const leader = cluster.broker(leaderId)
  if (how === 'kill') await leader.kill()
  else leader.child.kill('SIGSTOP')
  const other = cluster.members.find(({ id }) => id !== leaderId)!.id
  await cluster.until(fleet.topic, ([p]) => p!.leaderId !== leaderId && p!.leaderId !== -1, other)
  const known = performance.now()
  const wentOn = await Promise.all(
    fleet.pairs.map(async ({ producer, consumer }) => {
      await consumer.more(1)
      const goesOn = performance.now() - known
      await Promise.all([producer.more(MORE), consumer.more(MORE)])
      return goesOn
    }),
  )
  if (how === 'kill') await cluster.startBroker(leaderId)
  else leader.child.kill('SIGCONT')
  return new Map(
    fleet.pairs.map((pair, i) => [
      pair,
      {
        acknowledgements: pair.producer.gapSince(before[i]!.acknowledged),
        reads: pair.consumer.gapSince(before[i]!.read),
        goesOn: wentOn[i]!,
      },
    ]),
  )
}
