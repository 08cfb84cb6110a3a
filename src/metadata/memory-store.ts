import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { MemoryClock, MemoryMetadata } from './memory.ts'
import { checkTransaction, copyOf } from './rules.ts'
import type {
  Change,
  Compare,
  Entry,
  Json,
  LeaseId,
  Listing,
  MetadataStore,
  Session,
  TxResult,
  Watch,
  WatchListener,
} from './store.ts'

/** In the time of a lease. */
const KEEP_ALIVES = 3

/** Kept alive as long as the process runs; `pause` is for tests, and does what a process that stands still would do. */
class MemorySession implements Session {
  readonly #metadata: MemoryMetadata
  readonly #clock: MemoryClock
  #held: { readonly lease: LeaseId; readonly ttlMs: number; sent: number } | null = null
  #stop: () => void = () => {}
  onLost: (lease: LeaseId) => void = () => {}

  constructor(metadata: MemoryMetadata, clock: MemoryClock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  get lease(): LeaseId | null {
    return this.#held?.lease ?? null
  }

  mayHold(now: number): boolean {
    return this.#held !== null && now < this.#held.sent + this.#held.ttlMs
  }

  async open(ttlMs: number): Promise<LeaseId> {
    await this.close()
    const lease = this.#metadata.grant(ttlMs, () => this.#ended(lease))
    this.#held = { lease, ttlMs, sent: this.#clock.now() }
    this.resume()
    return lease
  }

  #ended(lease: LeaseId): void {
    if (this.#held?.lease !== lease) return
    this.pause()
    this.#held = null
    this.#clock.soon(() => this.onLost(lease))
  }

  /** Until `resume` no keep-alive is sent. */
  pause(): void {
    this.#stop()
    this.#stop = () => {}
  }

  resume(): void {
    this.pause()
    const held = this.#held
    if (held === null || this.#metadata.keepAlive(held.lease) === 0) return
    held.sent = this.#clock.now()
    this.#stop = this.#clock.after(held.ttlMs / KEEP_ALIVES, () => this.resume())
  }

  async close(): Promise<void> {
    const held = this.#held
    this.#held = null
    this.pause()
    if (held !== null) this.#metadata.revoke(held.lease)
  }
}

/** One broker's. */
export class MemoryMetadataStore implements MetadataStore {
  readonly session: MemorySession
  readonly #metadata: MemoryMetadata
  readonly #watches = new Set<Watch>()
  #closed = false

  constructor(metadata: MemoryMetadata, clock: MemoryClock) {
    this.#metadata = metadata
    this.session = new MemorySession(metadata, clock)
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
    return this.#metadata.grant(ttlMs, () => {})
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
    await this.session.close()
  }
}
