import * as batch from './record-batch.ts'

/** How a transaction ended, as a control batch says it to one partition (ControlRecordType.java, EndTransactionMarker.java). */
export interface TransactionMarker {
  readonly producerId: number
  readonly producerEpoch: number
  readonly isCommit: boolean
  /** Of whoever decided it: older ones are refused. */
  readonly coordinatorEpoch: number
}

const ABORT = 0
const COMMIT = 1
const VERSION = 0
const KEY_BYTES = 4
const VALUE_BYTES = 6
const NO_SEQUENCE = -1
const NO_EPOCH = -1

/**
 * The one record of a marker, behind the batch's header; its deltas are 0, and numbers up to 63 take one byte as zig-zag varints:
 *
 *   0 length 16 | 1 attributes | 2 timestampDelta | 3 offsetDelta | 4 key length 4 | 5 version i16 | 7 type i16
 *   9 value length 6 | 10 version i16 | 12 coordinatorEpoch i32 | 16 headers 0
 */
const RECORD_BYTES = 17
const zigZag = (value: number): number => 2 * value

/** The control batch: one record, which takes an offset. Written by hand: partition workers load no codecs. */
export function encodeMarker(marker: TransactionMarker, timestamp: number): Buffer {
  const bytes = Buffer.alloc(batch.BATCH_HEADER_BYTES + RECORD_BYTES)
  const record = bytes.subarray(batch.BATCH_HEADER_BYTES)
  record[0] = zigZag(RECORD_BYTES - 1)
  record[4] = zigZag(KEY_BYTES)
  record.writeInt16BE(VERSION, 5)
  record.writeInt16BE(marker.isCommit ? COMMIT : ABORT, 7)
  record[9] = zigZag(VALUE_BYTES)
  record.writeInt16BE(VERSION, 10)
  record.writeInt32BE(marker.coordinatorEpoch, 12)
  batch.assign(bytes, 0, NO_EPOCH)
  bytes.writeInt32BE(bytes.length - batch.LOG_OVERHEAD_BYTES, 8)
  bytes.writeInt8(batch.MAGIC_V2, 16)
  bytes.writeInt16BE(batch.TRANSACTION_MARKER, 21)
  batch.writeInt64(bytes, 27, timestamp)
  batch.writeInt64(bytes, 35, timestamp)
  batch.writeInt64(bytes, 43, marker.producerId)
  bytes.writeInt16BE(marker.producerEpoch, 51)
  bytes.writeInt32BE(NO_SEQUENCE, 53)
  bytes.writeInt32BE(1, 57)
  bytes.writeUInt32BE(batch.computeCrc(bytes), 17)
  return bytes
}

/** @param bytes a whole control batch; null if it says nothing of a transaction: it is of another kind, or its record is gone */
export function decodeMarker(bytes: Buffer): TransactionMarker | null {
  if (batch.recordsCount(bytes) !== 1) return null
  const record = new Varints(bytes, batch.BATCH_HEADER_BYTES)
  record.next()
  record.at++ // attributes
  record.next()
  record.next()
  const keyBytes = record.next()
  const key = record.at
  if (keyBytes < KEY_BYTES || key + keyBytes > bytes.length) return null
  record.at += keyBytes
  const valueBytes = record.next()
  const value = record.at
  if (valueBytes < VALUE_BYTES || value + valueBytes > bytes.length) return null
  const type = bytes.readInt16BE(key + 2)
  if (type !== ABORT && type !== COMMIT) return null
  return {
    producerId: batch.producerId(bytes),
    producerEpoch: batch.producerEpoch(bytes),
    isCommit: type === COMMIT,
    coordinatorEpoch: bytes.readInt32BE(value + 2),
  }
}

/** Zig-zag varints, one after the other; what is behind the end reads as 0. Exact where it matters: lengths. */
class Varints {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  next(): number {
    let value = 0
    let scale = 1
    let byte: number
    do {
      byte = this.#bytes[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      scale *= 128
    } while (byte > 0x7f)
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
