import { gzipSync } from 'node:zlib'
import { Bytes } from './bytes.ts'

const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc >>> 0
})

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!
  return (crc ^ 0xffffffff) | 0
}

const zigzag = (n: number): Buffer => new Bytes().uvarint(n * 2).done()

/** One record with the key `k`. */
function recordOf(value: Buffer): Buffer {
  const parts = [
    Buffer.alloc(3),
    zigzag(1),
    Buffer.from('k'),
    zigzag(value.length),
    value,
    zigzag(0),
  ]
  const record = Buffer.concat(parts)
  return Buffer.concat([zigzag(record.length), record])
}

/** A v2 batch of one record, as a producer without an id sends it. */
export const batchOf = (value: Buffer): Buffer => sealed(recordOf(value), 0)

/** A batch of one record of so many zeros, compressed by gzip to a thousandth of that. */
export const bomb = (bytes: number): Buffer =>
  sealed(gzipSync(recordOf(Buffer.alloc(bytes)), { level: 9 }), 1)

function sealed(content: Buffer, attributes: number): Buffer {
  const now = Date.now()
  const rest = new Bytes().i16(attributes).i32(0).i64(now).i64(now)
  const body = rest.i64(-1).i16(-1).i32(-1).i32(1).raw(content).done()
  return new Bytes()
    .i64(0)
    .i32(9 + body.length)
    .i32(-1)
    .i8(2)
    .i32(crc32c(body))
    .raw(body)
    .done()
}

/** A batch with the checksum of what is in it now. */
export function sealAgain(batch: Buffer): Buffer {
  const bytes = Buffer.from(batch)
  bytes.writeInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}
