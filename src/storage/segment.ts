import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import { ABORTED_BYTES, type AbortedTransaction, putAborted } from './aborted-transactions.ts'
import type { FileSystem } from './fs.ts'
import { IndexFile } from './index-file.ts'
import { removeSegment } from './removal.ts'

/** An index entry at least every so many bytes: Kafka's default of index.interval.bytes. */
export const INDEX_INTERVAL_BYTES = 4096
/** Waiting index bytes are written out when they reach this. */
const INDEX_WAITING_BYTES_MAX = 4 * 1024

export const fileName = (baseOffset: number, extension: string): string =>
  `${String(baseOffset).padStart(20, '0')}.${extension}`

/** `00000000000000000042.log` → 42; null for other names. */
export function parseFileName(name: string, extension: string): number | null {
  const match = /^(\d{20})\.(\w+)$/.exec(name)
  return match !== null && match[2] === extension ? Number(match[1]) : null
}

/**
 * One segment file of a partition and its indexes. Three words, three promises: `append` takes a batch, in order, into
 * memory that the caller keeps alive; `write` hands what was appended to the system, where readers see it; `flush`
 * returns when everything written before is on the disk.
 */
export class Segment {
  readonly baseOffset: number
  readonly path: string
  readonly offsetIndex: IndexFile
  readonly timeIndex: IndexFile
  /** Of transactions. */
  readonly aborted: IndexFile
  readonly #files: FileSystem
  /** Bytes appended, written or not. */
  size: number
  /** Bytes known to be flushed. */
  flushedBytes: number
  /** Largest timestamp in the segment and the last offset of the batch that has it; -1 if empty. */
  maxTimestamp = -1
  maxTimestampOffset = -1
  /** Timestamp of the first batch, from which segment.ms counts; -1 if empty, or not known of a closed segment. */
  firstTimestamp = -1
  /** When this process first appended to it: from then segment.ms counts where records carry no time. Infinite if it has not. */
  openedMs = Number.POSITIVE_INFINITY
  /** Counts up when compaction has put other bytes under the same name. */
  version = 0
  #fd = -1
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #bytesSinceIndexed = 0
  #indexedTimestamp = -1

  constructor(
    files: FileSystem,
    dir: string,
    baseOffset: number,
    state: {
      readonly size: number
      readonly offsetIndexBytes: number
      readonly timeIndexBytes: number
      readonly abortedBytes?: number
    },
    suffix = '',
  ) {
    const pathOf = (extension: string): string =>
      join(dir, fileName(baseOffset, extension)) + suffix
    this.#files = files
    this.baseOffset = baseOffset
    this.path = pathOf('log')
    this.offsetIndex = new IndexFile(files, pathOf('index'), 8, state.offsetIndexBytes)
    this.timeIndex = new IndexFile(files, pathOf('timeindex'), 12, state.timeIndexBytes)
    const { abortedBytes = 0 } = state
    this.aborted = new IndexFile(files, pathOf('txnindex'), ABORTED_BYTES, abortedBytes, true)
    this.size = state.size
    this.flushedBytes = state.size
  }

  /**
   * Makes the file, empty. Its name must be durable (`fsyncDir`) before anything in it is acknowledged.
   * @param suffix behind the names of its files, as long as they do not count
   */
  static create(files: FileSystem, dir: string, baseOffset: number, suffix = ''): Segment {
    const state = { size: 0, offsetIndexBytes: 0, timeIndexBytes: 0 }
    const segment = new Segment(files, dir, baseOffset, state, suffix)
    segment.#fd = files.open(segment.path, 'create')
    files.truncate(segment.#fd, 0)
    return segment
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get fd(): number {
    if (this.#fd === -1) this.#fd = this.#files.open(this.path, 'write')
    return this.#fd
  }

  /** Timestamp of the first batch, looked up in the file of a closed segment; -1 if empty. */
  firstBatchTimestamp(): number {
    if (this.firstTimestamp !== -1) return this.firstTimestamp
    const fd = this.#files.open(this.path, 'read')
    try {
      this.firstTimestamp = firstBatchTimestamp(this.#files, fd, this.size)
      return this.firstTimestamp
    } finally {
      this.#files.close(fd)
    }
  }

  /** Its newest record's time in ms; if its records carry none, when the file was last written, as Kafka has it. */
  newestMs(): number {
    return this.maxTimestamp >= 0 ? this.maxTimestamp : this.#files.modifiedMs(this.path)
  }

  /** Appends one batch whose offsets are assigned; the bytes must stay as they are until `write`. */
  append(bytes: Buffer): void {
    this.note(bytes, this.size)
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.size += bytes.length
  }

  /** Takes a batch at `position` into the indexes and the timestamps: for appending and for rebuilding. */
  note(header: Buffer, position: number, at = 0): void {
    const maxTimestamp = batch.maxTimestamp(header, at)
    const lastOffset = batch.lastOffset(header, at)
    if (this.firstTimestamp === -1) this.firstTimestamp = maxTimestamp
    // A batch that compaction has left without records has no record of that time.
    if (maxTimestamp > this.maxTimestamp && batch.recordsCount(header, at) > 0) {
      this.maxTimestamp = maxTimestamp
      this.maxTimestampOffset = lastOffset
    }
    if (this.#bytesSinceIndexed > INDEX_INTERVAL_BYTES) {
      const entry = this.offsetIndex.append()
      entry.writeInt32BE(lastOffset - this.baseOffset, 0)
      entry.writeUInt32BE(position, 4)
      this.#indexTimestamp()
      this.#bytesSinceIndexed = 0
    }
    this.#bytesSinceIndexed += batch.batchBytes(header, at)
  }

  /** An abort marker in it has ended this transaction. */
  noteAborted(transaction: AbortedTransaction): void {
    putAborted(this.aborted.append(), transaction)
  }

  #indexTimestamp(): void {
    if (this.maxTimestamp <= this.#indexedTimestamp) return
    const entry = this.timeIndex.append()
    batch.writeInt64(entry, 0, this.maxTimestamp)
    entry.writeInt32BE(this.maxTimestampOffset - this.baseOffset, 8)
    this.#indexedTimestamp = this.maxTimestamp
  }

  /** Takes over what an existing time index already knows. */
  resumeTimestamps(maxTimestamp: number, offset: number): void {
    this.maxTimestamp = maxTimestamp
    this.maxTimestampOffset = offset
    this.#indexedTimestamp = maxTimestamp
  }

  /** Hands everything appended to the system. */
  write(): void {
    if (this.#waitingBytes === 0) return
    this.#files.write(this.fd, this.#waiting, this.size - this.#waitingBytes)
    this.#waiting = []
    this.#waitingBytes = 0
    if (this.offsetIndex.waitingBytes >= INDEX_WAITING_BYTES_MAX) this.writeIndexes(false)
    // Readers need these as soon as they see the marker.
    else if (this.aborted.waitingBytes > 0) this.aborted.write(false)
  }

  /** Forgets what was appended and not written: the partition goes offline. */
  dropWaiting(): void {
    this.size -= this.#waitingBytes
    this.#waiting = []
    this.#waitingBytes = 0
  }

  flush(): void {
    if (this.flushedBytes === this.size) return
    const until = this.size - this.#waitingBytes
    this.#files.fdatasync(this.fd)
    this.flushedBytes = until
  }

  writeIndexes(flush: boolean): void {
    this.offsetIndex.write(flush)
    this.timeIndex.write(flush)
    this.aborted.write(flush)
  }

  /** No batch comes after this: the newest timestamp goes to the time index, all is flushed and closed. */
  seal(): void {
    this.write()
    this.flush()
    this.sealIndexes()
    this.close()
  }

  /** Writes both indexes out, the newest timestamp as the last entry. */
  sealIndexes(): void {
    this.#indexTimestamp()
    this.writeIndexes(true)
  }

  close(): void {
    const fd = this.#fd
    if (fd === -1) return
    // First: a close that fails must not be tried again, the number may be another file's by then.
    this.#fd = -1
    this.#files.close(fd)
  }

  /** Removes the segment's files; what is large is left to be freed (removal.ts). The caller flushes the folder. */
  remove(): void {
    this.close()
    const indexes = [this.offsetIndex, this.timeIndex, this.aborted].map(({ path }) => path)
    removeSegment(this.#files, this.path, indexes)
  }
}

/** Of a segment's file; -1 if it is empty. */
export function firstBatchTimestamp(files: FileSystem, fd: number, size: number): number {
  if (size < batch.BATCH_HEADER_BYTES) return -1
  const header = Buffer.alloc(batch.BATCH_HEADER_BYTES)
  files.read(fd, header, 0, header.length, 0)
  return batch.maxTimestamp(header)
}
