import { join } from 'node:path'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { FileSystem } from '../storage/fs.ts'
import { isDiskFull, Reserve, withReserve } from '../storage/reserve.ts'
import { MetadataCopies } from './copies.ts'
import { encodeLine, newHeader, type Transaction } from './log-file.ts'
import { checkTransaction, copyOf, freeze } from './rules.ts'
import type {
  Change,
  Compare,
  Entry,
  Json,
  MetadataStore,
  TransactionResult,
  WatchEvent,
} from './store.ts'

/** Transactions that may wait for the flush under way. */
const WAITING_MAX = 10_000
/** A log smaller than this is not worth compacting. */
const COMPACT_BYTES_MIN = 1_048_576
/** What gives way on a full disk: a start, and what makes room, must be able to write. */
const RESERVE = 'metadata.reserve'
const RESERVE_BYTES_MIN = 256 * 1024
/** Bytes of values in one line of a snapshot, about. */
const SNAPSHOT_LINE_BYTES = 1_048_576

interface Stored extends Entry {
  /** Bytes this entry takes in the log, about. */
  readonly bytes: number
}

interface Waiting {
  readonly compares: readonly Compare[]
  readonly changes: readonly Change[]
  readonly resolve: (result: TransactionResult) => void
  readonly reject: (error: Error) => void
}

interface Watcher {
  readonly prefix: string
  readonly listener: (event: WatchEvent) => void
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
  readonly #entries = new Map<string, Stored>()
  readonly #watchers = new Set<Watcher>()
  #revision = 0
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
      for (const transaction of found.transactions) this.#apply(transaction)
      this.#revision = found.revision
      this.notes = found.notes
      isSame = found.isSame
    }
    if (wasClean(this) && isSame) this.#copies.open()
    else this.#rewrite()
  }

  /** What a key holds, without waiting. */
  peek(key: string): Json | null {
    return this.#entries.get(key)?.value ?? null
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
    return this.#revision
  }

  async get(key: string): Promise<Entry | null> {
    this.#refuseIfClosed()
    return this.#entries.get(key) ?? null
  }

  async list(prefix: string): Promise<readonly Entry[]> {
    this.#refuseIfClosed()
    const found = [...this.#entries.values()].filter(entry => entry.key.startsWith(prefix))
    return found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  compareAndSet(key: string, revision: number, value: Json | null): Promise<TransactionResult> {
    return this.transact([{ key, revision }], [{ key, value }])
  }

  async transact(
    compares: readonly Compare[],
    changes: readonly Change[],
  ): Promise<TransactionResult> {
    this.#refuseIfClosed()
    if (this.#failure !== null) throw this.#failure
    checkTransaction(compares, changes)
    if (this.#waiting.length >= WAITING_MAX) {
      throw storageError(`More than ${WAITING_MAX} metadata changes are waiting.`)
    }
    const copies = changes.map(({ key, value }) => ({ key, value: copyOf(value) }))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ compares: [...compares], changes: copies, resolve, reject })
      this.#schedule()
    })
  }

  watch(prefix: string, listener: (event: WatchEvent) => void): () => void {
    const watcher = { prefix, listener }
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#flush()
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
    const { accepted, results } = this.#decide(group)
    try {
      if (accepted.length > 0) this.#copies.append(encodeLine(accepted))
    } catch (error) {
      if (isDiskFull(error) && !this.#copies.hasFailed) refuse(group, error)
      else this.#fail(error, group)
      return
    }
    for (const transaction of accepted) {
      this.#apply(transaction)
      this.#notify(transaction)
    }
    for (const [i, waiting] of group.entries()) waiting.resolve(results[i]!)
    this.#compactIfWorthIt()
  }

  #decide(group: readonly Waiting[]) {
    const accepted: Transaction[] = []
    const results: TransactionResult[] = []
    /** Revisions of keys as earlier members of the group leave them. */
    const written = new Map<string, number>()
    let revision = this.#revision
    for (const { compares, changes } of group) {
      const ok = compares.every(({ key, revision: expected }) => {
        return (written.get(key) ?? this.#entries.get(key)?.revision ?? 0) === expected
      })
      if (ok && changes.length > 0) {
        revision++
        accepted.push({ revision, changes })
        for (const { key, value } of changes) written.set(key, value === null ? 0 : revision)
      }
      results.push({ ok, revision })
    }
    return { accepted, results }
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

  #apply({ revision, changes }: Transaction): void {
    for (const { key, value } of changes) {
      this.#liveBytes -= this.#entries.get(key)?.bytes ?? 0
      this.#entries.delete(key)
      if (value === null) continue
      const bytes = JSON.stringify({ key, value }).length
      this.#entries.set(key, Object.freeze({ key, value: freeze(value), revision, bytes }))
      this.#liveBytes += bytes
    }
    this.#revision = revision
  }

  /** In a microtask of its own: a listener that throws fails neither the transaction nor the others. */
  #notify({ revision, changes }: Transaction): void {
    for (const watcher of this.#watchers) {
      const seen = changes.filter(({ key }) => key.startsWith(watcher.prefix))
      if (seen.length === 0) continue
      queueMicrotask(() => {
        if (!this.#watchers.has(watcher)) return
        try {
          watcher.listener({ revision, changes: seen })
        } catch (error) {
          this.onBadWatcher(error)
        }
      })
    }
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
    const header = encodeLine(newHeader(this.#revision, lines.length))
    this.#copies.replace(Buffer.concat([header, ...lines]))
  }

  #snapshot(): Buffer[] {
    const byRevision = new Map<number, Change[]>()
    for (const { key, value, revision } of this.#entries.values()) {
      const changes = byRevision.get(revision) ?? []
      changes.push({ key, value })
      byRevision.set(revision, changes)
    }
    const transactions = [...byRevision].sort(([a], [b]) => a - b)
    const lines: Buffer[] = []
    let line: Transaction[] = []
    let bytes = 0
    for (const [revision, changes] of transactions) {
      line.push({ revision, changes })
      for (const { key } of changes) bytes += this.#entries.get(key)!.bytes
      if (bytes < SNAPSHOT_LINE_BYTES) continue
      lines.push(encodeLine(line))
      line = []
      bytes = 0
    }
    if (line.length > 0) lines.push(encodeLine(line))
    return lines
  }
}
