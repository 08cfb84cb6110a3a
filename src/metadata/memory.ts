import { MemoryMetadataStore } from './memory-store.ts'
import { MemoryWatch } from './memory-watch.ts'
import { Draft, MetadataState, type Operation } from './state.ts'
import type {
  Compare,
  Entry,
  LeaseId,
  Listing,
  TxResult,
  WatchEvent,
  WatchListener,
} from './store.ts'

/** Transactions that a watch may be behind before it is told of everything anew. */
export const HISTORY_MAX = 10_000

/** What time is for a store in memory, and what comes later. */
export interface MemoryClock {
  /** @returns calls it off */
  after(ms: number, act: () => void): () => void
  /** Soon, and after everybody who is amid something: how watches are told. */
  soon(act: () => void): void
}

const realClock: MemoryClock = {
  after: (ms, act) => {
    const timer = setTimeout(act, ms).unref()
    return () => clearTimeout(timer)
  },
  soon: act => void setImmediate(act),
}

interface Lease {
  readonly ttlMs: number
  stop: () => void
}

/**
 * The metadata of several brokers in one process, as etcd would keep it: for tests, and clusters that are made for one.
 * Nothing is durable.
 */
export class MemoryMetadata {
  readonly #state = new MetadataState()
  readonly #clock: MemoryClock
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #watches = new Set<MemoryWatch>()
  /** The newest last; what is older was compacted. */
  #history: WatchEvent[] = []
  #granted = 0
  /** Told of what nobody expected in a listener, which is called again the next time. */
  onBadWatcher: (error: unknown) => void = error => {
    throw error
  }

  constructor(clock: MemoryClock = realClock) {
    this.#clock = clock
  }

  /** A broker's own way in: with its watches. */
  connect(): MemoryMetadataStore {
    return new MemoryMetadataStore(this)
  }

  get(key: string): Entry | null {
    return this.#state.get(key)
  }

  list(prefix: string): Listing {
    return { revision: this.#state.revision, entries: this.#state.list(prefix) }
  }

  transact(compares: readonly Compare[], operations: readonly Operation[]): TxResult {
    const draft = new Draft(this.#state, lease => this.#leases.has(lease))
    const { result, event } = draft.decide(compares, operations)
    if (event === null) return result
    this.#state.apply(event)
    this.#history.push(event)
    if (this.#history.length > HISTORY_MAX) this.#history.splice(0, HISTORY_MAX / 2)
    for (const watch of this.#watches) watch.wake()
    return result
  }

  /** As etcd's: who comes later for something up to this revision is told of everything anew. */
  compact(revision = this.#state.revision): void {
    this.#history = this.#history.filter(event => event.revision > revision)
  }

  /** What came after a revision; null: that is not known any more. */
  since(afterRevision: number): readonly WatchEvent[] | null {
    const { revision } = this.#state
    if (afterRevision === revision) return []
    const oldest = this.#history[0]?.revision ?? revision + 1
    if (afterRevision > revision || afterRevision < oldest - 1) return null
    return this.#history.slice(afterRevision - oldest + 1)
  }

  grant(ttlMs: number): LeaseId {
    const lease = String(++this.#granted)
    this.#leases.set(lease, { ttlMs, stop: () => {} })
    this.keepAlive(lease)
    return lease
  }

  /** Gives the lease its full time from now on. @returns that, in ms; 0: there is none */
  keepAlive(lease: LeaseId): number {
    const held = this.#leases.get(lease)
    if (held === undefined) return 0
    held.stop()
    held.stop = this.#clock.after(held.ttlMs, () => this.revoke(lease))
    return held.ttlMs
  }

  revoke(lease: LeaseId): void {
    const held = this.#leases.get(lease)
    if (held === undefined) return
    held.stop()
    this.#leases.delete(lease)
    this.transact([], [{ endOf: lease }])
  }

  watch(prefix: string, afterRevision: number, listener: WatchListener): MemoryWatch {
    const watch = new MemoryWatch(this, this.#clock, prefix, afterRevision, listener)
    this.#watches.add(watch)
    watch.wake()
    return watch
  }

  forget(watch: MemoryWatch): void {
    this.#watches.delete(watch)
  }
}
