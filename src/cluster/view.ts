import type { FeatureUpdate, FinalizedFeatures } from './features.ts'

/** Who has a partition, as clients are told. */
export interface PartitionPlace {
  /** -1: nobody leads it now. */
  readonly leader: number
  readonly epoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Eligible to lead besides the ISR (KIP-966). */
  readonly elr: readonly number[]
  /** Replicas that cannot serve it now. */
  readonly offline: readonly number[]
  /** While it is being moved: those that it gets, and those that it gives up then. */
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

type TopicOf = { readonly id: string; readonly name: string }

/** A broker as clients of one listener are told. */
export interface BrokerNodeView {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Who keeps the metadata, in words of Kafka's quorum of controllers: a stand-in, for the metadata is kept by etcd or by the one broker. */
export interface QuorumView {
  /** The controller; -1: there is none now. */
  readonly leader: number
  /** Rises with each controller. */
  readonly epoch: number
  /** Of the metadata, as far as this broker knows it. */
  readonly revision: number
  /** All that are registered, in order of id, with what tells their data folders apart. */
  readonly brokers: readonly { readonly id: number; readonly dir: string }[]
}

/** The cluster as API handlers see it: who is there, and who has what. On a broker without a cluster that is itself (solo.ts). */
export interface ClusterView {
  readonly controllerId: number
  /** Those that clients can reach by this listener, in order of id. */
  brokers(listener: string): readonly BrokerNodeView[]
  /** Those that belong to it and are fenced now, in order of id; where one is reached is known while it is registered. */
  fencedBrokers(listener: string): readonly BrokerNodeView[]
  place(topic: TopicOf, index: number): PartitionPlace
  /**
   * While a broker's process has just gone and others are about to take its place: resolves when they have, or after a second.
   * Clients that are told so late know who leads, and need not ask again, for which some wait until their metadata is old. Null as a rule.
   */
  settling(): Promise<void> | null
  /**
   * Has a partition led by the first of its replicas, or by whoever is there, in sync or not (KIP-460).
   * @throws BrokerError ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE
   */
  elect(topic: TopicOf, index: number, how: 'preferred' | 'unclean'): Promise<void>
  /**
   * Begins to move a partition to these replicas; null takes that back (KIP-455).
   * @throws BrokerError INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS
   */
  reassign(topic: TopicOf, index: number, replicas: readonly number[] | null): Promise<void>
  quorum(): Promise<QuorumView>
  readonly features: FinalizedFeatures
  /** @throws BrokerError INVALID_UPDATE_VERSION; then nothing is changed */
  updateFeatures(updates: readonly FeatureUpdate[], validateOnly: boolean): Promise<void>
  /**
   * Forgets a broker that is gone for good.
   * @throws BrokerError BROKER_ID_NOT_REGISTERED, DUPLICATE_BROKER_REGISTRATION: it is there, or has replicas
   */
  unregister(broker: number): Promise<void>
}
