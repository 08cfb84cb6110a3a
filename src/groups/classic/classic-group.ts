/**
 * A group of the classic protocol as a pure state machine: members join, one of them (the leader) decides who consumes what,
 * all sync. What waits for other members is a parked reply; what waits for time is a deadline that the coordinator comes
 * back for. Behaviour is that of Kafka's GroupMetadataManager.java and ClassicGroup.java.
 *
 *   Empty -> PreparingRebalance (joins are parked) -> CompletingRebalance (syncs are parked) -> Stable -> Preparing...
 *
 * Unlike in Kafka, a leader's assignment counts at once and its record is written at once; answers wait for its flush.
 */
import { ErrorCode } from '../../protocol/error-codes.ts'
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
import type { GroupRecord, RecordOf } from '../records.ts'
import { ClassicState, type StateName } from './classic-state.ts'
import { CLIENT_ID_CHARS_MAX, ClassicMember, NO_ASSIGNMENT } from './member.ts'
import { PendingMembers } from './pending-members.ts'

/** A member without an id is told to come again with one (KIP-394). */
const MEMBER_ID_REQUIRED_SINCE = 4
/** A leader that comes back as a static member is told that the assignment stands (KIP-814). */
const SKIP_ASSIGNMENT_SINCE = 9
/** ms that the join of a new member may be parked: Kafka's bound, after which the client must have tried again. */
const NEW_MEMBER_JOIN_MS_MAX = 5 * 60_000

const NEVER = Number.POSITIVE_INFINITY

export class ClassicGroup implements Group {
  readonly type = 'classic'
  readonly #context: GroupContext
  readonly #state = new ClassicState()
  readonly #members = this.#state.members
  readonly #pending = new PendingMembers()
  /** Members that have been answered their join and have not synced. */
  readonly #pendingSync = new Set<string>()
  /** When joining ends; while the group fills up for the first time, it may be put off until `#initialEnd`. */
  #joinDeadline = NEVER
  #initialEnd = 0
  #isFilling = false
  #hasNewMember = false
  #syncDeadline = NEVER
  #deadline = NEVER

  constructor(context: GroupContext) {
    this.#context = context
  }

  /** The group that takes the place of one of the consumer protocol whose remaining members speak the classic one. */
  static takingOver(state: ClassicGroupState, context: GroupContext): ClassicGroup {
    const group = new ClassicGroup(context)
    group.#state.takeOver(state)
    group.#become('Stable')
    group.#write()
    group.loaded()
    return group
  }

  get state(): StateName {
    return this.#state.name
  }

  get protocolType(): string {
    return this.#state.protocolType
  }

  get protocol(): string | null {
    return this.#state.protocol
  }

  get generation(): number {
    return this.#state.generation
  }

  get isEmpty(): boolean {
    return this.#state.name === 'Empty'
  }

  get members(): Iterable<ClassicMember> {
    return this.#members.all
  }

  get size(): number {
    return this.#members.size
  }

  get heldBytes(): number {
    return this.#members.heldBytes + this.#pending.heldBytes
  }

  // Joining.

  join(request: JoinRequest, client: ClientInfo, reply: Reply<JoinResponse>): void {
    const { memberId } = request
    const isPending = this.#pending.has(memberId)
    const errorCode = this.#state.joinError(request, client, this.#context, isPending)
    if (errorCode === ErrorCode.GROUP_MAX_SIZE_REACHED) {
      this.#pending.remove(memberId)
      this.#members.remove(memberId)
      reply({ errorCode, memberId: '' })
    } else if (errorCode !== ErrorCode.NONE) {
      reply({ errorCode, memberId })
    } else if (memberId === '') {
      this.#joinWithoutId(request, client, reply)
    } else if (isPending) {
      this.#add(memberId, request, client, reply)
    } else {
      this.#rejoin(this.#members.get(memberId)!, request, reply)
    }
  }

  #joinWithoutId(request: JoinRequest, client: ClientInfo, reply: Reply<JoinResponse>): void {
    const { groupInstanceId } = request
    const name = groupInstanceId ?? client.clientId.slice(0, CLIENT_ID_CHARS_MAX)
    // Cut in the middle of a character, or no UTF-8 from the beginning, it would not come back as it was given out.
    const memberId = `${name.toWellFormed()}-${this.#context.newUuid()}`
    if (groupInstanceId !== null) {
      const known = this.#members.staticMemberId(groupInstanceId)
      if (known === undefined) this.#add(memberId, request, client, reply)
      else this.#replaceStatic(this.#members.get(known)!, memberId, request, client, reply)
      return
    }
    if (client.version < MEMBER_ID_REQUIRED_SINCE) {
      this.#add(memberId, request, client, reply)
      return
    }
    const deadline = this.#context.now() + request.sessionTimeoutMs
    if (!this.#pending.add(memberId, deadline)) {
      reply({ errorCode: ErrorCode.GROUP_MAX_SIZE_REACHED, memberId: '' })
      return
    }
    this.#due(deadline)
    reply({ errorCode: ErrorCode.MEMBER_ID_REQUIRED, memberId })
  }

  #add(
    memberId: string,
    request: JoinRequest,
    client: ClientInfo,
    reply: Reply<JoinResponse>,
  ): void {
    this.#pending.remove(memberId)
    const member = ClassicMember.joining(memberId, request, client)
    member.isNew = true
    member.awaitingJoin = reply
    if (this.#members.size === 0) this.#members.protocolType = request.protocolType
    this.#members.add(member)
    if (this.#isFilling) this.#hasNewMember = true
    this.#expectWithin(member, NEW_MEMBER_JOIN_MS_MAX)
    this.#rebalance(`member ${memberId} joins: ${request.reason ?? 'no reason given'}`)
  }

  #rejoin(member: ClassicMember, request: JoinRequest, reply: Reply<JoinResponse>): void {
    const { memberId } = member
    const isSame = member.hasSameProtocols(request.protocols)
    // A leader joins again to assign anew, for instance because topics have changed.
    const isKnown =
      (this.#state.name === 'CompletingRebalance' && isSame) ||
      (this.#state.name === 'Stable' && isSame && !this.#members.isLeader(memberId))
    if (isKnown) {
      reply(this.#state.joined(member))
      return
    }
    if (this.#state.name === 'Empty') {
      reply({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId })
      return
    }
    this.#park(member, request, reply)
    this.#rebalance(`member ${memberId} joins again: ${request.reason ?? 'no reason given'}`)
  }

  #park(member: ClassicMember, request: JoinRequest, reply: Reply<JoinResponse>): void {
    this.#members.update(member, request)
    // A client that asks again has given up on its first request; what it is told must not make it drop its id.
    member.answerJoin({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS, memberId: member.memberId })
    member.awaitingJoin = reply
    if (member.isBack()) this.#expectWithin(member, NEW_MEMBER_JOIN_MS_MAX)
  }

  /** A static member is back under a new id: the old one is fenced, its place is taken (KIP-345). */
  #replaceStatic(
    old: ClassicMember,
    memberId: string,
    request: JoinRequest,
    client: ClientInfo,
    reply: Reply<JoinResponse>,
  ): void {
    const leaderBefore = this.#members.leaderId
    old.dismiss(ErrorCode.FENCED_INSTANCE_ID)
    const member = ClassicMember.joining(memberId, request, client)
    member.assignment = old.assignment
    this.#members.replace(old, member)
    this.#pendingSync.delete(old.memberId)
    member.awaitingJoin = reply
    this.#expect(member)
    const isSame =
      this.#state.name === 'Stable' && this.#members.selectProtocol() === this.#state.protocol
    // What it says may have grown: then there is a new generation, whose assignments are looked at when they come.
    if (isSame && this.#context.fits(this.#state.record(this.#context.groupId))) {
      this.#write()
      const maySkip = client.version >= SKIP_ASSIGNMENT_SINCE
      member.answerJoin(this.#state.joinedAgain(member, leaderBefore, maySkip))
      return
    }
    this.#rebalance(`static member ${request.groupInstanceId} joins again as ${memberId}`)
  }

  // Rebalancing.

  #rebalance(reason: string): void {
    if (this.#state.name === 'PreparingRebalance') this.#completeJoinIfReady()
    else this.#prepareRebalance(reason)
  }

  #prepareRebalance(reason: string): void {
    const { settings, log, groupId } = this.#context
    if (this.#state.name === 'CompletingRebalance') this.#failSyncs(ErrorCode.REBALANCE_IN_PROGRESS)
    this.#pendingSync.clear()
    this.#syncDeadline = NEVER
    const isInitial = this.#state.name === 'Empty'
    this.#become('PreparingRebalance')
    log.debug({ group: groupId, generation: this.#state.generation, reason }, 'rebalancing')
    const now = this.#context.now()
    const longest = this.#members.rebalanceTimeoutMs
    if (!isInitial) {
      this.#setJoinDeadline(now + longest)
      // Whoever has only been given an id is not waited for when everybody else has left.
      if (this.#members.size === 0) this.#completeJoin()
      else this.#completeJoinIfReady()
      return
    }
    // The group is new: others may be about to come.
    const delay = settings.initialRebalanceDelayMs
    this.#isFilling = true
    this.#hasNewMember = false
    this.#initialEnd = now + Math.max(longest, delay)
    this.#setJoinDeadline(now + delay)
    if (delay === 0) this.#endJoining()
  }

  #setJoinDeadline(at: number): void {
    this.#joinDeadline = at
    this.#due(at)
  }

  #completeJoinIfReady(): void {
    if (this.#isFilling || !this.#pending.isEmpty || !this.#members.haveAllJoined) return
    this.#completeJoin()
  }

  /** The time to join is over; as long as a new group keeps filling up, it gets some more. */
  #endJoining(): void {
    if (this.#isFilling && this.#hasNewMember && this.#joinDeadline < this.#initialEnd) {
      this.#hasNewMember = false
      const more = this.#joinDeadline + this.#context.settings.initialRebalanceDelayMs
      this.#setJoinDeadline(Math.min(more, this.#initialEnd))
      return
    }
    this.#completeJoin()
  }

  /** Everybody who is going to be in the next generation has joined. Dynamic members who have not are out. */
  #completeJoin(): void {
    this.#joinDeadline = NEVER
    this.#members.removeAbsent()
    if (this.#members.size > 0 && !this.#members.electJoinedLeader()) {
      // Only static members, and none of them is back: wait until one is, or their sessions end.
      this.#setJoinDeadline(this.#context.now() + this.#members.rebalanceTimeoutMs)
      return
    }
    this.#isFilling = false
    this.#state.nextGeneration()
    if (this.#members.size === 0) {
      this.#become('Empty')
      this.#write()
      return
    }
    this.#become('CompletingRebalance')
    this.#syncDeadline = this.#context.now() + this.#members.rebalanceTimeoutMs
    this.#due(this.#syncDeadline)
    for (const member of this.#members.all) {
      // A static member that is away keeps its place as long as its session lasts: nothing is due from it before.
      if (member.awaitingJoin === null) continue
      member.isNew = false
      this.#pendingSync.add(member.memberId)
      member.answerJoin(this.#state.joined(member))
      // Of one that is gone the session is running already.
      if (!member.isAbandoned) this.#expect(member)
    }
  }

  // Syncing.

  sync(request: SyncRequest, _client: ClientInfo, reply: Reply<SyncResponse>): void {
    const errorCode = this.#state.syncError(request)
    if (errorCode !== ErrorCode.NONE) {
      reply({ errorCode })
      return
    }
    const member = this.#members.get(request.memberId)!
    this.#pendingSync.delete(member.memberId)
    if (this.#pendingSync.size === 0) this.#syncDeadline = NEVER
    if (this.#state.name === 'Stable') {
      // Late, and alive: its session counts from here, not from the answer to its join.
      this.#expect(member)
      reply(this.#state.synced(member))
      return
    }
    member.answerSync({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
    member.awaitingSync = reply
    if (member.isBack()) this.#expectWithin(member, NEW_MEMBER_JOIN_MS_MAX)
    if (this.#members.isLeader(member.memberId)) this.#assign(request.assignments)
  }

  #assign(assignments: SyncRequest['assignments']): void {
    const byMember = new Map(assignments.map(a => [a.memberId, a.assignment]))
    for (const member of this.#members.all) {
      this.#members.assign(member, byMember.get(member.memberId) ?? NO_ASSIGNMENT)
    }
    if (!this.#context.fits(this.#state.record(this.#context.groupId))) {
      // What Kafka answers too when a group is larger than the log takes.
      this.#failSyncs(ErrorCode.UNKNOWN_SERVER_ERROR)
      this.#prepareRebalance('the assignments are too large to be kept')
      return
    }
    this.#become('Stable')
    this.#write()
    for (const member of this.#members.all) {
      if (member.answerSync(this.#state.synced(member))) this.#expect(member)
    }
  }

  #failSyncs(errorCode: ErrorCode): void {
    for (const member of this.#members.all) {
      this.#members.assign(member, NO_ASSIGNMENT)
      if (member.answerSync({ errorCode })) this.#expect(member)
    }
  }

  // Staying and leaving.

  heartbeat(memberId: string, instanceId: string | null, generationId: number): ErrorCode {
    const errorCode = this.#state.generationError(memberId, instanceId, generationId)
    if (errorCode !== ErrorCode.NONE) return errorCode
    this.#expect(this.#members.get(memberId)!)
    return this.#state.name === 'PreparingRebalance'
      ? ErrorCode.REBALANCE_IN_PROGRESS
      : ErrorCode.NONE
  }

  leave(memberId: string, instanceId: string | null, reason: string | null): ErrorCode {
    if (this.#state.name === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if (this.#pending.remove(memberId)) {
      if (this.#state.name === 'PreparingRebalance') this.#completeJoinIfReady()
      return ErrorCode.NONE
    }
    // An operator may remove a static member without knowing its member id.
    const isByInstance = memberId === '' && instanceId !== null
    const id = isByInstance ? (this.#members.staticMemberId(instanceId) ?? '') : memberId
    const errorCode = this.#state.memberError(id, instanceId)
    if (errorCode !== ErrorCode.NONE) return errorCode
    this.#remove(this.#members.get(id)!, `member ${id} leaves: ${reason ?? 'no reason given'}`)
    return ErrorCode.NONE
  }

  abandon(reply: Reply<never>): void {
    const member = this.#members.abandon(reply)
    if (member !== undefined) this.#expect(member)
  }

  #remove(member: ClassicMember, reason: string): void {
    const errorCode = ErrorCode.UNKNOWN_MEMBER_ID
    member.answerJoin({ errorCode, memberId: '' })
    member.answerSync({ errorCode })
    this.#members.remove(member.memberId)
    this.#pendingSync.delete(member.memberId)
    if (this.#state.name !== 'Empty') this.#rebalance(reason)
  }

  // Time.

  get deadline(): number {
    return this.#deadline
  }

  #due(at: number): void {
    if (at < this.#deadline) this.#deadline = at
  }

  #expect(member: ClassicMember): void {
    this.#expectWithin(member, member.sessionTimeoutMs)
  }

  #expectWithin(member: ClassicMember, ms: number): void {
    member.deadline = this.#context.now() + ms
    this.#due(member.deadline)
  }

  onTime(now: number): void {
    if (this.#pending.expire(now) && this.#state.name === 'PreparingRebalance') {
      this.#completeJoinIfReady()
    }
    for (const member of [...this.#members.all]) {
      if (!member.isExpired(now) || this.#members.get(member.memberId) !== member) continue
      this.#context.log.info(
        { group: this.#context.groupId, member: member.memberId },
        'a member has not been heard of within its session timeout and is removed',
      )
      this.#remove(member, `the session of member ${member.memberId} is over`)
    }
    if (this.#joinDeadline <= now) this.#endJoining()
    if (this.#syncDeadline <= now) this.#expireSyncs()
    this.#deadline = this.#earliest(now)
  }

  #expireSyncs(): void {
    this.#syncDeadline = NEVER
    for (const memberId of this.#pendingSync) this.#members.remove(memberId)
    this.#prepareRebalance('members have not synced in time')
  }

  #earliest(now: number): number {
    const earliest = Math.min(this.#joinDeadline, this.#syncDeadline, this.#pending.earliest)
    return Math.min(earliest, this.#members.earliestDeadline(now))
  }

  // Offsets.

  isSubscribedTo(topic: string): boolean {
    return this.#state.isSubscribedTo(topic)
  }

  get offsetsExpireFrom(): number | 'commit' | 'never' {
    return this.#state.offsetsExpireFrom
  }

  validateCommit(memberId: string, instanceId: string | null, generation: number): null {
    if (generation < 0 && this.#state.name === 'Empty') return null
    this.#state.throwIfNotCommitter(memberId, instanceId, generation)
    // Who commits is alive.
    this.#expect(this.#members.get(memberId)!)
    return null
  }

  validateFetch(): void {
    // Anybody may read the offsets of a classic group.
  }

  // The log.

  #become(name: StateName): void {
    this.#state.become(name, this.#context.wallClock())
  }

  #write(): void {
    this.#context.write([this.#state.record(this.#context.groupId)])
  }

  /** Takes over what the log says; `loaded` follows when all of the log is read. */
  replay(value: NonNullable<RecordOf<'groupMetadata'>['value']>): void {
    this.#state.replay(value)
  }

  /** The log is read: from now on the members must be heard of. */
  loaded(): void {
    for (const member of this.#members.all) this.#expect(member)
    if (this.#state.mustRebalance)
      this.#prepareRebalance('the group has left the consumer protocol')
  }

  /** A group that only holds offsets has no record of its own. */
  snapshot(): GroupRecord[] {
    const isSimple = this.protocolType === '' && this.#state.generation === 0
    if (isSimple || this.#state.name === 'Dead') return []
    const { groupId } = this.#context
    return [this.#state.snapshot(groupId, record => this.#context.fits(record))]
  }

  tombstones(): GroupRecord[] {
    return [{ kind: 'groupMetadata', key: { group: this.#context.groupId }, value: null }]
  }

  /** As it moves to the consumer protocol. */
  export(): ClassicGroupState {
    return this.#state.export()
  }

  close(errorCode: number): void {
    this.#become('Dead')
    this.#deadline = NEVER
    for (const member of this.#members.all) member.dismiss(errorCode)
  }
}
