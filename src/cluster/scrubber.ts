/**
 * Reads all that replicas on this broker have from their files, slowly and again and again, and looks whether it is what was appended:
 * a bit that flips on a disk is found while other replicas have what it was.
 */
import { setTimeout as rest } from 'node:timers/promises'
import { guarded } from '../guarded.ts'
import type { BufferPool } from '../topics/buffer-pool.ts'
import type { Partition } from '../topics/partition.ts'
import { areIntact, endOf } from './batches.ts'
import type { HostedReplica } from './hosted-replica.ts'

/** Read and looked at in one go, in bytes; a batch that is larger in one go of its own. */
const PIECE_BYTES = 256 * 1024
/** Of the same batches, before they are called damaged: what was appended and cut meanwhile is not where it was. */
const READS_MAX = 3
const AGAIN_MS = 100
/** Until settings that have been changed are seen. */
const LOOK_MS = 1_000

export interface ScrubberOptions {
  /** All that are on this broker now. */
  readonly replicas: () => Iterable<HostedReplica>
  readonly pool: BufferPool
  /** ms from the begin of one round to the next; 0: never. */
  readonly intervalMs: () => number
  readonly bytesPerSecond: () => number
  readonly onDamaged: (partition: Partition, reason: string) => void
  readonly log: Record<'info' | 'error', (fields: object, message: string) => void>
}

export class Scrubber {
  readonly #o: ScrubberOptions
  readonly #closing = new AbortController()

  constructor(options: ScrubberOptions) {
    this.#o = options
    this.#run().catch(err => options.log.error({ err }, 'bug: logs are not looked at any more'))
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
        if (!(await this.#scrub(replica))) return
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
    let offset = partition.logStartOffset
    // What comes while it is looked at was right a moment ago.
    const end = partition.logEndOffset
    while (offset < end && !replica.isGone && partition.offline === null) {
      const read = await this.#look(partition, offset, end)
      if (read === null) return this.#rest(0)
      if (read === 'damaged') {
        this.#damaged(replica, offset)
        return this.#rest(0)
      }
      offset = Math.max(read.next, partition.logStartOffset)
      if (!(await this.#rest((read.bytes * 1000) / this.#o.bytesPerSecond()))) return false
    }
    return this.#rest(0)
  }

  /** @returns null if there is nothing more */
  async #look(partition: Partition, offset: number, end: number) {
    for (let tries = 1; ; tries++) {
      const result = await partition.reader
        .readFile(offset, end, PIECE_BYTES, true)
        .catch(() => null)
      try {
        if (isOver(partition, offset)) return null
        if (result !== null && areIntact(result.records, offset, partition.hasGaps)) {
          return { next: endOf(result.records), bytes: result.records.length }
        }
        if (result === null && partition.hasGaps) return null
      } finally {
        if (result !== null) this.#o.pool.release(result.buffer)
      }
      if (tries === READS_MAX) return 'damaged'
      if (!(await this.#rest(AGAIN_MS))) return null
    }
  }

  #damaged({ partition, machine }: HostedReplica, offset: number): void {
    const { log, onDamaged } = this.#o
    const reason = `what was read from its log behind offset ${offset} is damaged`
    guarded(log, 'a damaged log could not be given up', { partition: partition.name }, () => {
      if (machine.isSpare) onDamaged(partition, reason)
      else log.error({ partition: partition.name }, `${reason}, and nobody else has it`)
    })
  }
}

/** It is not there any more: deleted, cut off or offline. */
const isOver = (
  { isDeleted, offline, logStartOffset, logEndOffset }: Partition,
  offset: number,
): boolean => isDeleted || offline !== null || offset < logStartOffset || offset >= logEndOffset
