import type { Target } from '../assignment.ts'

export interface AssignedTopic {
  readonly id: string
  readonly partitions: number
}

/** A member as assignors see it. */
export interface AssignedMember {
  readonly memberId: string
  readonly instanceId: string | null
  /** The topics that there are of those that it subscribes to. Members that subscribe to the same share one array. */
  readonly topics: readonly AssignedTopic[]
  /** What it is to have so far; it may name what is gone. */
  readonly target: Target
}

/**
 * Decides which member consumes which partitions. The result is in the order of the members; where nothing changes it is
 * the very target that the member had.
 */
export type Assignor = (members: readonly AssignedMember[]) => Target[]
