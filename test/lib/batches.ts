import * as batch from '../../src/protocol/record-batch.ts'

export interface PlainBatch {
  /** Names the batch among all of a test: the first four bytes of its content. */
  readonly id: number
  readonly records?: number
  /** Bytes behind the header, at least 4. */
  readonly contentBytes?: number
  readonly timestamp?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly sequence?: number
}

/** A batch whose header and CRC are right and whose records nobody looks into. */
export function plainBatch(plain: PlainBatch): Buffer {
  const { id, records = 1, contentBytes = 20, timestamp = 1_000, producerId = -1 } = plain
  const bytes = Buffer.alloc(batch.BATCH_HEADER_BYTES + contentBytes, id & 0xff)
  batch.assign(bytes, 0, -1)
  bytes.writeInt32BE(bytes.length - batch.LOG_OVERHEAD_BYTES, 8)
  bytes.writeInt8(batch.MAGIC_V2, 16)
  bytes.writeInt16BE(0, 21)
  bytes.writeInt32BE(records - 1, 23)
  batch.writeInt64(bytes, 27, timestamp)
  batch.writeInt64(bytes, 35, timestamp)
  batch.writeInt64(bytes, 43, producerId)
  bytes.writeInt16BE(plain.producerEpoch ?? (producerId < 0 ? -1 : 0), 51)
  bytes.writeInt32BE(plain.sequence ?? -1, 53)
  bytes.writeInt32BE(records, 57)
  bytes.writeUInt32BE(id, batch.BATCH_HEADER_BYTES)
  bytes.writeUInt32BE(batch.computeCrc(bytes), 17)
  return bytes
}

export const idOf = (bytes: Buffer): number => bytes.readUInt32BE(batch.BATCH_HEADER_BYTES)
