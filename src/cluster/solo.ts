import type { Endpoint } from '../broker-context.ts'
import type { Registry } from '../topics/registry.ts'
import type { BrokerNodeView, ClusterView, PartitionPlace } from './view.ts'

export interface SoloOptions {
  readonly nodeId: number
  readonly rack: string | null
  readonly endpoint: (listener: string) => Endpoint
  readonly registry: () => Pick<Registry, 'partition'>
}

/** A broker alone: it leads all that it has, is the only replica of it, and is its own controller. */
export class SoloView implements ClusterView {
  readonly #o: SoloOptions

  constructor(options: SoloOptions) {
    this.#o = options
  }

  get controllerId(): number {
    return this.#o.nodeId
  }

  brokers(listener: string): readonly BrokerNodeView[] {
    const { nodeId, rack, endpoint } = this.#o
    const { host, port } = endpoint(listener)
    return [{ nodeId, host, port, rack }]
  }

  place(topic: { readonly name: string }, index: number): PartitionPlace {
    const { nodeId, registry } = this.#o
    const partition = registry().partition(topic.name, index)
    const isOffline = partition === undefined || partition.offline !== null
    return {
      leader: isOffline ? -1 : nodeId,
      epoch: partition?.leaderEpoch ?? -1,
      replicas: [nodeId],
      isr: [nodeId],
      elr: [],
      offline: isOffline ? [nodeId] : [],
    }
  }
}
