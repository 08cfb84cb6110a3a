import { groupBy } from '../../group-by.ts'
import type { Cluster } from '../base/cluster.ts'
import { alterConfigs } from '../base/configs.ts'
import type { Move } from './plan.ts'

const LEADER_RATE = 'leader.replication.throttled.rate'
const FOLLOWER_RATE = 'follower.replication.throttled.rate'
const LEADER_REPLICAS = 'leader.replication.throttled.replicas'
const FOLLOWER_REPLICAS = 'follower.replication.throttled.replicas'
/** Of all brokers. */
const ALL_BROKERS = ''

/** Holds what is copied for these to so many bytes a second on each broker (KIP-73). */
export async function throttle(
  cluster: Cluster,
  moves: readonly Move[],
  bytesPerSecond: number,
): Promise<void> {
  const rate = String(bytesPerSecond)
  const set: [string, string][] = [
    [LEADER_RATE, rate],
    [FOLLOWER_RATE, rate],
  ]
  await alterConfigs(cluster, 'broker', ALL_BROKERS, { set })
  for (const [topic, own] of groupBy(moves, move => move.topic)) {
    const pairs = (idsOf: (move: (typeof own)[number]) => readonly number[]): string =>
      own.flatMap(move => idsOf(move).map(id => `${move.partition}:${id}`)).join()
    const leaders = pairs(({ replicas }) => replicas)
    const followers = pairs(({ replicas, to }) => to.filter(id => !replicas.includes(id)))
    const set: [string, string][] = [
      [LEADER_REPLICAS, leaders],
      [FOLLOWER_REPLICAS, followers],
    ]
    await alterConfigs(cluster, 'topic', topic, { set })
  }
}

/** Nothing of these is held up any more. */
export async function unthrottle(
  cluster: Cluster,
  moves: readonly { readonly topic: string }[],
): Promise<void> {
  for (const topic of new Set(moves.map(move => move.topic))) {
    await alterConfigs(cluster, 'topic', topic, { unset: [LEADER_REPLICAS, FOLLOWER_REPLICAS] })
  }
  await alterConfigs(cluster, 'broker', ALL_BROKERS, { unset: [LEADER_RATE, FOLLOWER_RATE] })
}
