import type { RecordOf } from '../records.ts'
import { NO_PARTITIONS, partitionsOf } from './assignment.ts'
import { MemberState, type Standing } from './reconcile.ts'
import type { Subscription } from './subscriptions.ts'

/** What a member says of itself, just as the log has it. Replaced as a whole, never changed. */
export type MemberInfo = NonNullable<RecordOf<'member'>['value']>
type StoredStanding = NonNullable<RecordOf<'currentMember'>['value']>

export const NEVER = Number.POSITIVE_INFINITY

/** The epoch of a static member that has left for a while (KIP-345). */
export const LEFT_FOR_A_WHILE = -2

/** Of a member that nothing is known of yet. */
export const UNKNOWN_MEMBER: MemberInfo = {
  instanceId: null,
  rackId: null,
  clientId: '',
  clientHost: '',
  subscribedTopicNames: [],
  subscribedTopicRegex: '',
  rebalanceTimeoutMs: -1,
  serverAssignor: null,
  classicMemberMetadata: null,
}

export const NEW_MEMBER: Standing = {
  epoch: 0,
  previousEpoch: -1,
  state: MemberState.STABLE,
  assigned: NO_PARTITIONS,
  revoking: NO_PARTITIONS,
}

/** One member of either protocol. */
export class Member {
  readonly memberId: string
  info: MemberInfo = UNKNOWN_MEMBER
  /** That of `info`. */
  subscription: Subscription | null = null
  standing: Standing = NEW_MEMBER

  // Broker time in ms by which something must have happened; not in the log.
  /** It has been heard of. */
  sessionDeadline = NEVER
  /** It has given up what it is told to. */
  rebalanceDeadline = NEVER
  /** One of the classic protocol has joined again. */
  joinDeadline = NEVER
  /** One of the classic protocol has synced. */
  syncDeadline = NEVER

  constructor(memberId: string) {
    this.memberId = memberId
  }

  get usesClassicProtocol(): boolean {
    return this.info.classicMemberMetadata !== null
  }

  get deadline(): number {
    const classic = Math.min(this.joinDeadline, this.syncDeadline)
    return Math.min(this.sessionDeadline, this.rebalanceDeadline, classic)
  }

  isReconciled(targetEpoch: number): boolean {
    return this.standing.state === MemberState.STABLE && this.standing.epoch === targetEpoch
  }
}

/** @param stored null: its assignment is removed, which comes before the member itself is */
export function standingOf(stored: StoredStanding | null): Standing {
  if (stored === null) return { ...NEW_MEMBER, epoch: -1 }
  const { memberEpoch, previousMemberEpoch, state } = stored
  const isKnown = state >= MemberState.STABLE && state <= MemberState.UNRELEASED
  return {
    epoch: memberEpoch,
    previousEpoch: previousMemberEpoch,
    state: isKnown ? (state as MemberState) : MemberState.UNKNOWN,
    assigned: partitionsOf(stored.assignedPartitions, memberEpoch),
    revoking: partitionsOf(stored.partitionsPendingRevocation, memberEpoch),
  }
}
