import { BrokerError } from '../../errors.ts'
import { parseSubscription, type Subscription } from '../../protocol/consumer-bytes.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type {
  ClientInfo,
  JoinRequest,
  JoinResponse,
  ProtocolMetadata,
  Reply,
  SyncRequest,
  SyncResponse,
} from '../group.ts'
import { CONSUMER_PROTOCOL_TYPE } from '../group.ts'
import type { Core } from './core.ts'
import { commonProtocol } from './downgrade.ts'
import { byTopicId, encodeAssignment } from './embedded-protocol.ts'
import { namesOf } from './heartbeat-request.ts'
import { type Member, type MemberInfo, NEVER, UNKNOWN_MEMBER } from './member.ts'
import { MemberState } from './reconcile.ts'

/** A member without an id is told to come again with one (KIP-394). */
const MEMBER_ID_REQUIRED_SINCE = 4

/**
 * The calls of the classic protocol, made to a group of the consumer protocol: how a group moves from one to the other
 * consumer by consumer. The broker assigns; nobody leads. A member's generation is its epoch. Each join takes it one step
 * of its reconciliation further, and heartbeats tell it when to join again.
 */
export class ClassicMembers {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** @throws BrokerError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
  member(memberId: string, instanceId: string | null): Member {
    const { members } = this.#core.store
    const member =
      instanceId === null ? members.get(memberId) : this.#core.store.staticMember(instanceId)
    if (member === undefined) {
      const who = instanceId === null ? `Member ${memberId}` : `Instance id ${instanceId}`
      throw new BrokerError(ErrorCode.UNKNOWN_MEMBER_ID, `${who} is not in the group.`)
    }
    if (member.memberId !== memberId) {
      const message = `Instance id ${instanceId} now belongs to member ${member.memberId}.`
      throw new BrokerError(ErrorCode.FENCED_INSTANCE_ID, message)
    }
    return member
  }

  join(request: JoinRequest, client: ClientInfo, reply: Reply<JoinResponse>): void {
    reply(answered(() => this.#join(request, client), { memberId: request.memberId }))
  }

  #join(request: JoinRequest, client: ClientInfo): JoinResponse {
    const core = this.#core
    const { groupInstanceId: instanceId, protocols } = request
    const isUnknown = request.memberId === ''
    const memberId = isUnknown ? core.context.newUuid() : request.memberId
    if (core.context.settings.consumerMigrationPolicy === 'disabled') {
      refuse('Groups may not move between the protocols.')
    }
    core.checkSize(memberId)
    if (!this.#supports(request)) refuse('The members do not have a protocol in common.')
    const subscription = parseSubscription(protocols[0]!.metadata)
    if (subscription === null) refuse('The subscription cannot be read.')
    if (isUnknown && instanceId === null && client.version >= MEMBER_ID_REQUIRED_SINCE) {
      return { errorCode: ErrorCode.MEMBER_ID_REQUIRED, memberId }
    }
    const known = this.#joining(memberId, instanceId, isUnknown)
    const replaced = known !== undefined && known.memberId !== memberId ? known : undefined
    const info = describedBy(known?.info ?? UNKNOWN_MEMBER, request, subscription, client)
    core.checkFits(memberId, info)
    // A static member, under its own id or a new one, may be the last that used the consumer protocol.
    const isLastConsumer =
      instanceId !== null &&
      known !== undefined &&
      !known.usesClassicProtocol &&
      core.mayDowngrade(known)

    const hasNewSubscription = core.admit(memberId, replaced, info)
    core.noticeTopics()
    const { store } = core
    const needsRebalance = isLastConsumer && store.targetEpoch < store.epoch
    if (!needsRebalance) core.updateTarget()
    const member = store.members.get(memberId)!
    const owned = [...byTopicId(subscription.ownedPartitions, core.context.topics)].map(
      ([topicId, partitions]) => ({ topicId, partitions }),
    )
    if (!needsRebalance) core.reconcile(member, owned, hasNewSubscription)
    member.rebalanceDeadline = NEVER
    member.joinDeadline = NEVER
    core.touch(member)
    member.syncDeadline = core.inTime(request.rebalanceTimeoutMs)
    let protocolName = protocols[0]!.name
    if (isLastConsumer) {
      protocolName = commonProtocol(store)
      const isOnTheWay = (one: Member): boolean => {
        const chosen = one.info.classicMemberMetadata!.supportedProtocols[0]!.name
        const mayNotSync = one !== member && one.syncDeadline !== NEVER && chosen !== protocolName
        return mayNotSync || !one.isReconciled(store.targetEpoch)
      }
      // In a stable classic group nobody would tell those who are on their way.
      const isAnyOnTheWay = [...store.members.values()].some(isOnTheWay)
      core.downgrade = { needsRebalance: needsRebalance || isAnyOnTheWay }
    }
    core.flush()
    return {
      errorCode: ErrorCode.NONE,
      memberId,
      generationId: member.standing.epoch,
      protocolType: CONSUMER_PROTOCOL_TYPE,
      protocolName,
      leader: '',
      skipAssignment: false,
      members: [],
    }
  }

  /** Whether all members of the classic protocol have one of these protocols too. */
  #supports({ protocolType, protocols }: JoinRequest): boolean {
    if (protocolType !== CONSUMER_PROTOCOL_TYPE) return false
    const classic = [...this.#core.store.members.values()].filter(m => m.usesClassicProtocol)
    return protocols.some(({ name }) =>
      classic.every(({ info }) =>
        info.classicMemberMetadata!.supportedProtocols.some(own => own.name === name),
      ),
    )
  }

  /** @returns the member that joins again, or the static one whose place it takes; undefined if it is new */
  #joining(memberId: string, instanceId: string | null, isUnknown: boolean): Member | undefined {
    const { store } = this.#core
    if (instanceId === null) return store.members.get(memberId)
    return isUnknown ? store.staticMember(instanceId) : this.member(memberId, instanceId)
  }

  sync(request: SyncRequest, reply: Reply<SyncResponse>): void {
    reply(answered(() => this.#sync(request), {}))
  }

  #sync(request: SyncRequest): SyncResponse {
    const core = this.#core
    const { protocolType, protocolName } = request
    const member = this.#classicMember(request.memberId, request.groupInstanceId)
    const { supportedProtocols } = member.info.classicMemberMetadata!
    if (request.generationId !== member.standing.epoch)
      return { errorCode: ErrorCode.ILLEGAL_GENERATION }
    // Any of its own: who joined a classic group that has been upgraded since says what that group had chosen.
    const protocol =
      protocolName === null
        ? supportedProtocols[0]
        : supportedProtocols.find(({ name }) => name === protocolName)
    const isOther = protocolType !== null && protocolType !== CONSUMER_PROTOCOL_TYPE
    if (isOther || protocol === undefined) {
      return { errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL }
    }
    // One that still has to give up partitions does so first; then it will be told to join again.
    const { state, epoch, assigned } = member.standing
    if (epoch < core.store.targetEpoch && state !== MemberState.UNREVOKED) {
      this.#expectJoin(member)
      return { errorCode: ErrorCode.REBALANCE_IN_PROGRESS }
    }
    member.syncDeadline = NEVER
    core.touch(member)
    const partitions = [...assigned].map(
      ([topicId, epochs]) => [topicId, [...epochs.keys()]] as const,
    )
    const assignment = encodeAssignment(partitions, protocol.metadata, core.context.topics)
    return { errorCode: ErrorCode.NONE, protocolType, protocolName, assignment }
  }

  heartbeat(memberId: string, instanceId: string | null, generationId: number): ErrorCode {
    return answered(() => this.#heartbeat(memberId, instanceId, generationId), {}).errorCode
  }

  #heartbeat(
    memberId: string,
    instanceId: string | null,
    generationId: number,
  ): { errorCode: ErrorCode } {
    const core = this.#core
    const member = this.#classicMember(memberId, instanceId)
    if (generationId !== member.standing.epoch) return { errorCode: ErrorCode.ILLEGAL_GENERATION }
    core.touch(member)
    core.noticeTopics()
    core.updateTarget()
    core.flush()
    if (!this.#mustJoin(member)) return { errorCode: ErrorCode.NONE }
    this.#expectJoin(member)
    return { errorCode: ErrorCode.REBALANCE_IN_PROGRESS }
  }

  /** Whether joining again would take it further. */
  #mustJoin(member: Member): boolean {
    const { store } = this.#core
    const { state, epoch, assigned } = member.standing
    if (epoch < store.targetEpoch || state === MemberState.UNREVOKED) return true
    if (state !== MemberState.UNRELEASED) return false
    for (const [topicId, partitions] of store.targetFor(member.memberId)) {
      const epochs = assigned.get(topicId)
      const isHeld = (p: number): boolean =>
        !epochs?.has(p) && store.ownerOf(topicId, p) !== undefined
      if (partitions.some(isHeld)) return false
    }
    return true
  }

  #expectJoin(member: Member): void {
    if (member.joinDeadline !== NEVER) return
    member.joinDeadline = this.#core.inTime(member.info.rebalanceTimeoutMs)
  }

  /** Also for an operator who removes a static member without knowing its member id, and for members of the consumer protocol. */
  leave(memberId: string, instanceId: string | null, reason: string | null): ErrorCode {
    const core = this.#core
    return answered(() => {
      const holder = instanceId === null ? undefined : core.store.staticMember(instanceId)
      const member = this.member(memberId === '' ? (holder?.memberId ?? '') : memberId, instanceId)
      const { groupId, log } = core.context
      log.debug({ group: groupId, member: member.memberId, reason }, 'a member leaves')
      core.remove([member])
      core.flush()
      return { errorCode: ErrorCode.NONE }
    }, {}).errorCode
  }

  #classicMember(memberId: string, instanceId: string | null): Member {
    const member = this.member(memberId, instanceId)
    if (member.usesClassicProtocol) return member
    const message = `Member ${memberId} does not use the classic protocol.`
    throw new BrokerError(ErrorCode.UNKNOWN_MEMBER_ID, message)
  }
}

function refuse(message: string): never {
  throw new BrokerError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, message)
}

function answered<R extends { readonly errorCode: number }, F>(
  run: () => R,
  otherwise: F,
): R | (F & { errorCode: ErrorCode }) {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { ...otherwise, errorCode: error.errorCode }
  }
}

/** What a member says of itself when it joins. @returns the very same info if that is nothing new */
function describedBy(
  info: MemberInfo,
  request: JoinRequest,
  subscription: Subscription,
  client: ClientInfo,
): MemberInfo {
  const classic = info.classicMemberMetadata
  const rackId = subscription.rackId === '' ? null : subscription.rackId
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = request
  const isSame = classic !== null && sameProtocols(classic.supportedProtocols, protocols)
  const next: MemberInfo = {
    instanceId: request.groupInstanceId ?? info.instanceId,
    rackId: rackId ?? info.rackId,
    clientId: client.clientId,
    clientHost: client.clientHost,
    subscribedTopicNames: namesOf(subscription.topics, info.subscribedTopicNames),
    // Consumers of the classic protocol match patterns themselves.
    subscribedTopicRegex: '',
    rebalanceTimeoutMs,
    serverAssignor: info.serverAssignor,
    classicMemberMetadata: {
      sessionTimeoutMs,
      supportedProtocols: isSame ? classic.supportedProtocols : protocols.map(p => ({ ...p })),
    },
  }
  const { classicMemberMetadata: _, ...rest } = next
  const isUnchanged =
    isSame &&
    classic.sessionTimeoutMs === sessionTimeoutMs &&
    Object.entries(rest).every(([key, value]) => info[key as keyof MemberInfo] === value)
  return isUnchanged ? info : next
}

function sameProtocols(a: readonly ProtocolMetadata[], b: readonly ProtocolMetadata[]): boolean {
  return (
    a.length === b.length &&
    a.every((own, i) => own.name === b[i]!.name && own.metadata.equals(b[i]!.metadata))
  )
}
