import type { GroupRecord, RecordOf } from '../records.ts'
import {
  NO_TARGET,
  type Partitions,
  storedPartitions,
  storedTarget,
  type Target,
  targetOf,
} from './assignment.ts'
import { infoBytes, partitionsBytes, patternBytes } from './held-bytes.ts'
import { LEFT_FOR_A_WHILE, Member, type MemberInfo, standingOf } from './member.ts'
import type { Standing } from './reconcile.ts'
import { type ResolvedPattern, Subscriptions } from './subscriptions.ts'

/** The records that make up a group of the consumer protocol. */
export type ConsumerRecord = Extract<GroupRecord, { key: { groupId: string } }>

/** Of a group that is new, as in Kafka: its first epoch can be told from "no epoch". */
const FIRST_EPOCH = 1

/**
 * All of a group that is in the log, and what follows from it. It changes by `apply` only, whether a record is being
 * written or read back: what is in memory is what a restart finds.
 */
export class Store {
  readonly groupId: string
  epoch = FIRST_EPOCH
  metadataHash = 0
  /** The epoch that the targets are for. */
  targetEpoch = FIRST_EPOCH
  targetTimestamp = 0
  readonly members = new Map<string, Member>()
  readonly targets = new Map<string, Target>()
  readonly subscriptions = new Subscriptions()
  /** Topic id -> partition -> the member that has it, or has not given it up yet. */
  readonly #owners = new Map<string, Map<number, string>>()
  /** Member id by instance id. */
  readonly #static = new Map<string, string>()
  readonly #assignors = new Map<string, number>()
  /** Members of the classic protocol. */
  classicMembers = 0
  /** What members, their assignments and patterns take in memory. */
  heldBytes = 0

  constructor(groupId: string) {
    this.groupId = groupId
  }

  staticMember(instanceId: string): Member | undefined {
    const memberId = this.#static.get(instanceId)
    return memberId === undefined ? undefined : this.members.get(memberId)
  }

  targetFor(memberId: string): Target {
    return this.targets.get(memberId) ?? NO_TARGET
  }

  ownerOf(topicId: string, partition: number): string | undefined {
    return this.#owners.get(topicId)?.get(partition)
  }

  /** The assignor that most members ask for; without any wish, or where it ties, the one that comes first. */
  preferredAssignor(offered: readonly string[]): string {
    let best = offered[0]!
    for (const name of offered) {
      if ((this.#assignors.get(name) ?? 0) > (this.#assignors.get(best) ?? 0)) best = name
    }
    return best
  }

  // Changes.

  apply(record: ConsumerRecord): void {
    switch (record.kind) {
      case 'groupEpoch':
        this.epoch = record.value?.epoch ?? FIRST_EPOCH
        this.metadataHash = record.value?.metadataHash ?? 0
        break
      case 'targetEpoch':
        this.targetEpoch = record.value?.assignmentEpoch ?? FIRST_EPOCH
        this.targetTimestamp = record.value?.assignmentTimestamp ?? 0
        break
      case 'member':
        this.#applyMember(record.key.memberId, record.value)
        break
      case 'currentMember':
        this.#applyStanding(record.key.memberId, record.value)
        break
      case 'targetMember':
        this.#applyTarget(record.key.memberId, record.value)
        break
      case 'regularExpression':
        this.#applyPattern(record.key.regularExpression, record.value)
        break
    }
  }

  #applyTarget(memberId: string, value: RecordOf<'targetMember'>['value']): void {
    this.heldBytes -= partitionsBytes(this.targetFor(memberId))
    if (value === null) this.targets.delete(memberId)
    else this.targets.set(memberId, targetOf(value.topicPartitions))
    this.heldBytes += partitionsBytes(this.targetFor(memberId))
  }

  #applyMember(memberId: string, info: MemberInfo | null): void {
    if (info === null) {
      this.#applyStanding(memberId, null)
      this.#forget(memberId)
      return
    }
    const member = this.#memberFor(memberId)
    this.#uncount(member)
    member.info = info
    member.subscription = this.subscriptions.add(info)
    this.heldBytes += infoBytes(info)
    if (info.instanceId !== null) this.#static.set(info.instanceId, memberId)
    if (member.usesClassicProtocol) this.classicMembers++
    if (info.serverAssignor !== null) change(this.#assignors, info.serverAssignor, 1)
  }

  #forget(memberId: string): void {
    const member = this.members.get(memberId)
    if (member === undefined) return
    this.#uncount(member)
    this.members.delete(memberId)
  }

  #uncount(member: Member): void {
    const { info } = member
    if (member.subscription === null) return
    this.subscriptions.remove(info)
    member.subscription = null
    this.heldBytes -= infoBytes(info)
    const { instanceId } = info
    if (instanceId !== null && this.#static.get(instanceId) === member.memberId) {
      this.#static.delete(instanceId)
    }
    if (member.usesClassicProtocol) this.classicMembers--
    if (info.serverAssignor !== null) change(this.#assignors, info.serverAssignor, -1)
  }

  #applyStanding(memberId: string, stored: RecordOf<'currentMember'>['value']): void {
    const known = this.members.get(memberId)
    if (known === undefined && stored === null) return
    const member = known ?? this.#memberFor(memberId)
    this.#disown(memberId, member.standing.assigned)
    this.#disown(memberId, member.standing.revoking)
    member.standing = standingOf(stored)
    this.#own(memberId, member.standing.assigned)
    this.#own(memberId, member.standing.revoking)
  }

  #memberFor(memberId: string): Member {
    const member = this.members.get(memberId) ?? new Member(memberId)
    this.members.set(memberId, member)
    return member
  }

  #own(memberId: string, partitions: Partitions): void {
    this.heldBytes += partitionsBytes(partitions)
    for (const [topicId, epochs] of partitions) {
      const owners = this.#owners.get(topicId) ?? new Map<number, string>()
      this.#owners.set(topicId, owners)
      for (const partition of epochs.keys()) owners.set(partition, memberId)
    }
  }

  #disown(memberId: string, partitions: Partitions): void {
    this.heldBytes -= partitionsBytes(partitions)
    for (const [topicId, epochs] of partitions) {
      const owners = this.#owners.get(topicId)
      if (owners === undefined) continue
      for (const partition of epochs.keys()) {
        if (owners.get(partition) === memberId) owners.delete(partition)
      }
      if (owners.size === 0) this.#owners.delete(topicId)
    }
  }

  #applyPattern(pattern: string, value: RecordOf<'regularExpression'>['value']): void {
    const { patterns } = this.subscriptions
    const known = patterns.get(pattern)
    if (known !== undefined) this.heldBytes -= patternBytes(pattern, known)
    if (value === null) {
      patterns.delete(pattern)
      return
    }
    const { version, timestamp } = value
    const resolved: ResolvedPattern = { topics: new Set(value.topics), version, timestamp }
    patterns.set(pattern, resolved)
    this.heldBytes += patternBytes(pattern, resolved)
  }

  // Records.

  record<K extends ConsumerRecord['kind']>(
    kind: K,
    key: Omit<RecordOf<K>['key'], 'groupId'>,
    value: RecordOf<K>['value'],
  ): ConsumerRecord {
    return { kind, key: { groupId: this.groupId, ...key }, value } as unknown as ConsumerRecord
  }

  memberRecord(memberId: string, info: MemberInfo): ConsumerRecord {
    return this.record('member', { memberId }, info)
  }

  targetRecord(memberId: string, target: Target): ConsumerRecord {
    return this.record('targetMember', { memberId }, { topicPartitions: storedTarget(target) })
  }

  standingRecord(memberId: string, standing: Standing): ConsumerRecord {
    return this.record(
      'currentMember',
      { memberId },
      {
        memberEpoch: standing.epoch,
        previousMemberEpoch: standing.previousEpoch,
        state: standing.state,
        assignedPartitions: storedPartitions(standing.assigned),
        partitionsPendingRevocation: storedPartitions(standing.revoking),
      },
    )
  }

  epochRecord(epoch: number, metadataHash: number): ConsumerRecord {
    return this.record('groupEpoch', {}, { epoch, metadataHash })
  }

  targetEpochRecord(assignmentEpoch: number, assignmentTimestamp: number): ConsumerRecord {
    return this.record('targetEpoch', {}, { assignmentEpoch, assignmentTimestamp })
  }

  patternRecord(regularExpression: string, resolved: ResolvedPattern): ConsumerRecord {
    const { topics, version, timestamp } = resolved
    return this.record(
      'regularExpression',
      { regularExpression },
      { topics: [...topics].sort(), version, timestamp },
    )
  }

  /** In the order in which Kafka's own replay wants them. */
  memberTombstones(memberId: string): ConsumerRecord[] {
    const kinds = ['currentMember', 'targetMember', 'member'] as const
    return kinds.map(kind => this.record(kind, { memberId }, null))
  }

  tombstones(): ConsumerRecord[] {
    const memberIds = [...new Set([...this.members.keys(), ...this.targets.keys()])]
    const of = (kind: 'currentMember' | 'targetMember' | 'member'): ConsumerRecord[] =>
      memberIds.map(memberId => this.record(kind, { memberId }, null))
    const patterns = [...this.subscriptions.patterns.keys()]
    return [
      ...of('currentMember'),
      ...of('targetMember'),
      this.record('targetEpoch', {}, null),
      ...of('member'),
      ...patterns.map(p => this.record('regularExpression', { regularExpression: p }, null)),
      this.record('groupEpoch', {}, null),
    ]
  }

  /** A member that has nothing to its name yet has no record of that, as in the log. */
  snapshot(): ConsumerRecord[] {
    const members = [...this.members.values()]
    const patterns = [...this.subscriptions.patterns]
    return [
      ...members.map(member => this.memberRecord(member.memberId, member.info)),
      ...patterns.map(([pattern, resolved]) => this.patternRecord(pattern, resolved)),
      this.epochRecord(this.epoch, this.metadataHash),
      ...[...this.targets].map(([memberId, target]) => this.targetRecord(memberId, target)),
      this.targetEpochRecord(this.targetEpoch, this.targetTimestamp),
      ...members.map(member => this.standingRecord(member.memberId, member.standing)),
    ]
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

/** A static member that has left for a while keeps its partitions until its session ends, or it is back. */
export function leftForAWhile(standing: Standing): Standing {
  const assigned = new Map(
    [...standing.assigned].map(([topicId, epochs]) => [
      topicId,
      new Map([...epochs.keys()].map((partition): [number, number] => [partition, 0])),
    ]),
  )
  return { ...standing, epoch: LEFT_FOR_A_WHILE, assigned, revoking: new Map() }
}
