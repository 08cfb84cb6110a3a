import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { MemoryMetadata } from './memory.ts'
import type { MemoryWatch } from './memory-watch.ts'
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
  readonly #watches = new Set<MemoryWatch>()
  #closed = false
  #isCut = false

  constructor(metadata: MemoryMetadata) {
    this.#metadata = metadata
  }

  /** Cut off, it is refused everything and its watches hear of nothing: as by an etcd that is out of reach. */
  get isCut(): boolean {
    return this.#isCut
  }

  set isCut(isCut: boolean) {
    this.#isCut = isCut
    for (const watch of this.#watches) watch.isHeld = isCut
  }

  #check(): void {
    if (!this.#closed && !this.#isCut) return
    const what = this.#closed ? 'closed' : 'out of reach'
    throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, `The metadata store is ${what}.`)
  }

  async get(key: string): Promise<Entry | null> {
    this.#check()
    return this.#metadata.get(key)
  }

  async list(prefix: string): Promise<Listing> {
    this.#check()
    return this.#metadata.list(prefix)
  }

  compareAndSet(key: string, revision: number, value: Json | null): Promise<TxResult> {
    return this.transact([{ key, revision }], [{ key, value }])
  }

  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TxResult> {
    this.#check()
    checkTransaction(compares, changes)
    return this.#metadata.transact(compares, changes.map(copyOf))
  }

  watch(prefix: string, afterRevision: number, listener: WatchListener): Watch {
    this.#check()
    const watch = this.#metadata.watch(prefix, afterRevision, listener)
    this.#watches.add(watch)
    return watch
  }

  async grant(ttlMs: number): Promise<LeaseId> {
    this.#check()
    return this.#metadata.grant(ttlMs)
  }

  async keepAlive(lease: LeaseId): Promise<number> {
    this.#check()
    return this.#metadata.keepAlive(lease)
  }

  async revoke(lease: LeaseId): Promise<void> {
    this.#check()
    this.#metadata.revoke(lease)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const watch of this.#watches) watch.stop()
  }
}
