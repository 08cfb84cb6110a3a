import { type BrokerConfigView, brokerValue } from '../configs/values.ts'
import type { HostedReplica } from './hosted-replica.ts'

const SIDES = {
  leader: {
    rate: 'leader.replication.throttled.rate',
    replicas: 'leaderReplicationThrottledReplicas',
  },
  follower: {
    rate: 'follower.replication.throttled.rate',
    replicas: 'followerReplicationThrottledReplicas',
  },
} as const

/** Of lists that topics have: what stands in them. */
const known = new WeakMap<readonly string[], ReadonlySet<string>>()

function pairsOf(list: readonly string[]): ReadonlySet<string> {
  const pairs = known.get(list) ?? new Set(list)
  known.set(list, pairs)
  return pairs
}

export interface ThrottleOptions {
  readonly me: number
  readonly side: keyof typeof SIDES
  readonly configView: () => BrokerConfigView
  /** Monotonic, ms. */
  readonly now: () => number
}

/**
 * Bounds what passes in a second to replicas that are not in sync, of the partitions that their topic names (KIP-73), on one side
 * of it: by leaders of this broker, or to its followers. Those in sync are never held up, and take nothing of the rate, which Kafka
 * has them do.
 */
export class Throttle {
  readonly #o: ThrottleOptions
  /** Bytes that have passed and not drained yet, at the rate: while there are some, nothing passes. */
  #level = 0
  #at: number

  constructor(options: ThrottleOptions) {
    this.#o = options
    this.#at = options.now()
  }

  /** Whether the rate is for this replica. */
  isFor({ partition, machine }: HostedReplica, replica: number): boolean {
    const { me, side } = this.#o
    const list = partition.config[SIDES[side].replicas]
    if (list.length === 0 || this.#rate === null) return false
    const pairs = pairsOf(list)
    if (!pairs.has('*') && !pairs.has(`${partition.index}:${me}`)) return false
    return machine.record?.isr.includes(replica) !== true
  }

  /** Until more may pass, in ms; 0: now. */
  get waitMs(): number {
    const rate = this.#drain()
    if (rate === 0) return Number.POSITIVE_INFINITY
    return rate === null ? 0 : (this.#level / rate) * 1_000
  }

  passed(bytes: number): void {
    this.#drain()
    this.#level += bytes
  }

  /** Bytes in a second; null: no bound. */
  get #rate(): number | null {
    const rate = brokerValue(SIDES[this.#o.side].rate, this.#o.configView())
    return rate === null ? null : Number(rate)
  }

  #drain(): number | null {
    const rate = this.#rate
    const now = this.#o.now()
    this.#level = rate === null ? 0 : Math.max(0, this.#level - ((now - this.#at) / 1_000) * rate)
    this.#at = now
    return rate
  }
}
