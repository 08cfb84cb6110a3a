import type { ClusterImage } from '../cluster/image.ts'
import { type NodeRecord, nodeKey, type Registration } from '../cluster/registration.ts'
import { isEligible, type Proposal } from '../replication/next-state.ts'
import { NO_LEADER, PARTITION_PREFIX, type PartitionState } from '../replication/partition-state.ts'

/** The registration's folder is not the one that earlier lives of the broker had. */
export function isNewDisk(image: ClusterImage, { id, start }: Registration): boolean {
  const node = image.entry(nodeKey(id))?.value as unknown as NodeRecord | undefined
  return start === 'new' || node?.state === 'new'
}

/** Why the log that the record counts on in this broker may not be what it was. */
function lossOf(
  image: ClusterImage,
  key: string,
  state: PartitionState,
  id: number,
): 'disk' | 'damage' | 'tail' | null {
  const registration = image.broker(id)
  if (registration === null) return null
  const isFenced = image.unfenced(id) === 0
  if (isFenced && isNewDisk(image, registration)) return 'disk'
  if (registration.failed.has(key.slice(PARTITION_PREFIX.length))) return 'damage'
  return isFenced && registration.start === 'recovered' && !state.durable ? 'tail' : null
}

/**
 * Whose logs the record must not count on any more. Another disk has nothing; but of what is damaged, or may have lost its
 * end, the best that there is stays if nothing else does: an operator has to decide about that.
 */
function lostOf(image: ClusterImage, key: string, state: PartitionState): number[] {
  const counted = [...state.isr, ...state.elr]
  const losses = counted.map(id => lossOf(image, key, state, id))
  const lost = counted.filter((_, i) => losses[i] !== null)
  if (lost.length < counted.length) return lost
  const keeps = (loss: 'damage' | 'tail'): number => {
    const ids = counted.filter((_, i) => losses[i] === loss)
    return ids.find(id => id === state.leader) ?? ids[0] ?? NO_LEADER
  }
  const last = keeps('tail') === NO_LEADER ? keeps('damage') : keeps('tail')
  return lost.filter(id => id !== last)
}

/** The record was written for an earlier life of this broker: its place is kept, its leadership is not. */
function isLedByAnother(image: ClusterImage, { leader, by }: PartitionState, id: number): boolean {
  return leader === id && image.broker(id)?.incarnation !== by
}

/** Whether this has to be put right before the broker may be unfenced. */
export function isInTheWay(image: ClusterImage, key: string, id: number): boolean {
  const state = image.partitionAt(key)!
  if (isLedByAnother(image, state, id)) return true
  return lostOf(image, key, state).includes(id)
}

/** Whether the partition can do without this broker. */
function canLeave(image: ClusterImage, key: string, state: PartitionState, id: number): boolean {
  const view = image.view(key)
  return state.isr.some(other => other !== id && isEligible(other, view))
}

/** Who could lead instead of a leader whose disk has no room; null: it has some, or nobody else has. */
function withRoom(
  image: ClusterImage,
  key: string,
  { leader, isr }: PartitionState,
): number | null {
  const view = image.view(key)
  if (leader === NO_LEADER || !view.full(leader)) return null
  return isr.find(id => isEligible(id, view) && !view.full(id)) ?? null
}

/** What a look at a record goes by besides the image. */
export interface Outlook {
  /** Not registered, and not about to come back. */
  readonly isGone: (id: number) => boolean
  /** unclean.leader.election.enable of its topic. */
  readonly mayBeUnclean: () => boolean
}

/** What the brokers that are there now make necessary in a record; null: nothing. */
export function needOf(
  image: ClusterImage,
  key: string,
  { isGone, mayBeUnclean }: Outlook,
): Proposal | null {
  const state = image.partitionAt(key)
  if (state === null) return null
  const failed = state.isr.filter(
    id =>
      (image.broker(id) === null && isGone(id)) ||
      (image.broker(id)?.draining === true && canLeave(image, key, state, id)),
  )
  const lost = lostOf(image, key, state)
  const { leader } = state
  const isLeaderless =
    leader === NO_LEADER || (image.broker(leader) !== null && isLedByAnother(image, state, leader))
  if (failed.length === 0 && lost.length === 0 && !isLeaderless) {
    const other = withRoom(image, key, state)
    return other === null ? null : { leader: other }
  }
  // One of them that is back, but fenced yet or damaged, has what others have not.
  const isHopeless = (): boolean =>
    [...state.isr, ...state.elr].every(id => image.broker(id) === null && isGone(id))
  return {
    ...(failed.length > 0 && { failed }),
    ...(lost.length > 0 && { lost }),
    ...(isLeaderless && { leader: mayBeUnclean() && isHopeless() ? 'unclean' : 'elect' }),
  }
}
