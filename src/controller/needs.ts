import type { ClusterImage } from '../cluster/image.ts'
import { type NodeRecord, nodeKey, type Registration } from '../cluster/registration.ts'
import type { Proposal } from '../replication/next-state.ts'
import { NO_LEADER, PARTITION_PREFIX, type PartitionState } from '../replication/partition-state.ts'

/** The registration's folder is not the one that earlier lives of the broker had. */
export function isNewDisk(image: ClusterImage, { id, start }: Registration): boolean {
  const node = image.entry(nodeKey(id))?.value as unknown as NodeRecord | undefined
  return start === 'new' || node?.state === 'new'
}

/** Whether the log that the record counts on in this broker may not be what it was. */
function hasLost(image: ClusterImage, key: string, state: PartitionState, id: number): boolean {
  const registration = image.broker(id)
  if (registration === null) return false
  // The last one that has the records, damaged or not, is what an operator has to decide about.
  const isLast = [...state.isr, ...state.elr].every(other => other === id)
  if (registration.failed.has(key.slice(PARTITION_PREFIX.length))) return !isLast
  if (image.unfenced(id) !== 0) return false
  if (isNewDisk(image, registration)) return true
  return registration.start === 'recovered' && !state.durable && !isLast
}

/** The record was written for an earlier life of this broker: its place is kept, its leadership is not. */
function isLedByAnother(image: ClusterImage, { leader, by }: PartitionState, id: number): boolean {
  return leader === id && image.broker(id)?.incarnation !== by
}

/** Whether this has to be put right before the broker may be unfenced. */
export function isInTheWay(image: ClusterImage, key: string, id: number): boolean {
  const state = image.partitionAt(key)!
  if (isLedByAnother(image, state, id)) return true
  return (state.isr.includes(id) || state.elr.includes(id)) && hasLost(image, key, state, id)
}

/** Whether the partition can do without this broker. */
function canLeave(image: ClusterImage, key: string, state: PartitionState, id: number): boolean {
  const view = image.view(key)
  return state.isr.some(
    other =>
      other !== id && view.unfenced(other) !== null && !view.draining(other) && !view.failed(other),
  )
}

/**
 * What the brokers that are there now make necessary in a record; null: nothing.
 *
 * @param isGone not registered, and not about to come back
 */
export function needOf(
  image: ClusterImage,
  key: string,
  isGone: (id: number) => boolean,
): Proposal | null {
  const state = image.partitionAt(key)
  if (state === null) return null
  const failed = state.isr.filter(
    id =>
      (image.broker(id) === null && isGone(id)) ||
      (image.broker(id)?.draining === true && canLeave(image, key, state, id)),
  )
  const lost = [...state.isr, ...state.elr].filter(id => hasLost(image, key, state, id))
  const { leader } = state
  const isLeaderless =
    leader === NO_LEADER || (image.broker(leader) !== null && isLedByAnother(image, state, leader))
  if (failed.length === 0 && lost.length === 0 && !isLeaderless) return null
  return {
    ...(failed.length > 0 && { failed }),
    ...(lost.length > 0 && { lost }),
    ...(isLeaderless && { leader: 'elect' as const }),
  }
}
