/** What a key can hold. Null is no value: it stands for "the key is absent". */
export type Json =
  | string
  | number
  | boolean
  | readonly JsonItem[]
  | { readonly [name: string]: JsonItem }
export type JsonItem = Json | null

export interface Entry {
  readonly key: string
  /** Frozen: what a reader gets is the store's own. */
  readonly value: Json
  /** Revision of the transaction that wrote this value. */
  readonly revision: number
}

/**
 * A transaction applies only if every key named here was last written at that revision; 0: the key
 * is absent.
 */
export interface Compare {
  readonly key: string
  readonly revision: number
}

export interface Change {
  readonly key: string
  /** Null deletes. */
  readonly value: Json | null
}

export interface TransactionResult {
  /** False: a compare did not hold and nothing was changed. */
  readonly ok: boolean
  /**
   * The store's revision: after the transaction if ok, else the one at which the compare failed.
   */
  readonly revision: number
}

/** What one transaction changed. */
export interface WatchEvent {
  readonly revision: number
  /** Those changes whose key has the watched prefix. */
  readonly changes: readonly Change[]
}

/**
 * The cluster's metadata: few, small, strongly consistent values. Every transaction that changes
 * something takes the next revision. The shape is etcd's, so that one node's local log and a
 * cluster's etcd are interchangeable.
 *
 * What a read or a watcher sees is durable. A watch is a hint for what to read again, not a lock:
 * whoever acts on a value compares its revision when writing.
 */
export interface MetadataStore {
  get(key: string): Promise<Entry | null>
  /** All entries whose key starts with the prefix, sorted by key. */
  list(prefix: string): Promise<readonly Entry[]>
  /** Writes one key if it was last written at `revision` (0: if absent). Null deletes. */
  compareAndSet(key: string, revision: number, value: Json | null): Promise<TransactionResult>
  /** Applies all changes, of distinct keys, or none. */
  transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TransactionResult>
  /**
   * Calls the listener once for each later transaction that touches the prefix, in order of
   * revision, before the promise of that transaction resolves. What a listener throws is told in the
   * log, and costs nobody else anything.
   * @returns ends the watch
   */
  watch(prefix: string, listener: (event: WatchEvent) => void): () => void
  /** Flushes what is under way and refuses everything after. Idempotent. */
  close(): Promise<void>
}

/** etcd's own bounds on a transaction and a request. */
export const CHANGES_MAX = 128
export const VALUE_BYTES_MAX = 1_048_576
export const KEY_BYTES_MAX = 1024
