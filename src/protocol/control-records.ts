import { RawRecords } from './raw-records.ts'
import * as batch from './record-batch.ts'
import { encodePlainBatch, MalformedBatch } from './records.ts'

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
/** Key: int16 version, int16 type. Value: int16 version, int32 coordinator epoch. */
const VERSION = 0
const KEY_BYTES = 4
const VALUE_BYTES = 6

/** The control batch: one record, which takes an offset. */
export function encodeMarker(marker: TransactionMarker, timestamp: number): Buffer {
  const { producerId, producerEpoch, isCommit, coordinatorEpoch } = marker
  const key = Buffer.alloc(KEY_BYTES)
  key.writeInt16BE(VERSION, 0)
  key.writeInt16BE(isCommit ? COMMIT : ABORT, 2)
  const value = Buffer.alloc(VALUE_BYTES)
  value.writeInt16BE(VERSION, 0)
  value.writeInt32BE(coordinatorEpoch, 2)
  const options = { producerId, producerEpoch, transactional: true, control: true }
  return encodePlainBatch([{ timestamp, key, value }], options)
}

/** @param bytes a whole control batch; null if it says nothing of a transaction: it is of another kind, or its record is gone */
export function decodeMarker(bytes: Buffer): TransactionMarker | null {
  if (batch.recordsCount(bytes) !== 1) return null
  const content = bytes.subarray(batch.BATCH_HEADER_BYTES)
  const records = new RawRecords(content, 1, batch.lastOffsetDelta(bytes))
  try {
    if (!records.next()) return null
  } catch (error) {
    if (!(error instanceof MalformedBatch)) throw error
    return null
  }
  const { key } = records
  if (key === null || key.length < KEY_BYTES) return null
  const type = key.readInt16BE(2)
  if (type !== ABORT && type !== COMMIT) return null
  // The value comes behind the key and its own length, which is one byte.
  const valueAt = key.byteOffset - content.byteOffset + key.length + 1
  if (!records.hasValue || valueAt + VALUE_BYTES > records.end) return null
  return {
    producerId: batch.producerId(bytes),
    producerEpoch: batch.producerEpoch(bytes),
    isCommit: type === COMMIT,
    coordinatorEpoch: content.readInt32BE(valueAt + 2),
  }
}
