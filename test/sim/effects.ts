import type { SessionEffect } from '../../src/cluster/session.ts'
import type { ControllerEffect } from '../../src/controller/controller.ts'
import type { PartitionState } from '../../src/replication/partition-state.ts'
import type { ReplicaEffect } from '../../src/replication/replica.ts'
import type { Batch } from './log-content.ts'

/** Answers a produce request: an error code, and the batch that is there. */
export type Reply = (error: number, batch: Batch | null) => void

export interface Slot {
  readonly batch: Batch
  readonly reply: Reply
}

/** What a machine of a process wants done. */
export type Effect =
  | { readonly of: 'session'; readonly effect: SessionEffect }
  | { readonly of: 'controller'; readonly effect: ControllerEffect }
  | {
      readonly of: 'replica'
      readonly key: string
      readonly effect: ReplicaEffect<Slot, Batch>
      /** By which it was wanted: the machine may have been told of another one before it is done. */
      readonly record: PartitionState | null
    }
