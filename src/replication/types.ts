/**
 * What the machines of replication and the controller see of the metadata store: entries, compares, changes and the three
 * outcomes of a transaction. The shape is etcd's; src/metadata/ promises it.
 */
import type { Json, Entry as StoreEntry } from '../metadata/store.ts'

export type { Compare, KeyChange as Change, LeaseId } from '../metadata/store.ts'

export type Entry = Omit<StoreEntry, 'lease'>

/** What is certain about a transaction that was sent. */
export type Outcome =
  | { readonly outcome: 'applied'; readonly revision: number }
  /** A compare did not hold. `now`: those of the compared keys that exist, read in the same transaction. */
  | { readonly outcome: 'refused'; readonly revision: number; readonly now: readonly Entry[] }
  /** No answer: it may have been applied, may still be, minutes later, or never. */
  | { readonly outcome: 'unknown' }

/** One put or deletion that a watcher is told; its revision is the event's. */
export interface Observed {
  readonly key: string
  readonly value: Json | null
  /** create_revision after a put; 0 after a deletion. */
  readonly created: number
}

export interface WatchEvent {
  readonly revision: number
  readonly changes: readonly Observed[]
}

/** Takes what a machine wants done. */
export interface Outbox<E> {
  push(effect: E): unknown
}
