import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { GroupContext } from '../group.ts'
import type { TopicPartitions } from './assignment.ts'
import { type AssignedMember, type AssignedTopic, assignors } from './assignors/index.ts'
import { infoBytes } from './held-bytes.ts'
import { type Member, type MemberInfo, NEVER, UNKNOWN_MEMBER } from './member.ts'
import { PatternRefresh } from './pattern-refresh.ts'
import { MemberState, reconcile } from './reconcile.ts'
import { type ConsumerRecord, Store } from './store.ts'
import { metadataHash, type Subscription } from './subscriptions.ts'

/** Topics summed over members that subscribe to different ones: from here on, targets take tens of ms and are paced. */
const PACED_FROM = 100_000
/** ms between two targets of such a group, as Kafka leaves between those of any. */
const PACE_MS = 1_000

/**
 * The steps that a request of either protocol is made of. Each changes the state at once through records; `flush` writes
 * them, so that one request is one write. What can refuse a request comes before the first step.
 */
export class Core {
  readonly context: GroupContext
  readonly store: Store
  readonly patterns: PatternRefresh
  /** Broker time in ms at which `onTime` is due, or earlier: heartbeats put it off without a look at it. */
  deadline = NEVER
  /** The group is to go on as a classic one: whether that one has to rebalance at once. */
  downgrade: { readonly needsRebalance: boolean } | null = null
  /** Revision of the topics that the epoch is known to be right for. */
  #revision = -1
  #nextTargetAt = 0
  #records: ConsumerRecord[] = []
  /** Epochs go first: if only the front of what is written survives, there is a rebalance too many, not one too few. */
  #epochs: ConsumerRecord[] = []

  constructor(context: GroupContext) {
    this.context = context
    this.store = new Store(context.groupId)
    this.patterns = new PatternRefresh(context, this.store.subscriptions)
  }

  put(record: ConsumerRecord): void {
    this.store.apply(record)
    this.#records.push(record)
  }

  /** What has changed and is not written yet. */
  take(): ConsumerRecord[] {
    const records = [...this.#epochs, ...this.#records]
    this.#records = []
    this.#epochs = []
    return records
  }

  flush(): void {
    // The records of a downgrade go out together.
    if (this.downgrade !== null || this.#records.length + this.#epochs.length === 0) return
    this.context.write(this.take())
  }

  // Membership.

  /** @throws BrokerError GROUP_MAX_SIZE_REACHED */
  checkSize(memberId: string): void {
    const { members } = this.store
    const { consumerSizeMax } = this.context.settings
    if (members.size < consumerSizeMax || members.has(memberId)) return
    const message = `The group has its maximum of ${consumerSizeMax} members.`
    throw new BrokerError(ErrorCode.GROUP_MAX_SIZE_REACHED, message)
  }

  /**
   * @throws BrokerError UNKNOWN_SERVER_ERROR, as in Kafka where the log does not take what a member says of itself;
   * COORDINATOR_LOAD_IN_PROGRESS, on which clients come again, if there is no memory for it
   */
  checkFits(memberId: string, info: MemberInfo): void {
    const { members } = this.store
    const { instanceId } = info
    const known =
      members.get(memberId) ??
      (instanceId === null ? undefined : this.store.staticMember(instanceId))
    if (info === known?.info) return
    if (!this.context.fits(this.store.memberRecord(memberId, info))) {
      const message = 'What the member subscribes to is too large to be kept.'
      throw new BrokerError(ErrorCode.UNKNOWN_SERVER_ERROR, message)
    }
    const before = known === undefined ? 0 : infoBytes(known.info)
    if (this.context.hasRoomFor(infoBytes(info) - before)) return
    const message = 'The members of all groups take as much memory as they may.'
    throw new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, message)
  }

  /**
   * Takes over what a member says of itself; it may be new, or a static one in the place of another.
   * @returns whether it subscribes to something else than before
   */
  admit(memberId: string, replaced: Member | undefined, info: MemberInfo): boolean {
    const { store } = this
    const known = store.members.get(memberId)
    if (known?.info === info) return false
    const before = (replaced ?? known)?.info ?? UNKNOWN_MEMBER
    if (replaced === undefined) this.put(store.memberRecord(memberId, info))
    else this.#replace(replaced, memberId, info)
    const hasNewNames = !sameNames(before.subscribedTopicNames, info.subscribedTopicNames)
    const pattern = info.subscribedTopicRegex ?? ''
    const oldPattern = before.subscribedTopicRegex ?? ''
    const hasNewPattern = pattern !== oldPattern
    if (hasNewPattern) this.#dropUnused(oldPattern)
    // What a pattern stands for has to be found out first; then the epoch is bumped.
    const isResolved = pattern === '' || store.subscriptions.patterns.has(pattern)
    if (hasNewPattern && !isResolved) this.patterns.isNew(pattern)
    if (hasNewNames || (hasNewPattern && isResolved)) this.bumpEpoch()
    return hasNewNames || hasNewPattern
  }

  /** The new one takes over what the old one has and is to have. */
  #replace(old: Member, memberId: string, info: MemberInfo): void {
    const { store } = this
    const target = store.targetFor(old.memberId)
    const standing = { ...old.standing, epoch: 0, previousEpoch: 0 }
    for (const record of store.memberTombstones(old.memberId)) this.put(record)
    this.put(store.memberRecord(memberId, info))
    this.put(store.targetRecord(memberId, target))
    this.put(store.standingRecord(memberId, standing))
  }

  #dropUnused(pattern: string): void {
    const { subscriptions } = this.store
    if (subscriptions.subscribersOf(pattern) > 0) return
    this.patterns.isDone(pattern)
    if (!subscriptions.patterns.has(pattern)) return
    this.put(this.store.record('regularExpression', { regularExpression: pattern }, null))
  }

  /** Members that leave, or are not heard of any more. If only members of the classic protocol are left, a downgrade is due. */
  remove(members: readonly Member[]): void {
    if (members.length === 0) return
    for (const { memberId, info } of members) {
      for (const record of this.store.memberTombstones(memberId)) this.put(record)
      this.#dropUnused(info.subscribedTopicRegex ?? '')
    }
    this.downgrade = this.mayDowngrade() ? { needsRebalance: true } : null
    if (this.downgrade === null) this.bumpEpoch()
  }

  /** Whether only members of the classic protocol are left, apart from this one, and may be a classic group. */
  mayDowngrade(except?: Member): boolean {
    const { members, classicMembers } = this.store
    const { consumerMigrationPolicy: policy, sizeMax } = this.context.settings
    const others = members.size - (except === undefined ? 0 : 1)
    return (
      classicMembers === others &&
      members.size > 0 &&
      members.size <= sizeMax &&
      (policy === 'bidirectional' || policy === 'downgrade')
    )
  }

  // Epochs and assignments.

  bumpEpoch(): void {
    const record = this.store.epochRecord(this.store.epoch + 1, this.#metadataHash())
    this.store.apply(record)
    this.#epochs.push(record)
    this.#revision = this.context.topics.revision
    const { groupId, log } = this.context
    log.debug({ group: groupId, epoch: this.store.epoch }, 'the group has a new epoch')
  }

  #metadataHash(): number {
    const { topics } = this.context
    return metadataHash(this.store.subscriptions.allTopics(topics))
  }

  /** A topic of the group may have been made, deleted or grown. */
  noticeTopics(): void {
    const { revision } = this.context.topics
    if (revision === this.#revision) return
    this.#revision = revision
    if (this.#metadataHash() !== this.store.metadataHash) this.bumpEpoch()
  }

  updateTarget(): void {
    const { store, context } = this
    if (store.targetEpoch >= store.epoch || context.now() < this.#nextTargetAt) return
    const assignor = store.preferredAssignor(context.settings.consumerAssignors)
    const members = this.#assignedMembers()
    const targets = assignors.get(assignor)!(members)
    for (let i = 0; i < members.length; i++) {
      const { memberId, target } = members[i]!
      if (targets[i] === target && store.targets.has(memberId)) continue
      this.put(store.targetRecord(memberId, targets[i]!))
    }
    this.put(store.targetEpochRecord(store.epoch, context.wallClock()))
    const isMixed = members.some(({ topics }) => topics !== members[0]!.topics)
    const work = isMixed ? members.reduce((sum, { topics }) => sum + topics.length, 0) : 0
    if (work >= PACED_FROM) this.#nextTargetAt = context.now() + PACE_MS
  }

  #assignedMembers(): AssignedMember[] {
    const { subscriptions, members } = this.store
    const bySubscription = new Map<Subscription, readonly AssignedTopic[]>()
    const byTopics = new Map<string, readonly AssignedTopic[]>()
    const topicsOf = (subscription: Subscription): readonly AssignedTopic[] => {
      const known = bySubscription.get(subscription)
      if (known !== undefined) return known
      const found = subscriptions.topicsOf(subscription, this.context.topics)
      const key = found.map(topic => topic.id).join()
      const topics = byTopics.get(key) ?? found
      byTopics.set(key, topics)
      bySubscription.set(subscription, topics)
      return topics
    }
    return [...members.values()].map(({ memberId, info, subscription }) => ({
      memberId,
      instanceId: info.instanceId,
      topics: subscription === null ? [] : topicsOf(subscription),
      target: this.store.targetFor(memberId),
    }))
  }

  /** Moves a member on towards its target. @param owned what it reports to have; null if it does not say */
  reconcile(
    member: Member,
    owned: readonly TopicPartitions[] | null,
    hasNewSubscription: boolean,
  ): void {
    const { store, context } = this
    if (!hasNewSubscription && member.isReconciled(store.targetEpoch)) return
    const { memberId } = member
    const subscription = member.subscription!
    const standing = reconcile(member.standing, {
      epoch: store.targetEpoch,
      target: store.targetFor(memberId),
      owned,
      hasNewSubscription,
      isSubscribed: topicId => {
        const topic = context.topics.byId(topicId)
        return topic !== undefined && store.subscriptions.has(subscription, topic.name)
      },
      isFree: (topicId, partition) => {
        const owner = store.ownerOf(topicId, partition)
        return owner === undefined || owner === memberId
      },
    })
    if (standing === member.standing) return
    this.put(store.standingRecord(memberId, standing))
    // Members of the classic protocol have time-outs of their own, for joining and syncing.
    const isRevoking = standing.state === MemberState.UNREVOKED && !member.usesClassicProtocol
    member.rebalanceDeadline = isRevoking ? this.inTime(member.info.rebalanceTimeoutMs) : NEVER
  }

  // Time.

  /** @returns the broker time in so many ms, when `onTime` will look */
  inTime(ms: number): number {
    const at = this.context.now() + ms
    if (at < this.deadline) this.deadline = at
    return at
  }

  /** The member has been heard of. */
  touch(member: Member): void {
    const { settings } = this.context
    const classic = member.info.classicMemberMetadata
    const sessionMs =
      classic === null ? settings.consumerSessionTimeoutMs : classic.sessionTimeoutMs
    member.sessionDeadline = this.inTime(sessionMs)
  }

  onTime(now: number): void {
    const { groupId, log } = this.context
    const late = [...this.store.members.values()].filter(member => member.deadline <= now)
    for (const member of late) {
      log.info(
        { group: groupId, member: member.memberId },
        `a member is removed: ${why(member, now)}`,
      )
    }
    this.remove(late)
    this.deadline = NEVER
    for (const { deadline } of this.store.members.values()) {
      if (deadline < this.deadline) this.deadline = deadline
    }
    this.flush()
  }

  /** The log is read: from now on the members must be heard of. */
  loaded(): void {
    for (const member of this.store.members.values()) {
      this.touch(member)
      const { standing, info } = member
      const isRevoking = standing.state === MemberState.UNREVOKED && !member.usesClassicProtocol
      if (isRevoking) member.rebalanceDeadline = this.inTime(info.rebalanceTimeoutMs)
    }
  }
}

function why(member: Member, now: number): string {
  if (member.sessionDeadline <= now) return 'it has not been heard of within its session timeout'
  if (member.rebalanceDeadline <= now)
    return 'it has not given up partitions within its rebalance timeout'
  if (member.joinDeadline <= now) return 'it has not joined again within its rebalance timeout'
  return 'it has not synced within its rebalance timeout'
}

/** Both are sorted. */
function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, i) => name === b[i]))
}
