import { type FileSystem, readFile } from './fs.ts'

/**
 * A sparse index beside a segment, in Kafka's format (OffsetIndex.java, TimeIndex.java), big-endian:
 *   .index      {int32 offset - base, int32 position}: the batch at `position` ends with that offset
 *   .timeindex  {int64 timestamp, int32 offset - base}: no batch up to that offset is newer than that time
 *   .txnindex   aborted-transactions.ts
 * It is derived from the segment: entries wait in memory until `write`, a crash loses the waiting ones, and recovery
 * makes them again. It never bounds the log.
 */
export class IndexFile {
  readonly path: string
  readonly #files: FileSystem
  readonly #entryBytes: number
  /** Without entries there is no file. */
  #isOptional: boolean
  #written: number
  #waiting: Buffer
  #waitingBytes = 0

  /** `bytes`: the valid length of the file now; what lies behind it is overwritten. */
  constructor(
    files: FileSystem,
    path: string,
    entryBytes: 8 | 12 | 34,
    bytes = 0,
    isOptional = false,
  ) {
    this.#files = files
    this.path = path
    this.#entryBytes = entryBytes
    this.#written = bytes
    this.#isOptional = isOptional
    this.#waiting = Buffer.alloc(0)
  }

  get bytes(): number {
    return this.#written + this.#waitingBytes
  }

  /** Room for one more entry; the caller fills the bytes returned. */
  append(): Buffer {
    if (this.#waitingBytes + this.#entryBytes > this.#waiting.length) {
      const grown = Buffer.alloc(Math.max(this.#entryBytes * 16, this.#waiting.length * 2))
      this.#waiting.copy(grown, 0, 0, this.#waitingBytes)
      this.#waiting = grown
    }
    const entry = this.#waiting.subarray(this.#waitingBytes, this.#waitingBytes + this.#entryBytes)
    this.#waitingBytes += this.#entryBytes
    return entry
  }

  /** From now on there is a file, also without entries. */
  require(): void {
    this.#isOptional = false
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Writes what waits, and cuts whatever an older file had behind it; flushes if asked. */
  write(flush: boolean): void {
    if (this.#isOptional && this.bytes === 0 && !this.#files.exists(this.path)) return
    const fd = this.#files.open(this.path, 'create')
    try {
      if (this.#waitingBytes > 0) {
        this.#files.write(fd, [this.#waiting.subarray(0, this.#waitingBytes)], this.#written)
      }
      this.#written += this.#waitingBytes
      this.#waitingBytes = 0
      this.#waiting = Buffer.alloc(0)
      if (this.#files.size(fd) > this.#written) this.#files.truncate(fd, this.#written)
      if (flush) this.#files.fdatasync(fd)
    } finally {
      this.#files.close(fd)
    }
  }

  /** The entries on disk; the whole file, which the caller checks. */
  static read(files: FileSystem, path: string): Buffer | null {
    return files.exists(path) ? readFile(files, path) : null
  }
}

/** Position of the last entry of an offset index whose offset is at most `relative`; 0 if there is none. */
export function positionFor(index: Buffer, relative: number): number {
  let low = 0
  let high = Math.floor(index.length / 8)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (index.readInt32BE(middle * 8) <= relative) low = middle + 1
    else high = middle
  }
  return low === 0 ? 0 : index.readInt32BE((low - 1) * 8 + 4)
}

/** Whether the bytes can be an offset index of a segment of this size: whole entries, rising, inside the segment. */
export function isOffsetIndex(index: Buffer, segmentBytes: number): boolean {
  if (index.length % 8 !== 0) return false
  let offset = -1
  let position = -1
  for (let at = 0; at < index.length; at += 8) {
    const nextOffset = index.readInt32BE(at)
    const nextPosition = index.readInt32BE(at + 4)
    if (nextOffset <= offset || nextPosition <= position || nextPosition >= segmentBytes)
      return false
    offset = nextOffset
    position = nextPosition
  }
  return true
}
