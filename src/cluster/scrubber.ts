/**
 * Reads all that replicas on this broker have from their files, slowly and again and again, and looks whether it is what was appended:
 * a bit that flips on a disk is found while other replicas have what it was.
 */
import { setTimeout as rest } from 'node:timers/promises'
import type { ErrorLog } from '../errors.ts'
import type { BufferPool } from '../topics/buffer-pool.ts'
import { endOf } from './batches.ts'
import type { HostedReplica } from './hosted-replica.ts'
import { readSound } from './sound-read.ts'

/** Read and looked at in one go, in bytes; a batch that is larger in one go of its own. */
const PIECE_BYTES = 256 * 1024
/** Until settings that have been changed are seen. */
const LOOK_MS = 1_000

export interface ScrubberOptions {
  /** All that are on this broker now. */
  readonly replicas: () => Iterable<HostedReplica>
  readonly pool: BufferPool
  /** ms from the begin of one round to the next; 0: never. */
  readonly intervalMs: () => number
  readonly bytesPerSecond: () => number
  readonly onDamaged: (replica: HostedReplica, offset: number) => void
  readonly log: ErrorLog
}

export class Scrubber {
  readonly #o: ScrubberOptions
  readonly #closing = new AbortController()

  constructor(options: ScrubberOptions) {
    this.#o = options
    void this.#run()
  }

  close(): void {
    this.#closing.abort()
  }

  async #run(): Promise<void> {
    let next = performance.now() + this.#o.intervalMs()
    while (await this.#rest(LOOK_MS)) {
      const intervalMs = this.#o.intervalMs()
      next = Math.min(next, performance.now() + intervalMs)
      if (intervalMs === 0 || performance.now() < next) continue
      next = performance.now() + intervalMs
      // Not in order: a broker that is started often would never come to the last.
      const all = [...this.#o.replicas()].sort(() => Math.random() - 0.5)
      for (const replica of all) {
        const isOpen = await this.#scrub(replica).catch(err => {
          this.#o.log.error({ err, partition: replica.partition.name }, 'bug: it is not looked at')
          return true
        })
        if (!isOpen) return
      }
    }
  }

  /** @returns false if it is closed meanwhile */
  async #rest(ms: number): Promise<boolean> {
    const { signal } = this.#closing
    return rest(ms, true, { signal, ref: false }).catch(() => false)
  }

  /** @returns false if it is closed meanwhile */
  async #scrub(replica: HostedReplica): Promise<boolean> {
    const { partition } = replica
    const { pool, onDamaged } = this.#o
    let offset = partition.logStartOffset
    // What comes while it is looked at was right a moment ago.
    const end = partition.logEndOffset
    while (offset < end && !replica.isGone) {
      const read = () => partition.reader.readFile(offset, end, PIECE_BYTES, true).catch(() => null)
      const result = await readSound({ partition, pool, offset, atLeastOne: true, read })
      if (result === 'damaged') onDamaged(replica, offset)
      if (result === null || result === 'damaged') break
      const bytes = result.records.length
      offset = Math.max(endOf(result.records), partition.logStartOffset)
      pool.release(result.buffer)
      if (!(await this.#rest((bytes * 1000) / this.#o.bytesPerSecond()))) return false
    }
    return this.#rest(0)
  }
}
