import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import {
  type ClassicGroupState,
  type ClientInfo,
  CONSUMER_PROTOCOL_TYPE,
  type GroupContext,
  type JoinRequest,
  type JoinResponse,
  type SyncRequest,
  type SyncResponse,
} from '../group.ts'
import type { RecordOf } from '../records.ts'
import { ClassicMember, NO_ASSIGNMENT } from './member.ts'
import { Membership } from './membership.ts'
import { subscribedTopics } from './subscription.ts'

/** Of all its protocols together, in memory: more could never be kept in a record. Kafka has no bound. */
const PROTOCOL_BYTES_MAX = 1024 * 1024

/** After it generations are counted from 1 again: an int32 holds no more. */
const GENERATION_MAX = 0x7fffffff
/** Of a group's record, besides texts and members: what kind it is and in which version, lengths, the generation, a time, a count. */
const NUMBERS_BYTES = 64

export type StateName = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

type Stored = NonNullable<RecordOf<'groupMetadata'>['value']>

/**
 * What a classic group is at a moment: its members, their generation and what they have agreed on. This is what the log
 * keeps and what clients are told; how it gets from one state to the next is ClassicGroup's.
 */
export class ClassicState {
  readonly members = new Membership()
  name: StateName = 'Empty'
  generation = 0
  /** The protocol of this generation; null before the first and while the group is empty. */
  protocol: string | null = null
  /** ms since 1970 of the last change of state; -1 if the log does not know. */
  since = -1
  /**
   * The members come from the consumer protocol and have not rebalanced since: partitions may be nobody's. Kept in the log as a
   * group with members and without a leader, so that a start knows that it is still to be done.
   */
  mustRebalance = false
  /** Topics that the members consume; null if that cannot be known. */
  #topics: ReadonlySet<string> | null = null

  get protocolType(): string {
    return this.members.protocolType ?? ''
  }

  become(name: StateName, wallClock: number): void {
    this.name = name
    this.since = wallClock
  }

  /** The members that have joined are the next generation. */
  nextGeneration(): void {
    this.generation = this.generation === GENERATION_MAX ? 1 : this.generation + 1
    this.mustRebalance = false
    if (this.members.size === 0) {
      this.protocol = null
      this.members.leaderId = null
    } else {
      this.protocol = this.members.selectProtocol()
    }
    this.#readSubscriptions()
  }

  #readSubscriptions(): void {
    const isConsumer = this.protocolType === CONSUMER_PROTOCOL_TYPE
    const metadata = [...this.members.all].map(member => member.metadata(this.protocol))
    this.#topics = isConsumer ? subscribedTopics(metadata) : null
  }

  /** Who this is: NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID. */
  memberError(memberId: string, instanceId: string | null): ErrorCode {
    if (instanceId !== null) {
      const known = this.members.staticMemberId(instanceId)
      if (known === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      if (known !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return this.members.get(memberId) === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.NONE
  }

  /** The same, and whether it speaks of this generation. */
  generationError(memberId: string, instanceId: string | null, generation: number): ErrorCode {
    if (this.name === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const errorCode = this.memberError(memberId, instanceId)
    if (errorCode !== ErrorCode.NONE) return errorCode
    return generation === this.generation ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  /** @param isPending its id was given out and not used yet */
  joinError(
    request: JoinRequest,
    client: ClientInfo,
    context: GroupContext,
    isPending: boolean,
  ): ErrorCode {
    const { memberId, groupInstanceId, protocolType, protocols } = request
    if (this.name === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if (!this.#hasRoomFor(memberId, context.settings.sizeMax))
      return ErrorCode.GROUP_MAX_SIZE_REACHED
    if (!this.members.supports(protocolType, protocols)) {
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    }
    const next = ClassicMember.joining(memberId, request, client)
    if (next.protocolBytes > PROTOCOL_BYTES_MAX) return ErrorCode.INVALID_REQUEST
    const holder =
      groupInstanceId === null ? undefined : this.members.staticMemberId(groupInstanceId)
    const known = this.members.get(holder ?? memberId)
    if (!this.#canKeep(request, next, known, context)) return ErrorCode.INVALID_REQUEST
    // Clients come again until there is room.
    const more = next.heldBytes - (known?.heldBytes ?? 0)
    if (!context.hasRoomFor(more)) return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    if (memberId === '') return ErrorCode.NONE
    // Static members are never given an id to come again with: the instance id may be another member's.
    if (isPending) return groupInstanceId === null ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
    return this.memberError(memberId, groupInstanceId)
  }

  /**
   * Whether the group's record can hold all members with this one, whichever of its protocols is chosen. Assignments come on top of it
   * and are looked at when they come. Who says no more than before is not refused for what others have said since.
   */
  #canKeep(
    { protocols, protocolType }: JoinRequest,
    next: ClassicMember,
    known: ClassicMember | undefined,
    { groupId, recordBytesMax }: GroupContext,
  ): boolean {
    if (known !== undefined && next.recordBytes <= known.recordBytes) return true
    const longest = protocols.reduce((max, { name }) => Math.max(max, Buffer.byteLength(name)), 0)
    const ids = Buffer.byteLength(groupId) + Buffer.byteLength(protocolType) + longest
    return this.members.recordBytesWith(next, known) + ids + NUMBERS_BYTES <= recordBytesMax
  }

  /** When a group is over its bound, those who come back first stay. */
  #hasRoomFor(memberId: string, sizeMax: number): boolean {
    const member = this.members.get(memberId)
    switch (this.name) {
      case 'PreparingRebalance':
        return member?.awaitingJoin != null || this.members.awaitingJoinCount < sizeMax
      case 'CompletingRebalance':
      case 'Stable':
        return member !== undefined || this.members.size < sizeMax
      default:
        return true
    }
  }

  syncError(request: SyncRequest): ErrorCode {
    const { memberId, groupInstanceId, generationId, protocolType, protocolName } = request
    const errorCode = this.generationError(memberId, groupInstanceId, generationId)
    if (errorCode !== ErrorCode.NONE) return errorCode
    // First: who joined before the group left the consumer protocol may have been told of another protocol than is chosen now.
    if (this.name === 'PreparingRebalance') return ErrorCode.REBALANCE_IN_PROGRESS
    const isOther =
      (protocolType !== null && protocolType !== this.members.protocolType) ||
      (protocolName !== null && protocolName !== this.protocol)
    return isOther ? ErrorCode.INCONSISTENT_GROUP_PROTOCOL : ErrorCode.NONE
  }

  /** @throws BrokerError if this is no member that may commit now */
  throwIfNotCommitter(memberId: string, instanceId: string | null, generation: number): void {
    if (generation < 0 && memberId === '' && instanceId === null) {
      const message = 'The group has members: only they may commit.'
      throw new BrokerError(ErrorCode.UNKNOWN_MEMBER_ID, message)
    }
    const errorCode = this.generationError(memberId, instanceId, generation)
    if (errorCode !== ErrorCode.NONE) {
      const message = `This is no member of generation ${this.generation} of the group.`
      throw new BrokerError(errorCode, message)
    }
    if (this.name === 'CompletingRebalance') {
      throw new BrokerError(ErrorCode.REBALANCE_IN_PROGRESS, 'The group is being rebalanced.')
    }
  }

  /** What a member is told when the generation stands. */
  joined(member: ClassicMember): JoinResponse {
    const leader = this.members.leaderId ?? ''
    return {
      errorCode: ErrorCode.NONE,
      memberId: member.memberId,
      generationId: this.generation,
      protocolType: this.members.protocolType,
      protocolName: this.protocol,
      leader,
      members: leader === member.memberId ? this.#forLeader() : [],
    }
  }

  /** What a static member is told that takes its own place while the generation stands. */
  joinedAgain(member: ClassicMember, leaderBefore: string | null, maySkip: boolean): JoinResponse {
    const joined = this.joined(member)
    if (maySkip) return { ...joined, skipAssignment: this.members.isLeader(member.memberId) }
    // Older ones, told that somebody else leads, do not assign anew.
    return { ...joined, leader: leaderBefore ?? '', members: [] }
  }

  #forLeader() {
    return [...this.members.all].map(member => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      metadata: member.metadata(this.protocol),
    }))
  }

  synced(member: ClassicMember): SyncResponse {
    return {
      errorCode: ErrorCode.NONE,
      protocolType: this.members.protocolType,
      protocolName: this.protocol,
      assignment: member.assignment,
    }
  }

  isSubscribedTo(topic: string): boolean {
    if (this.#topics !== null) return this.#topics.has(topic)
    return this.protocolType === CONSUMER_PROTOCOL_TYPE
  }

  /** See Group; the conditions are those of ClassicGroup.offsetExpirationCondition in Kafka. */
  get offsetsExpireFrom(): number | 'commit' | 'never' {
    if (this.protocolType === '') return 'commit'
    if (this.name === 'Empty') return this.since === -1 ? 'commit' : this.since
    const isKnown = this.protocolType === CONSUMER_PROTOCOL_TYPE && this.#topics !== null
    return isKnown && this.name === 'Stable' ? 'commit' : 'never'
  }

  record(groupId: string): RecordOf<'groupMetadata'> {
    return {
      kind: 'groupMetadata',
      key: { group: groupId },
      value: {
        protocolType: this.protocolType,
        generation: this.generation,
        protocol: this.protocol,
        leader: this.mustRebalance ? null : this.members.leaderId,
        currentStateTimestamp: this.since,
        members: [...this.members.all].map(member => member.toRecord(this.protocol)),
      },
    }
  }

  /** For a log that is written anew. @param fits whether a record can be kept */
  snapshot(groupId: string, fits: GroupContext['fits']): RecordOf<'groupMetadata'> {
    const record = this.record(groupId)
    const { value } = record
    const isMoving = this.name !== 'Stable' && this.name !== 'Empty'
    if (value === null || !isMoving || fits(record)) return record
    // Members have said more since their assignments were written, and those are over.
    const members = value.members.map(member => ({ ...member, assignment: NO_ASSIGNMENT }))
    return { ...record, value: { ...value, members } }
  }

  replay(value: Stored): void {
    for (const member of [...this.members.all]) this.members.remove(member.memberId)
    this.members.protocolType = value.protocolType === '' ? null : value.protocolType
    this.generation = value.generation
    this.protocol = value.protocol
    for (const stored of value.members) {
      this.members.add(ClassicMember.stored(stored, value.protocol))
    }
    const isEmpty = value.members.length === 0
    this.mustRebalance = !isEmpty && value.leader === null
    if (!this.mustRebalance) this.members.leaderId = isEmpty ? null : value.leader
    this.become(isEmpty ? 'Empty' : 'Stable', value.currentStateTimestamp)
    this.#readSubscriptions()
  }

  /** What a group that takes over would write. */
  static recordOf(state: ClassicGroupState, groupId: string): RecordOf<'groupMetadata'> {
    const taken = new ClassicState()
    taken.takeOver(state)
    return taken.record(groupId)
  }

  takeOver(state: ClassicGroupState): void {
    this.members.protocolType = state.protocolType
    this.generation = state.generation
    this.protocol = state.protocol
    for (const stored of state.members) {
      const member = new ClassicMember(stored)
      member.assignment = stored.assignment
      this.members.add(member)
    }
    this.members.leaderId = state.leaderId ?? this.members.leaderId
    this.mustRebalance = state.needsRebalance ?? false
    this.#readSubscriptions()
  }

  export(): ClassicGroupState {
    return {
      protocolType: this.protocolType,
      generation: this.generation,
      protocol: this.protocol,
      leaderId: this.members.leaderId,
      members: [...this.members.all],
    }
  }
}
