/**
 * A group of the consumer protocol (KIP-848) as a pure state machine: the broker decides who consumes what. Every change of
 * subscriptions or topics makes a new epoch of the group and a new target; each member is moved towards its own part of
 * it with its own heartbeats. Nobody waits: each request is answered at once with how far things are. Behaviour is that
 * of Kafka's GroupMetadataManager.java and ConsumerGroup.java.
 *
 * Unlike in Kafka: a new target is computed with the change itself, not at most once in an interval; members of the classic
 * protocol notice new topics with their heartbeats too; a static member may join again under its own member id; the epoch
 * that a lost answer carried stays acceptable until the member's epoch changes again.
 */
import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from '../../protocol/messages/68-consumer-group-heartbeat.ts'
import { ClassicState } from '../classic/classic-state.ts'
import type {
  ClassicGroupState,
  ClientInfo,
  Group,
  GroupContext,
  JoinRequest,
  JoinResponse,
  Reply,
  SyncRequest,
  SyncResponse,
} from '../group.ts'
import type { GroupRecord } from '../records.ts'
import { contains, listed, samePartitions } from './assignment.ts'
import { ClassicMembers } from './classic-members.ts'
import { Core } from './core.ts'
import { type DescribedConsumerGroup, describe } from './describe.ts'
import { downgraded } from './downgrade.ts'
import { checkHeartbeat, describedBy, isFullRequest, JOINING } from './heartbeat-request.ts'
import { LEFT_FOR_A_WHILE, type Member, NEVER, UNKNOWN_MEMBER } from './member.ts'
import { MemberState } from './reconcile.ts'
import { type ConsumerRecord, leftForAWhile } from './store.ts'

export type HeartbeatResponse = Pick<
  ConsumerGroupHeartbeatResponse,
  'memberId' | 'memberEpoch' | 'heartbeatIntervalMs' | 'assignment'
>

type Request = ConsumerGroupHeartbeatRequest

export class ConsumerGroup implements Group {
  readonly type = 'consumer'
  readonly protocolType = 'consumer'
  readonly #core: Core
  readonly #classic: ClassicMembers
  #isClosed = false

  constructor(context: GroupContext) {
    this.#core = new Core(context)
    this.#classic = new ClassicMembers(this.#core)
  }

  get state(): string {
    const { members, epoch, targetEpoch } = this.#core.store
    if (this.#isClosed) return 'Dead'
    if (members.size === 0) return 'Empty'
    if (epoch > targetEpoch) return 'Assigning'
    for (const member of members.values())
      if (!member.isReconciled(targetEpoch)) return 'Reconciling'
    return 'Stable'
  }

  get isEmpty(): boolean {
    return this.#core.store.members.size === 0
  }

  get size(): number {
    return this.#core.store.members.size
  }

  get heldBytes(): number {
    return this.#isClosed ? 0 : this.#core.store.heldBytes
  }

  // The consumer protocol.

  /**
   * Joins, keeps up, or leaves (memberEpoch 0, positive, negative). A pattern in the request must be known to the group, or
   * have been checked.
   * @throws BrokerError
   */
  heartbeat(request: Request, client: ClientInfo): HeartbeatResponse
  /** That of the classic protocol. @returns an error code */
  heartbeat(memberId: string, instanceId: string | null, generationId: number): number
  heartbeat(
    a: Request | string,
    b: ClientInfo | string | null,
    generationId?: number,
  ): HeartbeatResponse | number {
    if (typeof a === 'string') return this.#classic.heartbeat(a, b as string | null, generationId!)
    return this.#heartbeat(a, b as ClientInfo)
  }

  #heartbeat(request: Request, client: ClientInfo): HeartbeatResponse {
    const core = this.#core
    const { settings } = core.context
    checkHeartbeat(request, client.version, settings.consumerAssignors)
    if (request.memberEpoch < JOINING) return this.#leave(request)
    const memberId = request.memberId === '' ? core.context.newUuid() : request.memberId
    core.checkSize(memberId)
    const known = this.#identify(memberId, request)
    const replaced = known !== undefined && known.memberId !== memberId ? known : undefined
    const info = describedBy(known?.info ?? UNKNOWN_MEMBER, request, client)
    core.checkFits(memberId, info)

    const before = known?.standing
    const hasNewSubscription = core.admit(memberId, replaced, info)
    core.noticeTopics()
    core.updateTarget()
    const member = core.store.members.get(memberId)!
    core.reconcile(member, request.topicPartitions, hasNewSubscription)
    member.joinDeadline = NEVER
    member.syncDeadline = NEVER
    core.touch(member)
    core.patterns.ask()
    core.flush()

    const { epoch, assigned } = member.standing
    const hasAssignment =
      request.memberEpoch === JOINING ||
      isFullRequest(request) ||
      !samePartitions(before!.assigned, assigned)
    return {
      memberId,
      memberEpoch: epoch,
      heartbeatIntervalMs: settings.consumerHeartbeatIntervalMs,
      assignment: hasAssignment ? { topicPartitions: listed(assigned) } : null,
    }
  }

  /**
   * @returns the member that the request comes from, or the static one that it takes the place of; undefined if it is new
   * @throws BrokerError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID, FENCED_MEMBER_EPOCH
   */
  #identify(memberId: string, request: Request): Member | undefined {
    const { store } = this.#core
    const { instanceId } = request
    const isJoining = request.memberEpoch === JOINING
    const holder = instanceId === null ? undefined : store.staticMember(instanceId)
    if (isJoining && holder !== undefined && holder.memberId !== memberId) {
      const isInUse = !holder.usesClassicProtocol && holder.standing.epoch !== LEFT_FOR_A_WHILE
      if (!isInUse) return holder
      const message = `Instance id ${instanceId} is in use by member ${holder.memberId}.`
      throw new BrokerError(ErrorCode.UNRELEASED_INSTANCE_ID, message)
    }
    const member = isJoining ? store.members.get(memberId) : this.#member(memberId, instanceId)
    if (member !== undefined) checkEpoch(member, request)
    return member
  }

  /** @throws BrokerError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
  #member(memberId: string, instanceId: string | null): Member {
    return this.#classic.member(memberId, instanceId)
  }

  #leave(request: Request): HeartbeatResponse {
    const { memberId, memberEpoch, instanceId } = request
    const core = this.#core
    const member = this.#member(memberId, instanceId)
    if (memberEpoch === LEFT_FOR_A_WHILE) {
      core.put(core.store.standingRecord(memberId, leftForAWhile(member.standing)))
      member.rebalanceDeadline = NEVER
    } else {
      core.remove([member])
    }
    core.flush()
    return { memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
  }

  describe(): DescribedConsumerGroup {
    const { store, context } = this.#core
    return describe(store, this.state, context)
  }

  // Patterns.

  /** Whether a member subscribes with it already: it need not be checked again. */
  knowsPattern(pattern: string): boolean {
    return this.#core.store.subscriptions.subscribersOf(pattern) > 0
  }

  /** What a pattern stands for, as asked for through the context. */
  resolved(pattern: string, names: readonly string[]): void {
    const core = this.#core
    const { store, context } = core
    core.patterns.isDone(pattern)
    if (this.#isClosed || !this.knowsPattern(pattern)) return
    const topics = new Set(names)
    const old = store.subscriptions.patterns.get(pattern)?.topics
    if (old !== undefined && old.size === topics.size && names.every(name => old.has(name))) return
    const version = context.topics.revision
    const record = store.patternRecord(pattern, { topics, version, timestamp: context.wallClock() })
    if (!context.fits(record)) {
      const fields = { group: context.groupId, pattern, topics: topics.size }
      context.log.info(
        fields,
        'a pattern matches too many topics to be kept: it is as if it matched none',
      )
      return
    }
    core.put(record)
    // Also if it matches nothing: who subscribes with it may have given up partitions of other topics for it.
    core.bumpEpoch()
    core.flush()
  }

  // The classic protocol.

  join(request: JoinRequest, client: ClientInfo, reply: Reply<JoinResponse>): void {
    this.#classic.join(request, client, reply)
  }

  sync(request: SyncRequest, _client: ClientInfo, reply: Reply<SyncResponse>): void {
    this.#classic.sync(request, reply)
  }

  leave(memberId: string, instanceId: string | null, reason: string | null): number {
    return this.#classic.leave(memberId, instanceId, reason)
  }

  abandon(_reply: Reply<never>): void {
    // Nothing is parked here.
  }

  /**
   * To be asked after everything that may remove a member of the consumer protocol: if only members of the classic protocol
   * are left, the group is over and goes on as this classic one. Its removal is then written.
   */
  downgrade(): ClassicGroupState | null {
    const core = this.#core
    if (core.downgrade === null) return null
    const state = downgraded(core)
    if (!core.context.fits(ClassicState.recordOf(state, core.context.groupId))) {
      // As one classic group its members do not fit into one record: they stay as they are, and join again for a new epoch.
      core.downgrade = null
      core.bumpEpoch()
      core.flush()
      return null
    }
    core.context.write([...core.take(), ...core.store.tombstones()])
    this.#isClosed = true
    return state
  }

  // Time.

  get deadline(): number {
    return this.#isClosed ? NEVER : this.#core.deadline
  }

  onTime(now: number): void {
    if (!this.#isClosed) this.#core.onTime(now)
  }

  // Offsets.

  isSubscribedTo(topic: string): boolean {
    return this.#core.store.subscriptions.includes(topic)
  }

  get offsetsExpireFrom(): 'commit' {
    return 'commit'
  }

  /** @throws BrokerError UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, STALE_MEMBER_EPOCH or, for classic members, ILLEGAL_GENERATION */
  validateCommit(
    memberId: string,
    _instanceId: string | null,
    epoch: number,
    version: number,
  ): ((topicId: string, partition: number) => void) | null {
    // From an operator, or from a consumer that assigns itself.
    if (epoch < 0 && this.isEmpty) return null
    const member = this.#member(memberId, null)
    if (!member.usesClassicProtocol && version < MEMBER_EPOCHS_SINCE) {
      const message = `Members of the consumer protocol need OffsetCommit v${MEMBER_EPOCHS_SINCE}.`
      throw new BrokerError(ErrorCode.UNSUPPORTED_VERSION, message)
    }
    if (epoch === member.standing.epoch) return null
    if (epoch > member.standing.epoch) {
      throw staleEpoch(
        member,
        `Epoch ${epoch} is newer than the member's ${member.standing.epoch}.`,
      )
    }
    const { assigned, revoking } = member.standing
    // Of what it has had since then, it may commit with an older epoch (KIP-1251).
    return (topicId, partition) => {
      const since = assigned.get(topicId)?.get(partition) ?? revoking.get(topicId)?.get(partition)
      if (since !== undefined && epoch >= since) return
      const what = `partition ${partition} of topic ${topicId}`
      throw staleEpoch(
        member,
        `In epoch ${epoch} the member did not have ${what}, or has it no more.`,
      )
    }
  }

  /** @throws BrokerError as `validateCommit` */
  validateFetch(memberId: string | null, epoch: number): void {
    if (memberId === null && epoch < 0) return
    const member = this.#member(memberId ?? '', null)
    if (epoch === member.standing.epoch) return
    throw staleEpoch(member, `Epoch ${epoch} is not the member's ${member.standing.epoch}.`)
  }

  // The log.

  /** Takes over what the log says; `loaded` follows when all of it is read. */
  replay(record: ConsumerRecord): void {
    this.#core.store.apply(record)
  }

  loaded(): void {
    this.#core.loaded()
  }

  snapshot(): GroupRecord[] {
    return this.#isClosed ? [] : this.#core.store.snapshot()
  }

  tombstones(): GroupRecord[] {
    return this.#core.store.tombstones()
  }

  /** Nothing is parked here. */
  close(_errorCode: number): void {
    this.#isClosed = true
  }
}

/** OffsetCommit before this has no member epochs. */
const MEMBER_EPOCHS_SINCE = 9

function staleEpoch(member: Member, message: string): BrokerError {
  const { usesClassicProtocol } = member
  const errorCode = usesClassicProtocol
    ? ErrorCode.ILLEGAL_GENERATION
    : ErrorCode.STALE_MEMBER_EPOCH
  return new BrokerError(errorCode, message)
}

/**
 * The member must be where we think it is, or one epoch behind because an answer was lost: then what it has must be part of what
 * it would have now.
 * @throws BrokerError FENCED_MEMBER_EPOCH: it gives up everything and joins again
 */
function checkEpoch(member: Member, request: Request): void {
  const { memberEpoch, topicPartitions: owned } = request
  const { epoch, previousEpoch, assigned, state } = member.standing
  const fence = (message: string): never => {
    throw new BrokerError(ErrorCode.FENCED_MEMBER_EPOCH, `${message} It must join again.`)
  }
  if (state === MemberState.UNKNOWN && owned?.length !== 0) {
    fence('The member is in a state that this broker does not know.')
  }
  if (memberEpoch === JOINING || memberEpoch === epoch) return
  if (memberEpoch > epoch) fence(`The member is ahead, in epoch ${memberEpoch} and not ${epoch}.`)
  const isLostAnswer = memberEpoch === previousEpoch && owned !== null && contains(assigned, owned)
  if (!isLostAnswer) fence(`The member is behind, in epoch ${memberEpoch} and not ${epoch}.`)
}
