import type { BrokerContext } from '../broker-context.ts'
import { isCompacted } from '../configs/topic.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { checkKeys, type KeyRefusal } from '../topics/keyed-records.ts'
import type { Partition } from '../topics/partition.ts'
import { isInternalTopic } from '../topics/topic-names.ts'
import { checkBatch, type Refusal } from './batch-checks.ts'

/** Why a batch is not appended; of records without keys, which. */
export interface AppendRefusal extends Refusal {
  readonly recordErrors?: KeyRefusal['recordErrors']
}

/**
 * What is looked at before a batch of somebody outside goes to its worker: the same for Produce and for embedded appends. On
 * compacted topics the keys of its records come after it.
 * @returns null if it may be appended
 */
export function appendRefusal(
  broker: BrokerContext,
  partition: Partition,
  records: Buffer | null,
  version: number,
  now: number,
  needsAll = true,
): AppendRefusal | null {
  const { config } = partition
  const full = broker.refusesAppends
  if (full !== null) return refusal(ErrorCode.KAFKA_STORAGE_ERROR, full)
  if (partition.offline !== null) {
    const message = `the partition is offline: ${partition.offline}`
    return refusal(ErrorCode.KAFKA_STORAGE_ERROR, message)
  }
  const unfit = partition.refusal(needsAll)
  if (unfit !== ErrorCode.NONE) return refusal(unfit, 'it cannot be appended to here now')
  // In Kafka a client that calls itself __admin_client may: its records would be read at the next start, and not before.
  if (isInternalTopic(partition.topic)) {
    return refusal(ErrorCode.INVALID_TOPIC_EXCEPTION, `only brokers write to ${partition.topic}`)
  }
  if (records === null) return refusal(ErrorCode.INVALID_RECORD, 'no records were sent')
  const { batchBytesMax } = broker.options.limits
  return checkBatch(records, config, batchBytesMax, version, now)
}

/** On a compacted topic a batch is opened as well; this may take as long as the batch is large. */
export function keysRefusal(
  broker: BrokerContext,
  partition: Partition,
  records: Buffer,
): AppendRefusal | null {
  const { opener } = broker.registry
  if (opener === null || !isCompacted(partition.config)) return null
  return keylessRefusal(checkKeys(records, opener))
}

export const keylessRefusal = (keyless: KeyRefusal | null): AppendRefusal | null =>
  keyless === null ? null : { errorCode: ErrorCode.INVALID_RECORD, ...keyless }

const refusal = (errorCode: ErrorCode, errorMessage: string): AppendRefusal => ({
  errorCode,
  errorMessage,
})
