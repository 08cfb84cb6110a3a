import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { MemoryMetadata } from './memory.ts'
import { checkTransaction, copyOf } from './rules.ts'
import type {
  Change,
  Compare,
  Entry,
  Json,
  LeaseId,
  Listing,
  MetadataStore,
  TxResult,
  Watch,
  WatchListener,
} from './store.ts'

/** One broker's. */
export class MemoryMetadataStore implements MetadataStore {
  readonly #metadata: MemoryMetadata
  readonly #watches = new Set<Watch>()
  #closed = false

  constructor(metadata: MemoryMetadata) {
    this.#metadata = metadata
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return
    throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, 'The metadata store is closed.')
  }

  async get(key: string): Promise<Entry | null> {
    this.#refuseIfClosed()
    return this.#metadata.get(key)
  }

  async list(prefix: string): Promise<Listing> {
    this.#refuseIfClosed()
    return this.#metadata.list(prefix)
  }

  compareAndSet(key: string, revision: number, value: Json | null): Promise<TxResult> {
    return this.transact([{ key, revision }], [{ key, value }])
  }

  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TxResult> {
    this.#refuseIfClosed()
    checkTransaction(compares, changes)
    return this.#metadata.transact(compares, changes.map(copyOf))
  }

  watch(prefix: string, afterRevision: number, listener: WatchListener): Watch {
    this.#refuseIfClosed()
    const watch = this.#metadata.watch(prefix, afterRevision, listener)
    this.#watches.add(watch)
    return watch
  }

  async grant(ttlMs: number): Promise<LeaseId> {
    this.#refuseIfClosed()
    return this.#metadata.grant(ttlMs)
  }

  async keepAlive(lease: LeaseId): Promise<number> {
    this.#refuseIfClosed()
    return this.#metadata.keepAlive(lease)
  }

  async revoke(lease: LeaseId): Promise<void> {
    this.#refuseIfClosed()
    this.#metadata.revoke(lease)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const watch of this.#watches) watch.stop()
  }
}
