import { RACK_AWARE } from '../configs/broker/in-cluster.ts'
import type { Partition } from '../topics/partition.ts'
import type { RequestContext } from './handler.ts'

/** Where a consumer had better read (KIP-392): with whom of its own rack, for one request. */
export class ReadReplicas {
  readonly #context: RequestContext
  readonly #rack: string
  #near: ReadonlySet<number> | null = null

  /** @param rack of the client; empty: it has not said */
  constructor(context: RequestContext, rack: string) {
    this.#context = context
    const { replicaSelectorClass } = context.broker.options.settings
    this.#rack = replicaSelectorClass === RACK_AWARE ? rack : ''
  }

  /** The broker at which this should be read from this offset on; -1: here. */
  of({ replication }: Partition, offset: number): number {
    if (this.#rack === '' || replication === null) return -1
    this.#near ??= this.#ofRack()
    if (this.#near.has(this.#context.broker.nodeId)) return -1
    return replication.readersAt(offset).find(id => this.#near!.has(id)) ?? -1
  }

  #ofRack(): Set<number> {
    const { broker, listener } = this.#context
    const near = broker.cluster.brokers(listener).filter(({ rack }) => rack === this.#rack)
    return new Set(near.map(({ nodeId }) => nodeId))
  }
}
