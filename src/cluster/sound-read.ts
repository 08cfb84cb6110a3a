import { setTimeout as rest } from 'node:timers/promises'
import type { BufferPool } from '../topics/buffer-pool.ts'
import type { ReadResult } from '../topics/log-reader.ts'
import type { Partition } from '../topics/partition.ts'
import { areIntact } from './batches.ts'

/** Of the same batches, before they are called damaged: what is cut off or deleted meanwhile is not where it was. */
const READS_MAX = 3
const AGAIN_MS = 100

export interface SoundRead {
  readonly partition: Partition
  readonly pool: BufferPool
  readonly offset: number
  /** If even the first batch is larger than what may be read, it is read all the same: so something comes. */
  readonly atLeastOne: boolean
  /** Reads from the offset on, by the partition's reader. */
  readonly read: () => Promise<ReadResult | null>
}

/**
 * Reads from a log, and looks at what has been on its disk: whether it is what was appended.
 * @returns null if there is nothing to read there
 */
export async function readSound(what: SoundRead): Promise<ReadResult | null | 'damaged'> {
  const { partition, pool, offset } = what
  for (let tries = 1; ; tries++) {
    const result = await what.read()
    if (result !== null) {
      if (!result.isFromFile || areIntact(result.records, offset, partition)) return result
      pool.release(result.buffer)
    }
    if (mayBeNothing(what, result)) return null
    if (tries === READS_MAX) return 'damaged'
    await rest(AGAIN_MS, undefined, { ref: false })
  }
}

/** Whether the offset is not in what is flushed of the log, or not any more; or there may be no batch behind it, or none so small. */
function mayBeNothing(
  { partition, offset, atLeastOne }: SoundRead,
  result: ReadResult | null,
): boolean {
  const { isDeleted, offline, logStartOffset, logEndOffset, hasGaps } = partition
  if (isDeleted || offline !== null || offset < logStartOffset || offset >= logEndOffset)
    return true
  return result === null && (hasGaps || !atLeastOne)
}
