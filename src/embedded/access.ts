import type { BrokerContext } from '../broker-context.ts'
import type { HeartbeatResponse } from '../groups/consumer/consumer-group.ts'
import type { ConsumerGroupHeartbeatRequest } from '../protocol/messages/68-consumer-group-heartbeat.ts'
import type { NewRecord } from '../protocol/records.ts'
import type { Topic } from '../topics/registry.ts'
import { GroupHere } from './group-here.ts'
import { PartitionHere } from './partition-here.ts'

/** What is said to whoever asks for something after `close`. */
export const CLOSED = 'The broker is closed.'

/** Offsets of what is committed: from the first up to where the next one will be. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** What a read has found. */
export interface Found {
  /** Where it was read from: behind what is deleted. */
  readonly offset: number
  /** Whole batches; empty: nothing more is there now. */
  readonly records: Buffer
  /** The records are not looked at any more. */
  release(): void
}

/** A partition as one who appends to it or reads it sees it, wherever it is. */
export interface PartitionAccess {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly name: string
  readonly isDeleted: boolean
  /** Whether a read that finds nothing says that there is nothing. */
  readonly tellsAll: boolean
  /** Appends them as one batch. @returns the offset of the first @throws BrokerError */
  append(records: readonly NewRecord[]): Promise<number>
  /** @throws BrokerError; a retriable one if that cannot be known now */
  range(): Promise<Range>
  /** What is committed from an offset on, below `end`. @throws BrokerError that does not pass */
  read(offset: number, end: number): Promise<Found>
  /** Whether a read from there may find something now. */
  isBehind(offset: number): boolean
  /** Tells when there is more to read, or never will be. */
  listen(onNews: () => void): { end(): void }
  /** Of the record at the offset; -1: not known here. */
  epochAt(offset: number): number
}

export type Heartbeat = Omit<ConsumerGroupHeartbeatRequest, 'groupId'>

/** Up to where a partition is done. */
export interface Consumed {
  readonly partition: PartitionAccess
  readonly offset: number
}

export interface GroupMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly epoch: number
}

/** A consumer group as its members see it, wherever it is coordinated. */
export interface GroupAccess {
  /** @throws BrokerError */
  heartbeat(request: Heartbeat): Promise<HeartbeatResponse>
  /** What is committed of a partition; undefined: nothing. @throws BrokerError */
  committed(partition: PartitionAccess): Promise<number | undefined>
  /** Durably, when it resolves. @throws BrokerError */
  commit(member: GroupMember, offsets: readonly Consumed[]): Promise<void>
}

/** How the embedded API reaches partitions and groups. */
export interface Access {
  readonly broker: BrokerContext
  /** For one reader. */
  partition(topic: Topic, index: number): PartitionAccess
  group(id: string): GroupAccess
  close(): Promise<void>
}

/** Of a broker alone: all is here. */
export class AccessHere implements Access {
  readonly broker: BrokerContext

  constructor(broker: BrokerContext) {
    this.broker = broker
  }

  partition(topic: Topic, index: number): PartitionAccess {
    return new PartitionHere(this.broker, topic, index)
  }

  group(id: string): GroupAccess {
    return new GroupHere(this.broker, id)
  }

  async close(): Promise<void> {}
}

/** @param closed aborted when the broker begins to stop; what is told then still needs `close` */
export async function openAccess(broker: BrokerContext, closed: AbortSignal): Promise<Access> {
  if (broker.node === null) return new AccessHere(broker)
  const { ClusterAccess } = await import('./in-cluster/access.ts')
  return new ClusterAccess(broker, broker.node, closed)
}
