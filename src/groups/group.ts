/**
 * What both group protocols share with the coordinator that runs them. A group is a pure state machine: time, topics, settings
 * and the log come in through its context, requests are method calls, and nothing in it waits. It changes its state at
 * once and hands the records that say so to `write`; the coordinator appends them in that order and holds every
 * answer given after them until they are flushed.
 */
import type { GroupRecord } from './records.ts'

/** The protocol type of consumers in the classic protocol: only theirs the broker can read. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer'

/** A topic as far as groups care. */
export interface TopicInfo {
  readonly name: string
  /** 22 characters of base64url. */
  readonly id: string
  readonly partitions: number
}

export interface TopicsView {
  /** Rises with every topic that is made, deleted or grown. */
  readonly revision: number
  byName(name: string): TopicInfo | undefined
  byId(id: string): TopicInfo | undefined
  names(): Iterable<string>
}

/** The broker's configs that groups obey; ms and counts. Read anew at each use: they may change. */
export interface GroupSettings {
  /** group.min.session.timeout.ms and its kin: the classic protocol. */
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
  readonly initialRebalanceDelayMs: number
  readonly sizeMax: number
  /** group.consumer.*, with the group's own configs laid over them. */
  readonly consumerSessionTimeoutMs: number
  readonly consumerHeartbeatIntervalMs: number
  readonly consumerSizeMax: number
  readonly consumerAssignors: readonly string[]
  readonly consumerMigrationPolicy: 'bidirectional' | 'upgrade' | 'downgrade' | 'disabled'
  readonly consumerRegexRefreshIntervalMs: number
}

/** The surroundings of one group. */
export interface GroupContext {
  readonly groupId: string
  readonly settings: GroupSettings
  readonly topics: TopicsView
  /** ms of broker time: it only rises, and stands still while the broker does not run. For time-outs. */
  now(): number
  /** ms since 1970, for records. */
  wallClock(): number
  /** Appends the records, in one batch if they fit into one. */
  write(records: readonly GroupRecord[]): void
  /** Whether the record is small enough to be kept. Whatever makes one that may grow asks before it changes anything. */
  fits(record: GroupRecord): boolean
  /** Bytes of key and value of the largest record that fits. */
  readonly recordBytesMax: number
  /** Whether the group may take so many bytes of memory more. Asked before a member joins or says more. */
  hasRoomFor(bytes: number): boolean
  /** A random UUID in Kafka's text form. */
  newUuid(): string
  /** Asks for the topics that the pattern matches; `ConsumerGroup.resolved` is called with them later. */
  resolvePattern(pattern: string): void
  log: { debug(fields: object, message: string): void; info(fields: object, message: string): void }
}

/** Who sends a request. */
export interface ClientInfo {
  readonly clientId: string
  /** As Kafka shows it: a slash and the address. */
  readonly clientHost: string
  readonly version: number
}

export interface ProtocolMetadata {
  readonly name: string
  readonly metadata: Buffer
}

/** A member of a classic group as it stands in the log, and as it moves between the protocols. */
export interface ClassicMemberState {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** In the member's order of preference. */
  readonly protocols: readonly ProtocolMetadata[]
  readonly assignment: Buffer
}

/** A classic group as it moves between the protocols. */
export interface ClassicGroupState {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leaderId: string | null
  readonly members: readonly ClassicMemberState[]
  /** Coming from the consumer protocol: partitions have no consumer now, the group has to rebalance at once. */
  readonly needsRebalance?: boolean
}

export interface JoinRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string
  readonly protocols: readonly ProtocolMetadata[]
  readonly sessionTimeoutMs: number
  /** Already set to the session timeout for version 0, which has none. */
  readonly rebalanceTimeoutMs: number
  readonly reason: string | null
}

/** The fields of a JoinGroup answer. */
export interface JoinResponse {
  readonly errorCode: number
  readonly memberId: string
  readonly generationId?: number
  readonly protocolType?: string | null
  readonly protocolName?: string | null
  readonly leader?: string
  readonly skipAssignment?: boolean
  readonly members?: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Buffer
  }[]
}

export interface SyncRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
}

export interface SyncResponse {
  readonly errorCode: number
  readonly protocolType?: string | null
  readonly protocolName?: string | null
  readonly assignment?: Buffer
}

/** Called once; the coordinator has sent everything written before by then. */
export type Reply<R> = (response: R) => void

/** The calls of the classic protocol; both kinds of groups take them (KIP-848: a group may hold members of both protocols). */
export interface ClassicProtocol {
  join(request: JoinRequest, client: ClientInfo, reply: Reply<JoinResponse>): void
  sync(request: SyncRequest, client: ClientInfo, reply: Reply<SyncResponse>): void
  /** @returns an error code */
  heartbeat(memberId: string, instanceId: string | null, generationId: number): number
  /** @returns an error code */
  leave(memberId: string, instanceId: string | null, reason: string | null): number
  /** Whoever waits for this reply is gone: its member must be heard of within its session, or is removed. */
  abandon(reply: Reply<never>): void
}

/** What the coordinator needs of every group. */
export interface Group extends ClassicProtocol {
  readonly type: 'classic' | 'consumer'
  /** As ListGroups and the describing APIs show it: Empty, Stable, PreparingRebalance, ... */
  readonly state: string
  readonly protocolType: string
  readonly isEmpty: boolean
  /** Bytes that its members take in memory, and those who are about to become members. */
  readonly heldBytes: number
  /** Broker time at which `onTime` is due; Infinity if never. It may be earlier than anything due. */
  readonly deadline: number
  onTime(now: number): void
  /** Whether a member consumes this topic: its offsets are then kept, and cannot be deleted. */
  isSubscribedTo(topic: string): boolean
  /**
   * From when offsets.retention.minutes count for the topics that it is not subscribed to: ms since 1970, or each
   * offset's own commit, or never as things are.
   */
  readonly offsetsExpireFrom: number | 'commit' | 'never'
  /**
   * Whether this member may commit now. @throws BrokerError
   * @returns for a group of the consumer protocol, a check for each partition that throws BrokerError; else null
   */
  validateCommit(
    memberId: string,
    instanceId: string | null,
    epoch: number,
    version: number,
  ): ((topicId: string, partition: number) => void) | null
  /** Whether this member may read offsets now (OffsetFetch v9+); null member id: anybody may. @throws BrokerError */
  validateFetch(memberId: string | null, epoch: number): void
  /** The records that remove the group from the log. */
  tombstones(): GroupRecord[]
  /** The records that bring it back as it is. */
  snapshot(): GroupRecord[]
  /** All that was parked is answered with this error, no timer is left. */
  close(errorCode: number): void
}
