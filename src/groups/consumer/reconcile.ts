/**
 * How the assignment of one member moves towards its target (KIP-848): what it has to give up comes first; a partition is
 * given to it only when nobody else has it any more.
 */
import {
  NO_PARTITIONS,
  type Partitions,
  samePartitions,
  type Target,
  type TopicPartitions,
} from './assignment.ts'

/** As the log has them. */
export const MemberState = {
  /** It has what the target of its epoch says. */
  STABLE: 0,
  /** It has to give up partitions before it can go on to the next epoch. */
  UNREVOKED: 1,
  /** It is in the newest epoch, and waits for partitions that others have not given up yet. */
  UNRELEASED: 2,
  /** Written by a newer broker. */
  UNKNOWN: 127,
} as const
export type MemberState = (typeof MemberState)[keyof typeof MemberState]

/** Where a member stands. */
export interface Standing {
  readonly epoch: number
  /** Of a member whose last answer was lost, the epoch that it still believes in. */
  readonly previousEpoch: number
  readonly state: MemberState
  readonly assigned: Partitions
  /** What it has been told to give up, and has not reported as given up. */
  readonly revoking: Partitions
}

/** Where a member is to get to. */
export interface Goal {
  readonly epoch: number
  readonly target: Target
  /** What the member reports to own; null if it does not say. */
  readonly owned: readonly TopicPartitions[] | null
  /** Its subscription has changed with this very request. */
  readonly hasNewSubscription: boolean
  isSubscribed(topicId: string): boolean
  /** Whether no other member has this partition. */
  isFree(topicId: string, partition: number): boolean
}

/** @returns the very same standing if nothing changes */
export function reconcile(standing: Standing, goal: Goal): Standing {
  const { state, revoking } = standing
  const mayAdvance =
    state === MemberState.STABLE
      ? standing.epoch !== goal.epoch
      : state !== MemberState.UNREVOKED || !holdsAny(goal.owned, revoking)
  if (mayAdvance) return advance(standing, goal)
  return goal.hasNewSubscription ? dropUnsubscribed(standing, goal) : standing
}

/** Whether the member may still hold some of these; it may if it does not say what it holds. */
function holdsAny(owned: Goal['owned'], partitions: Partitions): boolean {
  if (owned === null) return true
  return owned.some(topic => {
    const epochs = partitions.get(topic.topicId)
    return epochs !== undefined && topic.partitions.some(partition => epochs.has(partition))
  })
}

function advance(standing: Standing, goal: Goal): Standing {
  const assigned = new Map<string, Map<number, number>>()
  const revoking = new Map<string, Map<number, number>>()
  for (const [topicId, epochs] of standing.assigned) {
    const wanted = goal.isSubscribed(topicId) ? goal.target.get(topicId) : undefined
    const isWanted = new Set(wanted)
    for (const [partition, epoch] of epochs) {
      put(isWanted.has(partition) ? assigned : revoking, topicId, partition, epoch)
    }
  }
  if (revoking.size > 0 && holdsAny(goal.owned, revoking)) {
    const state = MemberState.UNREVOKED
    return changed(standing, { epoch: standing.epoch, state, assigned, revoking })
  }
  let isWaiting = false
  for (const [topicId, partitions] of goal.target) {
    if (!goal.isSubscribed(topicId)) continue
    for (const partition of partitions) {
      if (assigned.get(topicId)?.has(partition)) continue
      if (goal.isFree(topicId, partition)) put(assigned, topicId, partition, goal.epoch)
      else isWaiting = true
    }
  }
  const state = isWaiting ? MemberState.UNRELEASED : MemberState.STABLE
  return changed(standing, { epoch: goal.epoch, state, assigned, revoking: NO_PARTITIONS })
}

/** It must not consume what it has just unsubscribed from, whether or not there is a new target yet. */
function dropUnsubscribed(standing: Standing, goal: Goal): Standing {
  const assigned = new Map(standing.assigned)
  const revoking = new Map(standing.revoking)
  for (const [topicId, epochs] of standing.assigned) {
    if (goal.isSubscribed(topicId)) continue
    assigned.delete(topicId)
    revoking.set(topicId, new Map([...(revoking.get(topicId) ?? []), ...epochs]))
  }
  if (assigned.size === standing.assigned.size) return standing
  if (!holdsAny(goal.owned, revoking)) return { ...standing, assigned }
  return { ...standing, state: MemberState.UNREVOKED, assigned, revoking }
}

function put(
  partitions: Map<string, Map<number, number>>,
  topicId: string,
  partition: number,
  epoch: number,
): void {
  const epochs = partitions.get(topicId)
  if (epochs === undefined) partitions.set(topicId, new Map([[partition, epoch]]))
  else epochs.set(partition, epoch)
}

function changed(standing: Standing, next: Omit<Standing, 'previousEpoch'>): Standing {
  const isSame =
    next.epoch === standing.epoch &&
    next.state === standing.state &&
    samePartitions(next.assigned, standing.assigned) &&
    samePartitions(next.revoking, standing.revoking)
  if (isSame) return standing
  const previousEpoch = next.epoch === standing.epoch ? standing.previousEpoch : standing.epoch
  return { ...next, previousEpoch }
}
