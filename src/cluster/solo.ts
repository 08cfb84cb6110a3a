import type { Endpoint } from '../endpoint.ts'
import { BrokerError } from '../errors.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Registry } from '../topics/registry.ts'
import {
  FEATURES,
  type FeatureUpdate,
  FIRST_LEVELS,
  type FinalizedFeatures,
  updatedLevels,
} from './features.ts'
import { inUse, notRegistered } from './unregistered.ts'
import type { BrokerNodeView, ClusterView, PartitionPlace, QuorumView } from './view.ts'

/** Replicas that an error message names. */
const SHOWN_MAX = 20

export interface SoloOptions {
  readonly nodeId: number
  readonly rack: string | null
  readonly endpoint: (listener: string) => Endpoint
  readonly registry: () => Pick<Registry, 'partition'>
  /** Starts on the data folder. */
  readonly starts: number
  /** Of the data folder. */
  readonly directoryId: string
  readonly store: MetadataStore
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

  fencedBrokers(): readonly BrokerNodeView[] {
    return []
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
      adding: [],
      removing: [],
    }
  }

  settling(): null {
    return null
  }

  async elect(topic: { readonly name: string }, index: number, how: 'preferred' | 'unclean') {
    const { offline } = this.#o.registry().partition(topic.name, index)!
    if (offline === null) {
      const message = 'The leader is the only replica already.'
      throw new BrokerError(ErrorCode.ELECTION_NOT_NEEDED, message)
    }
    const errorCode =
      how === 'preferred'
        ? ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
        : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    throw new BrokerError(errorCode, `It is offline: ${offline}`)
  }

  /** A move to this broker is done as soon as it is asked for. */
  async reassign(_topic: object, _index: number, replicas: readonly number[] | null) {
    const { nodeId } = this.#o
    if (replicas === null) {
      const message = 'The partition is not being moved.'
      throw new BrokerError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, message)
    }
    if (replicas.length === 1 && replicas[0] === nodeId) return
    const asked = replicas.slice(0, SHOWN_MAX).join()
    const message = `The only broker is ${nodeId}: replicas can be [${nodeId}], not [${asked}].`
    throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }

  async quorum(): Promise<QuorumView> {
    const { nodeId, starts, directoryId, store } = this.#o
    const { revision } = await store.list(FEATURES)
    return { leader: nodeId, epoch: starts, revision, brokers: [{ id: nodeId, dir: directoryId }] }
  }

  /** Nobody else has to agree: it goes by what its release goes by. */
  get features(): FinalizedFeatures {
    return { epoch: 0, levels: FIRST_LEVELS }
  }

  async updateFeatures(updates: readonly FeatureUpdate[]) {
    updatedLevels(FIRST_LEVELS, updates)
  }

  async unregister(broker: number) {
    if (broker !== this.#o.nodeId) throw notRegistered(broker)
    throw inUse(`Broker ${broker} is the only one, and is running.`)
  }
}
