import { ErrorCode } from '../protocol/error-codes.ts'
import type { PartitionState } from './partition-state.ts'

export interface Reassigned {
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/**
 * What a reassignment makes of the replicas before anybody has moved (KIP-455): all of the target, then those that go. The
 * old ones stay until the whole target is in the ISR; nextState sees to that.
 *
 * @param target null takes back what is under way
 */
export function reassign(
  old: PartitionState,
  target: readonly number[] | null,
): Reassigned | { error: number; reason: string } {
  const original = old.replicas.filter(id => !old.adding.includes(id))
  if (target === null) {
    return old.adding.length === 0 && old.removing.length === 0
      ? { error: ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, reason: 'no reassignment is under way' }
      : { replicas: original, adding: [], removing: [] }
  }
  if (target.length === 0 || new Set(target).size !== target.length) {
    return { error: ErrorCode.INVALID_REPLICA_ASSIGNMENT, reason: 'no replicas, or one twice' }
  }
  // What an earlier reassignment has added to the ISR holds records: it goes with the others, not at once.
  const grown = old.adding.filter(id => old.isr.includes(id) || old.elr.includes(id))
  const removing = [...original, ...grown].filter(id => !target.includes(id))
  return {
    replicas: [...target, ...removing],
    adding: target.filter(id => !original.includes(id)),
    removing,
  }
}
