import type { TopicConfig } from '../configs/topic.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { isExact } from '../protocol/int64.ts'
import * as batch from '../protocol/record-batch.ts'

/** Why a partition's records are refused. */
export interface Refusal {
  readonly errorCode: ErrorCode
  readonly errorMessage: string
}

const refusal = (errorCode: ErrorCode, errorMessage: string): Refusal => ({
  errorCode,
  errorMessage,
})
const invalid = (message: string): Refusal => refusal(ErrorCode.INVALID_RECORD, message)

/** Produce 7 is the first version whose clients know zstd (KIP-110). */
const ZSTD = 4
const ZSTD_VERSION = 7

/** A record takes at least a length, attributes, two deltas, two lengths and a count. */
const RECORD_BYTES_MIN = 7
/** What one compressed byte stands for at most, by codec: the best that gzip, snappy and lz4 can do, and a zstd block of one byte. */
const RATIO_MAX = [1, 1032, 22, 255, 32 * 1024] as const
/** What readers here take out of one batch at most. */
const CONTENT_BYTES_MAX = 256 * 1024 * 1024

/**
 * Checks one partition's records by the batch header, as Kafka does before it appends (ProduceRequest.validateRecords,
 * UnifiedLog, LogValidator): exactly one v2 batch, whole, of allowed size, with possible counts and timestamps: this is the one
 * place that knows what a log can keep. The CRC and the producer's sequence are checked where the batch is appended. Records themselves
 * are not looked into; the count is held against the bytes that it is sent in, so that few bytes do not use up many offsets.
 */
export function checkBatch(
  records: Buffer,
  config: TopicConfig,
  batchBytesMax: number,
  version: number,
  now: number,
): Refusal | null {
  if (records.length < batch.LOG_OVERHEAD_BYTES + 5)
    return corrupt('the records end inside a batch header')
  if (batch.magic(records) !== batch.MAGIC_V2) {
    return invalid(`only record batches of magic 2 are taken, not of magic ${batch.magic(records)}`)
  }
  if (records.length < batch.BATCH_HEADER_BYTES)
    return corrupt('the records end inside a batch header')
  const bytes = batch.batchBytes(records)
  if (bytes < batch.BATCH_HEADER_BYTES || bytes > records.length) {
    return corrupt(`the batch claims ${bytes} bytes, ${records.length} were sent`)
  }
  if (bytes < records.length) return invalid('a request may hold only one batch for a partition')
  const max = Math.min(Number(config.maxMessageBytes), batchBytesMax)
  if (bytes > max) {
    const bound =
      max < config.maxMessageBytes ? 'the ring takes' : 'max.message.bytes of the topic is'
    const message = `the batch has ${bytes} bytes, ${bound} ${max}`
    return refusal(ErrorCode.MESSAGE_TOO_LARGE, message)
  }
  return checkHeader(records, version) ?? checkTimestamps(records, config, now)
}

function corrupt(message: string): Refusal {
  return refusal(ErrorCode.CORRUPT_MESSAGE, message)
}

function checkHeader(records: Buffer, version: number): Refusal | null {
  const attributes = batch.attributes(records)
  const count = batch.recordsCount(records)
  const delta = batch.lastOffsetDelta(records)
  if (batch.baseOffset(records) !== 0) {
    return invalid(`the batch starts at offset ${batch.baseOffset(records)}, a producer sends 0`)
  }
  if (count <= 0 || count !== delta + 1) {
    return invalid(`the batch claims ${count} records, but its last offset delta is ${delta}`)
  }
  if (batch.isControl(attributes)) return invalid('clients may not write control batches')
  if (batch.hasDeleteHorizon(attributes)) {
    return invalid('the batch claims to be one that compaction has been at')
  }
  const codec = batch.codec(attributes)
  if (codec > batch.CODEC_MAX) {
    return refusal(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, `compression codec ${codec} is unknown`)
  }
  if (codec === ZSTD && version < ZSTD_VERSION) {
    const message = `zstd needs Produce version ${ZSTD_VERSION} or higher`
    return refusal(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, message)
  }
  const contentMax = (records.length - batch.BATCH_HEADER_BYTES) * RATIO_MAX[codec]!
  if (count * RECORD_BYTES_MIN > Math.min(contentMax, CONTENT_BYTES_MAX)) {
    return invalid(`${count} records cannot be in a batch of ${records.length} bytes`)
  }
  if (batch.isTransactional(attributes)) {
    return refusal(ErrorCode.INVALID_TXN_STATE, 'the batch belongs to no open transaction')
  }
  const producerId = batch.producerId(records)
  if (producerId < batch.NO_PRODUCER_ID || !isExact(producerId)) {
    return invalid('no broker has given out this producer id')
  }
  const hasProducer = producerId !== batch.NO_PRODUCER_ID
  if (hasProducer && (batch.baseSequence(records) < 0 || batch.producerEpoch(records) < 0)) {
    return invalid('a batch with a producer id needs an epoch and a base sequence')
  }
  return null
}

function checkTimestamps(records: Buffer, config: TopicConfig, now: number): Refusal | null {
  if (config.messageTimestampType === 'LogAppendTime') return null
  const first = batch.baseTimestamp(records)
  const last = batch.maxTimestamp(records)
  if (!isExact(first) || !isExact(last)) {
    const message = 'a timestamp is beyond 2^53 ms, which is no time'
    return refusal(ErrorCode.INVALID_TIMESTAMP, message)
  }
  if (last === batch.NO_TIMESTAMP) return null
  const late = last - now
  if (late > Number(config.messageTimestampAfterMaxMs)) {
    const message = `timestamp ${last} is ${late} ms ahead, message.timestamp.after.max.ms allows ${config.messageTimestampAfterMaxMs}`
    return refusal(ErrorCode.INVALID_TIMESTAMP, message)
  }
  const early = now - first
  if (early > Number(config.messageTimestampBeforeMaxMs)) {
    const message = `timestamp ${first} is ${early} ms old, message.timestamp.before.max.ms allows ${config.messageTimestampBeforeMaxMs}`
    return refusal(ErrorCode.INVALID_TIMESTAMP, message)
  }
  return null
}
