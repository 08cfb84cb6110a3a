import { crc32c } from './crc32c.ts'
import { INT64_MAX, int64Of, isInt64 } from './int64.ts'

/**
 * The 61-byte header of a v2 record batch, read and patched in place (KIP-98; DefaultRecordBatch.java). The records
 * behind it stay opaque. All numbers are big-endian.
 *
 *   0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32 | 21 attributes i16
 *   23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64 | 43 producerId i64 | 51 producerEpoch i16
 *   53 baseSequence i32 | 57 recordsCount i32 | 61 records
 *
 * The CRC covers everything from the attributes on, so base offset and leader epoch are set without a new one.
 */
export const BATCH_HEADER_BYTES = 61
/** Base offset and batch length: what comes before the bytes that batchLength counts. */
export const LOG_OVERHEAD_BYTES = 12
export const MAGIC_V2 = 2

const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LOW = 4_294_967_296

export const CODEC_MASK = 0x07
export const CODEC_MAX = 4
const TIMESTAMP_TYPE = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
/** Attributes of a control batch that ends a transaction. */
export const TRANSACTION_MARKER = TRANSACTIONAL | CONTROL
/** The base timestamp is the time in ms from which tombstones and markers in the batch may go (KIP-534). */
const DELETE_HORIZON = 0x40

export const NO_PRODUCER_ID = -1
export const NO_TIMESTAMP = -1

/** Exact, or an end of the range (int64.ts). */
export function readInt64(b: Buffer, at: number): number {
  return int64Of(b.readInt32BE(at), b.readUInt32BE(at + 4))
}

/** @throws RangeError for what is neither exact nor an end */
export function writeInt64(b: Buffer, at: number, value: number): void {
  if (!isInt64(value)) throw new RangeError(`${value} cannot be written as an int64`)
  if (value === INT64_MAX) {
    b.writeInt32BE(0x7fffffff, at)
    b.writeUInt32BE(0xffffffff, at + 4)
    return
  }
  const high = Math.floor(value / LOW)
  b.writeInt32BE(high, at)
  b.writeUInt32BE(value - high * LOW, at + 4)
}

export const baseOffset = (b: Buffer, at = 0): number => readInt64(b, at)
/** Bytes of the whole batch, the first 12 included. */
export const batchBytes = (b: Buffer, at = 0): number => b.readInt32BE(at + 8) + LOG_OVERHEAD_BYTES
export const leaderEpoch = (b: Buffer, at = 0): number => b.readInt32BE(at + 12)
export const magic = (b: Buffer, at = 0): number => b.readInt8(at + 16)
export const storedCrc = (b: Buffer, at = 0): number => b.readUInt32BE(at + CRC_AT)
export const attributes = (b: Buffer, at = 0): number => b.readInt16BE(at + ATTRIBUTES_AT)
export const lastOffsetDelta = (b: Buffer, at = 0): number => b.readInt32BE(at + 23)
export const baseTimestamp = (b: Buffer, at = 0): number => readInt64(b, at + 27)
export const maxTimestamp = (b: Buffer, at = 0): number => readInt64(b, at + 35)
export const producerId = (b: Buffer, at = 0): number => readInt64(b, at + 43)
export const producerEpoch = (b: Buffer, at = 0): number => b.readInt16BE(at + 51)
export const baseSequence = (b: Buffer, at = 0): number => b.readInt32BE(at + 53)
export const recordsCount = (b: Buffer, at = 0): number => b.readInt32BE(at + 57)
export const lastOffset = (b: Buffer, at = 0): number => readInt64(b, at) + b.readInt32BE(at + 23)

export const codec = (attributes: number): number => attributes & CODEC_MASK
export const isLogAppendTime = (attributes: number): boolean => (attributes & TIMESTAMP_TYPE) !== 0
export const isTransactional = (attributes: number): boolean => (attributes & TRANSACTIONAL) !== 0
export const hasDeleteHorizon = (attributes: number): boolean => (attributes & DELETE_HORIZON) !== 0
export const deleteHorizon = (b: Buffer, at = 0): number =>
  hasDeleteHorizon(attributes(b, at)) ? baseTimestamp(b, at) : NO_TIMESTAMP
export const isControl = (attributes: number): boolean => (attributes & CONTROL) !== 0

/** CRC-32C over the batch from its attributes to its end. `batch` holds exactly one batch. */
export function computeCrc(batch: Buffer): number {
  return crc32c(batch.subarray(ATTRIBUTES_AT))
}

/** Writes what the leader decides; outside the CRC. */
export function assign(batch: Buffer, offset: number, epoch: number): void {
  writeInt64(batch, 0, offset)
  batch.writeInt32BE(epoch, 12)
}

/**
 * Makes the batch say how its timestamps came about, and renews the CRC if that changes it: with a time, the batch is
 * LogAppendTime at that time; with -1 a LogAppendTime bit set by the client is cleared (LogValidator.java).
 */
export function setTimestampType(batch: Buffer, appendTime: number): void {
  const old = attributes(batch)
  if (appendTime === NO_TIMESTAMP) {
    if (!isLogAppendTime(old)) return
    batch.writeInt16BE(old & ~TIMESTAMP_TYPE, ATTRIBUTES_AT)
  } else {
    batch.writeInt16BE(old | TIMESTAMP_TYPE, ATTRIBUTES_AT)
    writeInt64(batch, 35, appendTime)
  }
  batch.writeUInt32BE(computeCrc(batch), CRC_AT)
}

/** What a batch is left with when compaction has taken records out of it. Content, length and CRC are `sealBatch`'s. */
export function setKept(
  header: Buffer,
  kept: { count: number; maxTimestamp: bigint; deleteHorizon: number },
): void {
  header.writeInt32BE(kept.count, 57)
  header.writeBigInt64BE(kept.maxTimestamp, 35)
  if (kept.deleteHorizon === NO_TIMESTAMP) return
  header.writeInt16BE(attributes(header) | DELETE_HORIZON, ATTRIBUTES_AT)
  writeInt64(header, 27, kept.deleteHorizon)
}

/** Makes it a batch without records that only says who wrote it and up to which offset (DefaultRecordBatch.writeEmptyHeader). */
export function setEmpty(header: Buffer): void {
  const kept = attributes(header) & (TIMESTAMP_TYPE | TRANSACTIONAL | CONTROL)
  header.writeInt16BE(kept, ATTRIBUTES_AT)
  writeInt64(header, 27, NO_TIMESTAMP)
  header.writeInt32BE(0, 57)
}

/** The sequence number `increment` after `sequence`: it wraps from 2^31 - 1 to 0. */
export function addSequence(sequence: number, increment: number): number {
  const sum = sequence + increment
  return sum > 0x7fffffff ? sum - 0x80000000 : sum
}
