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
}

/** A broker as clients of one listener are told. */
export interface BrokerNodeView {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** The cluster as API handlers see it: who is there, and who has what. On a broker without a cluster that is itself (solo.ts). */
export interface ClusterView {
  readonly controllerId: number
  /** Those that clients can reach by this listener, in order of id. */
  brokers(listener: string): readonly BrokerNodeView[]
  place(topic: { readonly id: string; readonly name: string }, index: number): PartitionPlace
}
