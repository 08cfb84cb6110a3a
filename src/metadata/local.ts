import { join } from 'node:path'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { FileSystem } from '../storage/fs.ts'
import { isDiskFull, Reserve, withReserve } from '../storage/reserve.ts'
import { MetadataCopies } from './copies.ts'
import { encodeLine, type LoggedChange, newHeader, type Transaction } from './log-file.ts'
import { checkTransaction, copyOf } from './rules.ts'
import {
  type Decision,
  Draft,
  deletionOf,
  entryOf,
  MetadataState,
  type Operation,
} from './state.ts'
import type {
  Change,
  Compare,
  Entry,
  Json,
  KeyEvent,
  LeaseId,
  Listing,
  MetadataStore,
  TxResult,
  Watch,
  WatchEvent,
  WatchListener,
} from './store.ts'

/** What is said of a lease: it ends with the process, and not before. */
const LEASE_MS = 3_600_000
/** Transactions that may wait for the flush under way. */
const WAITING_MAX = 10_000
/** A log smaller than this is not worth compacting. */
const COMPACT_BYTES_MIN = 1_048_576
/** What gives way on a full disk: a start, and what makes room, must be able to write. */
const RESERVE = 'metadata.reserve'
const RESERVE_BYTES_MIN = 256 * 1024
/** Bytes of values in one line of a snapshot, about. */
const SNAPSHOT_LINE_BYTES = 1_048_576

interface Waiting {
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
  readonly resolve: (result: TxResult) => void
  readonly reject: (error: Error) => void
}

/** One that was decided. */
type Decided = Waiting & Decision

interface Watcher {
  readonly prefix: string
  readonly listener: WatchListener
}

/** Nothing has changed: they may be tried again. */
function refuse(group: readonly Waiting[], cause: unknown): void {
  const error = storageError('The disk is full: the metadata cannot be changed.', cause)
  for (const waiting of group) waiting.reject(error)
}

const storageError = (message: string, cause?: unknown) =>
  new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, message, { cause })

/**
 * The metadata of a single node: all of it in memory, every transaction appended to a flushed log of
 * two copies. Transactions that arrive while the event loop is busy share a flush. On a full disk they are
 * refused, and later ones may find room. After any other failed write, or a failed flush, the store takes
 * no more transactions: what is on disk is then unknown, and only a new start reads it again.
 *
 * Calls of the file system block the thread for as long as a flush takes; metadata changes are
 * rare.
 */
export class LocalMetadataStore implements MetadataStore {
  /** Told of what nobody expected in a listener, which is called again the next time. */
  onBadWatcher: (error: unknown) => void = () => {}
  /** What was wrong at the start and is mended, one sentence each. */
  readonly notes: readonly string[]
  readonly #copies: MetadataCopies
  readonly #reserve: Reserve
  readonly #state = new MetadataState()
  readonly #watchers = new Set<Watcher>()
  readonly #leases = new Set<LeaseId>()
  #granted = 0
  /** Bytes that each key takes in the log, about; and all of them. */
  readonly #bytes = new Map<string, number>()
  #liveBytes = 0
  #waiting: Waiting[] = []
  #scheduled = false
  #failure: BrokerError | null = null
  #closed = false

  /**
   * Opens the log in an existing directory, or starts one. After anything but a clean stop it is written anew: what it
   * holds may be in the page cache only, for a flush may have failed.
   * @param wasClean whether the last stop was clean, asked once when `peek` can answer
   * @throws MetadataCorrupt if what was durable is damaged, and what the file system throws
   */
  constructor(
    files: FileSystem,
    dir: string,
    wasClean: (store: LocalMetadataStore) => boolean = () => false,
  ) {
    this.#reserve = new Reserve(files, join(dir, RESERVE))
    this.#copies = new MetadataCopies(withReserve(files, this.#reserve), dir)
    let isSame = false
    this.notes = []
    if (MetadataCopies.exist(files, dir)) {
      const found = this.#copies.read()
      for (const transaction of found.transactions) this.#replay(transaction)
      this.#state.revision = found.revision
      this.notes = found.notes
      isSame = this.#endLeases() && found.isSame
    }
    if (wasClean(this) && isSame) this.#copies.open()
    else this.#rewrite()
  }

  /** What a key holds, without waiting. */
  peek(key: string): Json | null {
    return this.#state.get(key)?.value ?? null
  }

  /** Whether a write has failed: then what is on the disk is not known. */
  get hasFailed(): boolean {
    return this.#failure !== null
  }

  /** Makes sure that there is something to give way on a full disk. For idle moments when it has room. */
  ensureReserve(): void {
    this.#reserve.ensure(Math.max(RESERVE_BYTES_MIN, 2 * this.#copies.bytes))
  }

  /** Revision of the last durable transaction; 0 for a new store. */
  get revision(): number {
    return this.#state.revision
  }

  async get(key: string): Promise<Entry | null> {
    this.#refuseIfClosed()
    return this.#state.get(key)
  }

  async list(prefix: string): Promise<Listing> {
    this.#refuseIfClosed()
    return { revision: this.revision, entries: this.#state.list(prefix) }
  }

  compareAndSet(key: string, revision: number, value: Json | null): Promise<TxResult> {
    return this.transact([{ key, revision }], [{ key, value }])
  }

  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TxResult> {
    this.#refuseIfClosed()
    if (this.#failure !== null) throw this.#failure
    checkTransaction(compares, changes)
    return this.#submit([...compares], changes.map(copyOf))
  }

  /** Ends with this process, or when it is given up. */
  async grant(_ttlMs: number): Promise<LeaseId> {
    this.#refuseIfClosed()
    const lease = String(++this.#granted)
    this.#leases.add(lease)
    return lease
  }

  async keepAlive(lease: LeaseId): Promise<number> {
    return this.#leases.has(lease) ? LEASE_MS : 0
  }

  async revoke(lease: LeaseId): Promise<void> {
    this.#refuseIfClosed()
    if (this.#failure !== null) throw this.#failure
    await this.#submit([], [{ endOf: lease }])
    this.#leases.delete(lease)
  }

  #submit(compares: readonly Compare[], operations: readonly Operation[]): Promise<TxResult> {
    if (this.#waiting.length >= WAITING_MAX) {
      throw storageError(`More than ${WAITING_MAX} metadata changes are waiting.`)
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ compares, operations, resolve, reject })
      this.#schedule()
    })
  }

  /** There is no history: whoever comes from an older revision is told of all there is. */
  watch(prefix: string, afterRevision: number, listener: WatchListener): Watch {
    this.#refuseIfClosed()
    const watcher = { prefix, listener }
    this.#watchers.add(watcher)
    if (afterRevision !== this.revision) {
      const entries = this.#state.list(prefix)
      const { revision } = this
      this.#tell(watcher, () => listener.onReset(revision, entries))
    }
    return { stop: () => void this.#watchers.delete(watcher), restart: () => {} }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#flush()
    // Those bound to a lease go with the next start, if nobody has given it up.
    this.#closed = true
    this.#watchers.clear()
    this.#copies.close()
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw storageError('The metadata store is closed.')
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  /**
   * Decides all waiting transactions in order, makes those that hold durable with one flush, then
   * answers all.
   */
  #flush(): void {
    const group = this.#waiting
    if (group.length === 0 || this.#failure !== null) return
    this.#waiting = []
    const decided = this.#decide(group)
    const events = decided.flatMap(({ event }) => event ?? [])
    try {
      if (events.length > 0) this.#copies.append(encodeLine(events.map(loggedOf)))
    } catch (error) {
      if (isDiskFull(error) && !this.#copies.hasFailed) refuse(decided, error)
      else this.#fail(error, decided)
      return
    }
    for (const event of events) {
      this.#apply(event)
      this.#notify(event)
    }
    for (const { result, resolve } of decided) resolve(result)
    this.#compactIfWorthIt()
  }

  /** Without those that cannot be: they are told at once. */
  #decide(group: readonly Waiting[]): Decided[] {
    const draft = new Draft(this.#state, lease => this.#leases.has(lease))
    const decided: Decided[] = []
    for (const waiting of group) {
      try {
        decided.push({ ...waiting, ...draft.decide(waiting.compares, waiting.operations) })
      } catch (error) {
        waiting.reject(error as Error)
      }
    }
    return decided
  }

  /**
   * After this nothing is written any more: a second try could succeed on pages that the first one
   * lost.
   */
  #fail(error: unknown, group: readonly Waiting[]): void {
    this.#failure = storageError(
      'The metadata log could not be written; restart the broker.',
      error,
    )
    for (const waiting of [...group, ...this.#waiting]) waiting.reject(this.#failure)
    this.#waiting = []
  }

  #apply(event: WatchEvent): void {
    for (const { key, value } of event.changes) {
      this.#liveBytes -= this.#bytes.get(key) ?? 0
      this.#bytes.delete(key)
      if (value === null) continue
      const bytes = JSON.stringify({ key, value }).length
      this.#bytes.set(key, bytes)
      this.#liveBytes += bytes
    }
    this.#state.apply(event)
  }

  #replay({ revision, changes }: Transaction): void {
    const events = changes.map((change): KeyEvent => {
      if (change.value === null) return deletionOf(change.key, revision)
      const created = change.created ?? this.#state.get(change.key)?.created ?? revision
      return entryOf(change, revision, created)
    })
    this.#apply({ revision, changes: events })
  }

  /** Of processes before this one. @returns whether there were none: then nothing has changed */
  #endLeases(): boolean {
    const bound = this.#state.list('').filter(({ lease }) => lease !== undefined)
    if (bound.length === 0) return true
    const revision = this.revision + 1
    this.#apply({ revision, changes: bound.map(({ key }) => deletionOf(key, revision)) })
    return false
  }

  #notify({ revision, changes }: WatchEvent): void {
    for (const watcher of this.#watchers) {
      const seen = changes.filter(({ key }) => key.startsWith(watcher.prefix))
      if (seen.length === 0) continue
      this.#tell(watcher, () => watcher.listener.onChange({ revision, changes: seen }))
    }
  }

  /** In a microtask of its own: a listener that throws fails neither the transaction nor the others. */
  #tell(watcher: Watcher, call: () => void): void {
    queueMicrotask(() => {
      if (!this.#watchers.has(watcher)) return
      try {
        call()
      } catch (error) {
        this.onBadWatcher(error)
      }
    })
  }

  #compactIfWorthIt(): void {
    const { bytes } = this.#copies
    if (bytes < COMPACT_BYTES_MIN || bytes < 2 * this.#liveBytes) return
    try {
      this.#rewrite()
    } catch (error) {
      this.#fail(error, [])
    }
  }

  /** Replaces the log by what is left of it. */
  #rewrite(): void {
    const lines = this.#snapshot()
    const header = encodeLine(newHeader(this.revision, lines.length))
    this.#copies.replace(Buffer.concat([header, ...lines]))
  }

  #snapshot(): Buffer[] {
    const byRevision = new Map<number, LoggedChange[]>()
    for (const { key, value, revision, created, lease } of this.#state.entries) {
      const changes = byRevision.get(revision) ?? []
      changes.push({ key, value, ...leaseOf(lease), ...(created === revision ? {} : { created }) })
      byRevision.set(revision, changes)
    }
    const transactions = [...byRevision].sort(([a], [b]) => a - b)
    const lines: Buffer[] = []
    let line: Transaction[] = []
    let bytes = 0
    for (const [revision, changes] of transactions) {
      line.push({ revision, changes })
      for (const { key } of changes) bytes += this.#bytes.get(key)!
      if (bytes < SNAPSHOT_LINE_BYTES) continue
      lines.push(encodeLine(line))
      line = []
      bytes = 0
    }
    if (line.length > 0) lines.push(encodeLine(line))
    return lines
  }
}

const leaseOf = (lease?: LeaseId): { lease?: LeaseId } => (lease === undefined ? {} : { lease })

/** When a key was made follows from what is before it in the log. */
const loggedOf = ({ revision, changes }: WatchEvent): Transaction => ({
  revision,
  changes: changes.map(change => ({
    key: change.key,
    value: change.value,
    ...('lease' in change ? leaseOf(change.lease) : {}),
  })),
})
