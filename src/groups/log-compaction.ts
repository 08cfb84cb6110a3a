import { ErrorCode } from '../protocol/error-codes.ts'
import type { ShardOptions } from './entry.ts'
import type { Shard } from './shard.ts'

/** So many bytes of log are always worth keeping: below, the log is not written anew. */
const COMPACT_BYTES_MIN = 8 * 1024 * 1024
/** The log is written anew when it is so many times as long as what is still true of it. */
const COMPACT_FACTOR = 3
/** Groups of a snapshot written in one turn of the event loop. */
const COMPACT_GROUPS = 100

/**
 * Keeps one partition of __consumer_offsets short, which bounds what a start has to read: all that is true is written anew at
 * the end of the log and what is before is dropped, when the log has grown to a multiple of that. Every change is written in
 * the order in which it is made, so a snapshot taken piece by piece amid changes is as good as one taken at once.
 */
export class GroupLogCompaction {
  readonly #o: ShardOptions
  readonly #shard: Shard
  /** Bytes of the log when it was last written anew, and about how many of them are still true. */
  #compactedBytes = 0
  #liveBytes = 0
  #compacting: Promise<void> | null = null

  constructor(options: ShardOptions, shard: Shard) {
    this.#o = options
    this.#shard = shard
  }

  /** Resolves when it is not under way. */
  async idle(): Promise<void> {
    await this.#compacting
  }

  /** The log has been read; so much of it, 0 to 1, is still true. */
  loaded(liveShare: number): void {
    this.#liveBytes = this.#o.log.bytes * liveShare
  }

  runIfDue(): void {
    const length = this.#o.log.bytes - this.#compactedBytes
    const isLong = length > Math.max(COMPACT_BYTES_MIN, COMPACT_FACTOR * this.#liveBytes)
    if (!isLong || this.#compacting !== null || !this.#shard.closed.areKnown) return
    this.#compacting = this.run()
      .catch(err => this.#o.logger.error({ err }, 'compaction of a group log failed'))
      .finally(() => {
        this.#compacting = null
      })
  }

  /** A group that is closed meanwhile is not in what was written: then the log keeps its start. */
  async run(): Promise<void> {
    const { log } = this.#o
    const { closed } = this.#shard
    if (!closed.areKnown) return
    const { closings } = closed
    await log.flushed()
    const from = log.endOffset
    const before = log.bytes
    const ids = [...this.#shard.entries].map(({ id }) => id)
    log.write(closed.records, this.#o.wallClock())
    for (let i = 0; i < ids.length; i += COMPACT_GROUPS) {
      for (const id of ids.slice(i, i + COMPACT_GROUPS)) {
        const entry = this.#shard.find(id)
        if (entry !== undefined) this.#shard.rewrite(entry)
      }
      await log.flushed()
      if (log.failure !== ErrorCode.NONE || closed.closings !== closings) return
    }
    this.#compactedBytes = before
    this.#liveBytes = log.bytes - before
    await log.truncateBefore(from)
  }
}
