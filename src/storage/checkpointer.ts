import type { FileSystem } from './fs.ts'
import { isDiskFull } from './reserve.ts'
import { type SafePoint, writeWorkerCheckpoint } from './worker-checkpoint.ts'

/** What is known of each partition, by topic id and number. */
type SafePoints = Iterable<readonly [string, SafePoint]>

/** Writes a worker's checkpoint, and knows when that was and what it says. */
export class Checkpointer {
  /** Something has been flushed that the checkpoint does not say. */
  isStale = false
  /** When it was last written, in ms of the monotonic clock. */
  writtenAt = 0
  /** Bytes of the last one, both copies. */
  bytes = 0
  /** Of this incarnation: what the checkpoint says. */
  flushedSequence = 0
  readonly #files: FileSystem
  readonly #journalDir: string
  readonly #monotonic: () => number
  readonly #safePoints: () => SafePoints
  #revision: number

  /** `revision`: of the last one that there was. */
  constructor(
    files: FileSystem,
    journalDir: string,
    monotonic: () => number,
    safePoints: () => SafePoints,
    revision: number,
  ) {
    this.#files = files
    this.#journalDir = journalDir
    this.#monotonic = monotonic
    this.#safePoints = safePoints
    this.#revision = revision
  }

  /**
   * Writes what is flushed: journal groups up to the incarnation, and of the next one up to the sequence, count no more.
   * `others` are partitions of which only the last run knew.
   */
  write(flushedIncarnation: number, flushedSequence: number, others: SafePoints = []): void {
    const partitions: Record<string, SafePoint> = Object.fromEntries(others)
    for (const [key, safe] of this.#safePoints()) partitions[key] = safe
    const checkpoint = { flushedIncarnation, flushedSequence, partitions }
    this.bytes = writeWorkerCheckpoint(this.#files, this.#journalDir, ++this.#revision, checkpoint)
    this.flushedSequence = flushedSequence
    this.isStale = false
    this.writtenAt = this.#monotonic()
  }

  /** The same where it may wait. @returns false if the disk has no room for it, and nothing has changed */
  tryToWrite(flushedIncarnation: number, flushedSequence: number, others?: SafePoints): boolean {
    try {
      this.write(flushedIncarnation, flushedSequence, others)
      return true
    } catch (error) {
      if (isDiskFull(error)) return false
      throw error
    }
  }
}
