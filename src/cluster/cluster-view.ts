import { CONTROLLER } from '../controller/controller.ts'
import type { Proposal } from '../replication/next-state.ts'
import { partitionKey } from '../replication/partition-state.ts'
import type { ClusterImage } from './image.ts'
import { checkReplicas } from './proposals.ts'
import type { Registration } from './registration.ts'
import type { BrokerNodeView, ClusterView, PartitionPlace } from './view.ts'

interface ListenerAddress {
  readonly host: string
  readonly port: number
}

/** Where a broker is reached by a listener of this name; null: it has none. */
export function addressOn({ value }: Registration, listener: string): ListenerAddress | null {
  const { listeners } = value as { readonly listeners?: Readonly<Record<string, ListenerAddress>> }
  return listeners?.[listener] ?? null
}

/** The cluster as its image shows it. */
export class ImageView implements ClusterView {
  readonly #image: ClusterImage
  readonly #propose: (key: string, proposal: Proposal) => Promise<void>

  /** @param propose changes a record, or throws what keeps it from that */
  constructor(image: ClusterImage, propose: (key: string, proposal: Proposal) => Promise<void>) {
    this.#image = image
    this.#propose = propose
  }

  get controllerId(): number {
    const value = this.#image.entry(CONTROLLER)?.value as { readonly broker?: number } | undefined
    return value?.broker ?? -1
  }

  brokers(listener: string): readonly BrokerNodeView[] {
    const shown: BrokerNodeView[] = []
    for (const broker of this.#image.brokers) {
      const address = addressOn(broker, listener)
      if (address === null || this.#image.unfenced(broker.id) === 0) continue
      shown.push({ nodeId: broker.id, ...address, rack: broker.rack })
    }
    return shown
  }

  place(topic: { readonly id: string }, index: number): PartitionPlace {
    const image = this.#image
    const state = image.partition(topic.id, index)
    if (state === null) return NOWHERE
    const { leader, epoch, replicas, isr, elr, adding, removing } = state
    const key = `${topic.id}/${index}`
    const isOffline = (id: number): boolean =>
      image.unfenced(id) === 0 || image.broker(id)?.failed.has(key) === true
    const offline = replicas.filter(isOffline)
    return { leader, epoch, replicas, isr, elr, offline, adding, removing }
  }

  elect(topic: { readonly id: string }, index: number, how: 'preferred' | 'unclean') {
    return this.#propose(partitionKey(topic.id, index), { leader: how })
  }

  async reassign(
    topic: { readonly id: string },
    index: number,
    replicas: readonly number[] | null,
  ): Promise<void> {
    if (replicas !== null) checkReplicas(replicas, this.#image)
    await this.#propose(partitionKey(topic.id, index), { reassign: replicas })
  }
}

const NOWHERE: PartitionPlace = {
  leader: -1,
  epoch: -1,
  replicas: [],
  isr: [],
  elr: [],
  offline: [],
  adding: [],
  removing: [],
}
