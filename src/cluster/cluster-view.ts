import { CONTROLLER } from '../controller/controller.ts'
import type { Endpoint } from '../endpoint.ts'
import { NO_LEADER, partitionKey } from '../replication/partition-state.ts'
import { finalizedFeatures, unregister, updateFeatures } from './administration.ts'
import type { FeatureUpdate, FinalizedFeatures } from './features.ts'
import type { ImageFeed } from './feed.ts'
import type { ClusterImage } from './image.ts'
import { checkReplicas, propose } from './proposals.ts'
import type { Registration } from './registration.ts'
import type { BrokerNodeView, ClusterView, PartitionPlace, QuorumView } from './view.ts'
import type { Wakeups } from './wakeups.ts'

const INT32_MAX = 0x7fffffff

/** Where a broker is reached by a listener of this name; null: it has none. */
export function addressOn({ value }: Registration, listener: string): Endpoint | null {
  const { listeners } = value as { readonly listeners?: Readonly<Record<string, Endpoint>> }
  return listeners?.[listener] ?? null
}

/** Until a broker that has died is replaced; looked at again so often, in ms. */
export const SETTLING_MS_MAX = 1_000
const LOOK_MS = 50
/** From the record to a leader that has taken its log over: who is sent to it before is refused, and waits longer than this to try again. */
const READY_MS = 50

interface ImageViewOptions {
  readonly image: ClusterImage
  /** By which the image learns, and metadata is changed. */
  readonly feed: ImageFeed
  /** Whether no process seems to listen at a broker, though the metadata does not say so yet. */
  readonly isAway: (broker: number) => boolean
  /** Of the image. */
  readonly changes: Pick<Wakeups, 'next'>
}

/** The cluster as its image shows it. */
export class ImageView implements ClusterView {
  readonly #image: ClusterImage
  readonly #feed: ImageFeed
  readonly #isAway: (broker: number) => boolean
  readonly #changes: Pick<Wakeups, 'next'>
  /** For all who ask meanwhile. */
  #settling: Promise<void> | null = null

  constructor({ image, feed, isAway, changes }: ImageViewOptions) {
    this.#image = image
    this.#feed = feed
    this.#isAway = isAway
    this.#changes = changes
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

  fencedBrokers(listener: string): readonly BrokerNodeView[] {
    const { nodes } = this.#image
    return nodes
      .filter(id => this.#image.unfenced(id) === 0)
      .map(nodeId => {
        const broker = this.#image.broker(nodeId)
        const address = broker === null ? null : addressOn(broker, listener)
        return { nodeId, ...(address ?? NO_ADDRESS), rack: broker?.rack ?? null }
      })
  }

  place(topic: { readonly id: string }, index: number): PartitionPlace {
    const image = this.#image
    const state = image.partition(topic.id, index)
    if (state === null) return NOWHERE
    const { epoch, replicas, isr, elr, adding, removing } = state
    // Clients ask again in a moment if there is nobody, and when their metadata is old if there is a dead one.
    const leader = this.#isGone(state.leader) ? NO_LEADER : state.leader
    const key = `${topic.id}/${index}`
    const isOffline = (id: number): boolean =>
      image.unfenced(id) === 0 || image.broker(id)?.failed.has(key) === true
    const offline = replicas.filter(isOffline)
    return { leader, epoch, replicas, isr, elr, offline, adding, removing }
  }

  settling(): Promise<void> | null {
    if (this.#settling !== null) return this.#settling
    const away = this.#image.brokers.filter(({ id }) => this.#isGone(id)).map(({ id }) => id)
    if (!away.some(id => this.#leads(id))) return null
    this.#settling = this.#untilReplaced(away).finally(() => {
      this.#settling = null
    })
    return this.#settling
  }

  async #untilReplaced(away: readonly number[]): Promise<void> {
    const deadline = performance.now() + SETTLING_MS_MAX
    while (away.some(id => this.#isGone(id) && this.#leads(id)) && performance.now() < deadline) {
      await this.#changes.next(LOOK_MS)
    }
    await new Promise(resolve => setTimeout(resolve, READY_MS))
  }

  /** Fenced, or about to be. */
  #isGone(id: number): boolean {
    return this.#image.unfenced(id) === 0 || this.#isAway(id)
  }

  #leads(id: number): boolean {
    for (const { key } of this.#image.partitionsOn(id)) {
      if (this.#image.partitionAt(key)!.leader === id) return true
    }
    return false
  }

  elect(topic: { readonly id: string }, index: number, how: 'preferred' | 'unclean') {
    const key = partitionKey(topic.id, index)
    return propose(this.#feed, this.#image, key, { leader: how })
  }

  async reassign(
    topic: { readonly id: string },
    index: number,
    replicas: readonly number[] | null,
  ): Promise<void> {
    if (replicas !== null) checkReplicas(replicas, this.#image)
    const key = partitionKey(topic.id, index)
    await propose(this.#feed, this.#image, key, { reassign: replicas })
  }

  async quorum(): Promise<QuorumView> {
    const { revision, brokers } = this.#image
    const created = this.#image.entry(CONTROLLER)?.created ?? 0
    return { leader: this.controllerId, epoch: created & INT32_MAX, revision, brokers }
  }

  get features(): FinalizedFeatures {
    return finalizedFeatures(this.#image)
  }

  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean): Promise<void> {
    return updateFeatures({ image: this.#image, feed: this.#feed }, updates, validateOnly)
  }

  unregister(broker: number): Promise<void> {
    return unregister({ image: this.#image, feed: this.#feed }, broker)
  }
}

/** Of who is not registered now, as Kafka tells it of a node that nobody can reach. */
const NO_ADDRESS: Endpoint = { host: '', port: -1 }

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
