import { BatchOpener } from '../protocol/batch-content.ts'
import { isUnreadable } from '../protocol/records.ts'
import { CONTENT_BYTES_MAX } from './log-config.ts'

/** Records that an answer names; what is wrong with the others is the same. */
const NAMED_MAX = 100

/** Bytes of a batch, and of what it holds, that are looked through without a thread of their own: some ms at most. */
const AT_ONCE_BYTES = 256 * 1024

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

/** The same for a batch that does not take long; of any other it says that it is too much. */
export function checkKeysAtOnce(
  records: Buffer,
  opener: BatchOpener,
): KeyRefusal | null | 'too much' {
  if (records.length > AT_ONCE_BYTES) return 'too much'
  try {
    return keyless(records, opener, AT_ONCE_BYTES)
  } catch (error) {
    // It may hold too much, or be no such batch: whoever can take longer finds out.
    if (!isUnreadable(error)) throw error
    return 'too much'
  }
}

let opening: Promise<BatchOpener> | null = null

/** The same in a task thread, for any batch. */
export async function checkKeysInTask({
  batch,
}: {
  batch: Uint8Array
}): Promise<KeyRefusal | null> {
  opening ??= BatchOpener.load(CONTENT_BYTES_MAX)
  const { buffer, byteOffset, length } = batch
  return checkKeys(Buffer.from(buffer, byteOffset, length), await opening)
}

function keyless(batch: Buffer, opener: BatchOpener, contentBytesMax?: number): KeyRefusal | null {
  const batchIndexErrorMessage = 'it has no key, and the topic is compacted'
  const recordErrors: { batchIndex: number; batchIndexErrorMessage: string }[] = []
  let count = 0
  const records = opener.open(batch, contentBytesMax)
  for (let batchIndex = 0; records.next(); batchIndex++) {
    if (records.key !== null) continue
    if (count++ < NAMED_MAX) recordErrors.push({ batchIndex, batchIndexErrorMessage })
  }
  if (count === 0) return null
  const which = count === 1 ? `record ${recordErrors[0]!.batchIndex} has` : `${count} records have`
  return { errorMessage: `${which} no key, and the topic is compacted`, recordErrors }
}
