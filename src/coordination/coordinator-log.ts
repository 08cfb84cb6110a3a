import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import * as batch from '../protocol/record-batch.ts'
import {
  type BatchRecord,
  encodePlainBatch,
  isUnreadable,
  type NewRecord,
  readRecords,
} from '../protocol/records.ts'
import { ENTRY_ERROR } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { BufferPool } from '../topics/buffer-pool.ts'
import type { Partition } from '../topics/partition.ts'

/** Bytes read from the log at a time when it is loaded. */
const LOAD_BYTES = 4 * 1024 * 1024
/** The most that one batch may take when decompressed: only a log that Kafka wrote has compressed ones. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024
/** Of a batch, besides keys and values: its header, and lengths and deltas of each record. */
const RECORD_OVERHEAD_BYTES = 32

/** offsets.commit.timeout.ms: what is not on all in-sync replicas by then has the groups loaded anew, when it is. */
const COMMIT_MS_MAX = 5_000

/** A record as it is stored; without a value it says that its key is gone. */
export interface StoredRecord {
  readonly key: Buffer
  readonly value: Buffer | null
}

interface Waiting {
  readonly ticket: number
  readonly run: (failure: ErrorCode) => void
}

/**
 * One partition of a coordinator's topic as it writes it: what is written in one turn of the event loop goes into
 * one batch, and whoever answers a client waits here until what the answer rests on is flushed. When an
 * append fails the log is over: memory is ahead of the disk then, and only a new load can be trusted.
 */
export class CoordinatorLog {
  readonly partition: Partition
  readonly #pool: BufferPool
  readonly #appendBytesMax: number
  readonly #refusal: () => string | null
  readonly #onFailure: (cause: unknown) => void
  readonly #onUnreadable: (offset: number, reason: string) => void
  readonly #truncate: (offset: number) => Promise<void>
  #records: NewRecord[] = []
  #bytes = 0
  #isScheduled = false
  /** The batch that is being gathered, and the last one that is flushed. */
  #ticket = 1
  #durable = 0
  readonly #batches: { readonly bytes: Buffer; readonly ticket: number }[] = []
  #isSubmitting = false
  /** Batches on their way to the disk. */
  #pending = 0
  #waiting: Waiting[] = []
  #failure: ErrorCode = ErrorCode.NONE
  /** Bytes of all batches that were read when the log was loaded, or appended since. */
  bytes = 0
  constructor(options: {
    partition: Partition
    pool: BufferPool
    /** Bytes of a batch that a worker takes, whatever the topic allows. */
    appendBytesMax: number
    /** Why nothing may be appended now, or null. */
    refusal: () => string | null
    /** With what nobody expected, if that is why. */
    onFailure: (cause: unknown) => void
    /** Called for a batch that is passed over when the log is loaded. */
    onUnreadable: (offset: number, reason: string) => void
    /** Removes what is before this offset. */
    truncate: (offset: number) => Promise<void>
  }) {
    this.partition = options.partition
    this.#pool = options.pool
    this.#appendBytesMax = options.appendBytesMax
    this.#refusal = options.refusal
    this.#onFailure = options.onFailure
    this.#onUnreadable = options.onUnreadable
    this.#truncate = options.truncate
  }

  /** The error for everything that comes after a failed append, or NONE. */
  get failure(): ErrorCode {
    return this.#failure
  }

  /** Before a change is made: whether it could be written now. @throws BrokerError COORDINATOR_NOT_AVAILABLE */
  throwIfClosed(): void {
    const unfit = this.partition.refusal(true)
    const elsewhere = unfit === ErrorCode.NONE ? null : 'too few replicas are in sync'
    const reason = this.partition.offline ?? this.#refusal() ?? elsewhere
    if (this.#failure === ErrorCode.NONE && reason === null) return
    const message = `The coordinator's log cannot be written: ${reason ?? 'an append failed'}.`
    throw new BrokerError(ErrorCode.COORDINATOR_NOT_AVAILABLE, message)
  }

  /** Whether no other broker can coordinate what is in it now. */
  get isOurs(): boolean {
    return this.partition.refusal(false) === ErrorCode.NONE
  }

  /** Whether the record may be written. Asked before the change that it is about. */
  fits({ key, value }: StoredRecord): boolean {
    return key.length + (value?.length ?? 0) <= this.recordBytesMax
  }

  /** Bytes of key and value of the largest record that may be written. */
  get recordBytesMax(): number {
    return this.#batchBytesMax - RECORD_OVERHEAD_BYTES - batch.BATCH_HEADER_BYTES
  }

  get #batchBytesMax(): number {
    return Math.min(this.partition.config.maxMessageBytes, this.#storedBytesMax)
  }

  /** What a log takes at all, also where the topic has come to allow less than was written before. */
  get #storedBytesMax(): number {
    return Math.min(this.#appendBytesMax, this.partition.config.segmentBytes)
  }

  /**
   * @returns the ticket with which `after` waits until the records are flushed
   * @throws Error if one of them is larger than the log takes at all: then none is written
   */
  write(records: readonly StoredRecord[], now: number): number {
    for (const record of records) {
      const bytes = sizeOf(record) + batch.BATCH_HEADER_BYTES
      if (bytes <= this.#storedBytesMax) continue
      throw new Error(`a record of ${bytes} bytes is larger than its log takes`)
    }
    for (const record of records) {
      const bytes = sizeOf(record)
      if (this.#bytes + bytes + batch.BATCH_HEADER_BYTES > this.#batchBytesMax) this.#seal()
      this.#records.push({ timestamp: now, key: record.key, value: record.value })
      this.#bytes += bytes
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true
      // After the sockets that are ready now have been read: their requests share the batch.
      setImmediate(() => {
        this.#isScheduled = false
        this.#submit()
      })
    }
    return this.#ticket
  }

  /** Calls back once the ticket's records are flushed, at once if they are, or with the error that keeps them from it. */
  after(ticket: number, run: (failure: ErrorCode) => void): void {
    if (ticket <= this.#durable || this.#failure !== ErrorCode.NONE) run(this.#failure)
    else this.#waiting.push({ ticket, run })
  }

  #seal(): void {
    if (this.#records.length === 0) return
    const bytes = encodePlainBatch(this.#records)
    this.#batches.push({ bytes, ticket: this.#ticket })
    this.#ticket++
    this.#records = []
    this.#bytes = 0
  }

  /** Nobody waits for it to return: what nobody expected costs this log. */
  #submit(): void {
    try {
      this.#seal()
      this.#append()
    } catch (error) {
      this.fail(error)
    }
  }

  #append(): void {
    if (this.#isSubmitting) return
    for (let next = this.#batches[0]; next !== undefined; next = this.#batches[0]) {
      const { worker } = this.partition
      if (this.#failure !== ErrorCode.NONE || worker.isLost) {
        this.fail()
        return
      }
      if (!this.partition.append(next.bytes, this.#waiter, next.ticket)) {
        this.#isSubmitting = true
        worker.space().then(() => {
          this.#isSubmitting = false
          this.#submit()
        })
        return
      }
      this.#pending++
      this.#batches.shift()
      this.bytes += next.bytes.length
    }
  }

  readonly #waiter = {
    onAppended: (ticket: number, ring: Ring, at: number): void => {
      const errorCode = ring.words[(at >> 2) + ENTRY_ERROR] as ErrorCode
      if (errorCode !== ErrorCode.NONE) this.#waiter.onCommitted(ticket, errorCode)
      else this.partition.afterCommit(ring, at, this.#waiter, ticket, COMMIT_MS_MAX)
    },
    onCommitted: (ticket: number, errorCode: ErrorCode): void => {
      this.#pending--
      if (errorCode !== ErrorCode.NONE) {
        this.fail()
        return
      }
      this.#durable = ticket
      this.#release()
    },
    onWorkerLost: (): void => {
      this.#pending--
      this.fail()
    },
  }

  #release(): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.ticket <= this.#durable) count++
    for (const { run } of this.#waiting.splice(0, count)) run(ErrorCode.NONE)
  }

  /** Memory is ahead of what is on the disk, and only a new load can be trusted. */
  fail(cause?: unknown): void {
    if (this.#failure !== ErrorCode.NONE) return
    this.end(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    this.#onFailure(cause)
  }

  /** Nothing is written any more; all who wait are told. */
  end(errorCode: ErrorCode): void {
    if (this.#failure !== ErrorCode.NONE) return
    this.#failure = errorCode
    this.#batches.length = 0
    this.#records = []
    for (const { run } of this.#waiting.splice(0)) run(errorCode)
  }

  /** Whether the log can be read and written, and all that was to be appended has its outcome: after a failure it may be loaded anew. */
  get isReady(): boolean {
    const { offline, worker } = this.partition
    return offline === null && !worker.isLost && this.#refusal() === null && this.#pending === 0
  }

  async #recordsOf(one: Buffer): Promise<BatchRecord[]> {
    try {
      return [...(await readRecords(one, DECOMPRESSED_BYTES_MAX))]
    } catch (error) {
      if (!isUnreadable(error) || batch.computeCrc(one) !== batch.storedCrc(one)) throw error
      this.#onUnreadable(batch.baseOffset(one), error.message)
      return []
    }
  }

  /** Where the next flushed batch will be: after `flushed`, behind all that was written before. */
  get endOffset(): number {
    return this.partition.logEndOffset
  }

  truncateBefore(offset: number): Promise<void> {
    return this.#truncate(offset)
  }

  /** Resolves when everything written so far is flushed. */
  flushed(): Promise<void> {
    const ticket = this.#records.length > 0 ? this.#ticket : this.#ticket - 1
    return new Promise(resolve => this.after(ticket, () => resolve()))
  }

  /**
   * Reads the log from its start to its end. Control batches and those of transactions are left out, and what no coordinator can have
   * written: batches that are whole, by their checksum, and cannot be opened.
   * What a record holds is valid until the next one is asked for.
   * @throws Error if it is offline or cannot be read
   */
  async *read(): AsyncGenerator<StoredRecord, void, undefined> {
    const { partition } = this
    if (partition.offline !== null)
      throw new Error(`${partition.name} is offline: ${partition.offline}`)
    const end = partition.highWatermark
    let offset = partition.logStartOffset
    while (offset < end) {
      const result = await partition.reader.read(offset, end, LOAD_BYTES, true)
      if (result === null) return
      try {
        for (let at = 0; at < result.records.length; ) {
          const bytes = batch.batchBytes(result.records, at)
          const one = result.records.subarray(at, at + bytes)
          at += bytes
          this.bytes += bytes
          const from = offset
          offset = batch.lastOffset(one) + 1
          const attributes = batch.attributes(one)
          if (batch.isControl(attributes) || batch.isTransactional(attributes)) continue
          for (const record of await this.#recordsOf(one)) {
            if (record.offset < from || record.key === null) continue
            yield { key: record.key, value: record.value }
          }
        }
      } finally {
        this.#pool.release(result.buffer)
      }
    }
  }
}

/** Bytes that it takes in a batch, at most. */
const sizeOf = ({ key, value }: StoredRecord): number =>
  key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES
