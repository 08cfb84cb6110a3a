import type { BatchOpener } from '../protocol/batch-content.ts'
import { isUnreadable } from '../protocol/records.ts'

/** Records that an answer names; what is wrong with the others is the same. */
const NAMED_MAX = 100

/** Why a batch cannot be kept on a compacted topic. */
export interface KeyRefusal {
  readonly errorMessage: string
  readonly recordErrors: readonly {
    readonly batchIndex: number
    readonly batchIndexErrorMessage: string
  }[]
}

/**
 * On a compacted topic every record needs a key (LogValidator.validateKey): the one place where a batch is opened on its
 * way in. Synchronous, as everything up to the append is.
 * @returns null if all have one
 */
export function checkKeys(records: Buffer, opener: BatchOpener): KeyRefusal | null {
  try {
    return keyless(records, opener)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return { errorMessage: `the records cannot be read: ${error.message}`, recordErrors: [] }
  }
}

function keyless(batch: Buffer, opener: BatchOpener): KeyRefusal | null {
  const batchIndexErrorMessage = 'it has no key, and the topic is compacted'
  const recordErrors: { batchIndex: number; batchIndexErrorMessage: string }[] = []
  let count = 0
  const records = opener.open(batch)
  for (let batchIndex = 0; records.next(); batchIndex++) {
    if (records.key !== null) continue
    if (count++ < NAMED_MAX) recordErrors.push({ batchIndex, batchIndexErrorMessage })
  }
  if (count === 0) return null
  const which = count === 1 ? `record ${recordErrors[0]!.batchIndex} has` : `${count} records have`
  return { errorMessage: `${which} no key, and the topic is compacted`, recordErrors }
}
