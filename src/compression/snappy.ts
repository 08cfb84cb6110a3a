import { compressSync, uncompressSync } from 'snappy'
import { type Codec, DecompressionError, refuseAbove } from './codec.ts'

/**
 * Snappy comes in two shapes. librdkafka sends the raw format: the length of the content as a varint, then its one block.
 * Java sends what the xerial library writes: eight magic bytes, two int32 versions, then {int32 length, raw block} until
 * the end; where a length should be, another such header may begin, as streams that were put together have it. Written here is Java's,
 * which every client reads.
 */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16
const XERIAL_VERSION = 1
const XERIAL_BLOCK_BYTES = 32 * 1024

export const snappy: Codec = {
  compress(bytes) {
    const header = Buffer.alloc(XERIAL_HEADER_BYTES)
    XERIAL_MAGIC.copy(header)
    header.writeInt32BE(XERIAL_VERSION, 8)
    header.writeInt32BE(XERIAL_VERSION, 12)
    const parts: Buffer[] = [header]
    for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
      const block = compressSync(bytes.subarray(at, at + XERIAL_BLOCK_BYTES))
      const length = Buffer.alloc(4)
      length.writeInt32BE(block.length)
      parts.push(length, block)
    }
    return Buffer.concat(parts)
  },

  decompress(bytes, maxBytes) {
    if (!isHeaderAt(bytes, 0)) return uncompressBlock(bytes, maxBytes)
    const blocks: Buffer[] = []
    let left = maxBytes
    let at = XERIAL_HEADER_BYTES
    while (at < bytes.length) {
      if (isHeaderAt(bytes, at)) {
        at += XERIAL_HEADER_BYTES
        continue
      }
      const length = at + 4 <= bytes.length ? bytes.readInt32BE(at) : -1
      at += 4
      if (length <= 0 || length > bytes.length - at) {
        throw new DecompressionError(`snappy: a block at byte ${at - 4} is cut off`)
      }
      const block = uncompressBlock(bytes.subarray(at, at + length), left)
      left -= block.length
      at += length
      blocks.push(block)
    }
    return Buffer.concat(blocks)
  },
}

const isHeaderAt = (bytes: Buffer, at: number): boolean =>
  at + XERIAL_HEADER_BYTES <= bytes.length &&
  bytes[at] === XERIAL_MAGIC[0] &&
  bytes.subarray(at, at + XERIAL_MAGIC.length).equals(XERIAL_MAGIC)

function uncompressBlock(block: Buffer, maxBytes: number): Buffer {
  refuseAbove(maxBytes, announcedBytes(block))
  return uncompressSync(block, { asBuffer: true }) as Buffer
}

/** The content's length at the front of a raw block, which the library would allocate unasked. */
function announcedBytes(block: Buffer): number {
  let value = 0
  for (let i = 0; i < 5 && i < block.length; i++) {
    value += (block[i] & 0x7f) * 2 ** (7 * i)
    if (block[i] < 0x80) return value
  }
  throw new DecompressionError('snappy: the length of the content is malformed')
}
