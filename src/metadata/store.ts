import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'

/** What a key can hold. Null is no value: it stands for "the key is absent". */
export type Json =
  | string
  | number
  | boolean
  | readonly JsonItem[]
  | { readonly [name: string]: JsonItem }
export type JsonItem = Json | null

/** etcd's 64-bit number of a lease, which no number of JavaScript holds. */
export type LeaseId = string

export interface Entry {
  readonly key: string
  /** Frozen: what a reader gets is the store's own. */
  readonly value: Json
  /** Revision of the transaction that wrote this value. */
  readonly revision: number
  /** Revision of the transaction that made the key, which was absent before: no other life of the key has it. */
  readonly created: number
  /** With which the key goes. */
  readonly lease?: LeaseId
}

/** A condition on a key: when it was last written, or when it was made. 0: it is absent. */
export type Compare =
  | { readonly key: string; readonly revision: number }
  | { readonly key: string; readonly created: number }

export interface KeyChange {
  readonly key: string
  /** Null deletes. */
  readonly value: Json | null
  /** Of whomever; without it the key stays, also if it had one before. */
  readonly lease?: LeaseId
}

/** Deletes all keys that start so, however many they are. */
export interface PrefixDeletion {
  readonly prefix: string
  readonly value: null
}

export type Change = KeyChange | PrefixDeletion

/** What became of a transaction. */
export type TxResult =
  | { readonly outcome: 'applied'; readonly revision: number }
  /** Nothing was changed. `now`: what the compared keys held then, without those that were absent. */
  | { readonly outcome: 'refused'; readonly revision: number; readonly now: readonly Entry[] }

/** A key as a transaction left it. */
export type KeyEvent =
  | Entry
  | {
      readonly key: string
      readonly value: null
      readonly revision: number
      readonly created: 0
    }

/** What one transaction changed. */
export interface WatchEvent {
  readonly revision: number
  /** Of the watched prefix only. */
  readonly changes: readonly KeyEvent[]
}

export interface Listing {
  readonly revision: number
  /** Sorted by key. */
  readonly entries: readonly Entry[]
}

export interface WatchListener {
  /** Once for each transaction that touches the prefix, in order of revision. */
  onChange(event: WatchEvent): void
  /**
   * What lies between is not known any more: this is all there is now, what is not among it was deleted. Changes go on after
   * the revision, which may even be lower than before: a store was restored from a backup.
   */
  onReset(revision: number, entries: readonly Entry[]): void
}

export interface Watch {
  /** The listener is not called again. */
  stop(): void
  /** For a caller that has reason to think that it is dead: connects anew, elsewhere if it can. Nothing is missed by it. */
  restart(): void
}

/**
 * The cluster's metadata: few, small, strongly consistent values. Every transaction that changes
 * something takes the next revision. The shape is etcd's, so that one node's local log and a
 * cluster's etcd are interchangeable.
 *
 * What a read or a watcher sees is durable. A watch is a hint for what to read again, not a lock:
 * whoever acts on a value compares its revision when writing. A watcher may be told before or after
 * the transaction's own promise: who changes something applies the result itself.
 */
export interface MetadataStore {
  get(key: string): Promise<Entry | null>
  /** All entries whose key starts with the prefix, as they were at one revision. */
  list(prefix: string): Promise<Listing>
  /**
   * Writes one key if it was last written at `revision` (0: if absent). Null deletes.
   * @throws OutcomeUnknown
   */
  compareAndSet(key: string, revision: number, value: Json | null): Promise<TxResult>
  /**
   * Applies all changes, none of which may touch a key of another one, or none of them.
   * @throws OutcomeUnknown; after any other error nothing was changed and nothing will be
   */
  transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TxResult>
  /** Tells of every transaction after `afterRevision` that touches the prefix. */
  watch(prefix: string, afterRevision: number, listener: WatchListener): Watch
  /**
   * A new lease, which outlives its last keep-alive by about `ttlMs`; etcd has seconds. It is not kept alive by itself: who
   * believes in it counts from when a keep-alive that was answered was sent (cluster/session.ts).
   */
  grant(ttlMs: number): Promise<LeaseId>
  /** @returns the ms that it lives on; 0: it has ended */
  keepAlive(lease: LeaseId): Promise<number>
  /** Ends a lease of whomever, and the keys bound to it; one that has ended already is no error. */
  revoke(lease: LeaseId): Promise<void>
  /** Ends what is under way and all watches, and refuses everything after. Leases go on. Idempotent. */
  close(): Promise<void>
}

/**
 * The transaction was sent and no answer was understood: it may have been applied, may never be, or may still be, minutes
 * later. It is settled only when its key is seen with its value (applied), or with another revision than the one compared
 * (it will never be). The store never repeats it: the caller may send *the same* again, and must not plan anew before.
 */
export class OutcomeUnknown extends BrokerError {
  override readonly name = 'OutcomeUnknown'

  constructor(cause?: unknown) {
    const message = 'It is not known whether the metadata was changed: there was no answer in time.'
    super(ErrorCode.REQUEST_TIMED_OUT, message, { cause })
  }
}

/** The lease that a change names has ended: nothing was changed. */
export class LeaseEnded extends BrokerError {
  override readonly name = 'LeaseEnded'

  constructor(cause?: unknown) {
    super(ErrorCode.STALE_BROKER_EPOCH, 'The lease has ended: nothing was changed.', { cause })
  }
}

/** etcd's own bounds on a transaction and a request. */
export const CHANGES_MAX = 128
export const VALUE_BYTES_MAX = 1_048_576
export const KEY_BYTES_MAX = 1024
