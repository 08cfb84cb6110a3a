import { ErrorCode } from '../protocol/error-codes.ts'
import type { GroupEntry, ShardOptions } from './entry.ts'

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
  readonly #groups: ReadonlyMap<string, GroupEntry>
  /** Bytes of the log when it was last written anew, and about how many of them are still true. */
  #compactedBytes = 0
  #liveBytes = 0
  #compacting: Promise<void> | null = null

  constructor(options: ShardOptions, groups: ReadonlyMap<string, GroupEntry>) {
    this.#o = options
    this.#groups = groups
  }

  /** The log has been read; so much of it, 0 to 1, is still true. */
  loaded(liveShare: number): void {
    this.#liveBytes = this.#o.log.bytes * liveShare
  }

  runIfDue(): void {
    const length = this.#o.log.bytes - this.#compactedBytes
    const isLong = length > Math.max(COMPACT_BYTES_MIN, COMPACT_FACTOR * this.#liveBytes)
    if (!isLong || this.#compacting !== null) return
    this.#compacting = this.run()
      .catch(err => this.#o.logger.error({ err }, 'compaction of a group log failed'))
      .finally(() => {
        this.#compacting = null
      })
  }

  async run(): Promise<void> {
    const { log } = this.#o
    await log.flushed()
    const from = log.endOffset
    const before = log.bytes
    const ids = [...this.#groups.keys()]
    for (let i = 0; i < ids.length; i += COMPACT_GROUPS) {
      for (const id of ids.slice(i, i + COMPACT_GROUPS)) {
        const entry = this.#groups.get(id)
        if (entry === undefined) continue
        const records = [...entry.group.snapshot(), ...entry.offsets.snapshot()]
        if (records.length > 0) entry.ticket = log.write(records, this.#o.wallClock())
      }
      await log.flushed()
      if (log.failure !== ErrorCode.NONE) return
    }
    this.#compactedBytes = before
    this.#liveBytes = log.bytes - before
    await log.truncateBefore(from)
  }
}
