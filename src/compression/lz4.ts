import { compressFrameSync, uncompressSync } from 'lz4-napi'
import { type Codec, DecompressionError, refuseAbove } from './codec.ts'

/**
 * An LZ4 frame: magic, FLG, BD, [content size u64], [dictionary id u32], header checksum, then blocks
 * {u32 size, its top bit set if stored; bytes; [u32 checksum]} until a size of 0. All little-endian.
 * The frame is walked here and the library decodes one block at a time: so the output is bounded exactly, blocks that
 * refer to earlier ones work, and the wrong header checksum of old Kafka clients (KAFKA-3160) does not matter. The
 * checksums inside are not verified: the batch's CRC covers every byte.
 */
const FRAME_MAGIC = 0x184d2204
const FLG_VERSION_MASK = 0xc0
const FLG_VERSION = 0x40
const FLG_BLOCKS_INDEPENDENT = 0x20
const FLG_BLOCK_CHECKSUM = 0x10
const FLG_CONTENT_SIZE = 0x08
const FLG_DICTIONARY = 0x01
const BLOCK_STORED = 0x8000_0000
/** How far back a block may refer. */
const WINDOW_BYTES = 64 * 1024
/** A compressed byte stands for at most so many. */
const RATIO_MAX = 255

export const lz4: Codec = {
  compress: bytes => compressFrameSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)),

  decompress(bytes, maxBytes) {
    const frame = readHeader(bytes)
    let output = Buffer.allocUnsafe(Math.min(maxBytes, 4 * bytes.length))
    let total = 0
    let at = frame.headerBytes
    for (;;) {
      const size = readSize(bytes, at)
      at += 4
      if (size === 0) return output.subarray(0, total)
      const length = size % BLOCK_STORED
      if (length > bytes.length - at) throw malformed(at, 'a block is cut off')
      const raw = bytes.subarray(at, at + length)
      const window = output.subarray(Math.max(0, total - WINDOW_BYTES), total)
      const block = size >= BLOCK_STORED ? raw : uncompressBlock(raw, frame, window)
      refuseAbove(maxBytes, total + block.length)
      if (total + block.length > output.length)
        output = grow(output, total + block.length, maxBytes)
      block.copy(output, total)
      total += block.length
      at += length + frame.checksumBytes
    }
  },
}

function grow(output: Buffer, needed: number, maxBytes: number): Buffer<ArrayBuffer> {
  const grown = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(needed, 2 * output.length)))
  output.copy(grown)
  return grown
}

interface Frame {
  readonly headerBytes: number
  readonly checksumBytes: number
  readonly blockBytesMax: number
  readonly independent: boolean
}

function readHeader(bytes: Buffer): Frame {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== FRAME_MAGIC) throw malformed(0, 'no frame')
  const flags = bytes[4]
  if ((flags & FLG_VERSION_MASK) !== FLG_VERSION) throw malformed(4, 'an unknown version')
  if ((flags & FLG_DICTIONARY) !== 0) throw malformed(4, 'a dictionary is needed')
  const sizeCode = (bytes[5] >> 4) & 7
  if (sizeCode < 4) throw malformed(5, `block size ${sizeCode}`)
  return {
    headerBytes: 7 + ((flags & FLG_CONTENT_SIZE) !== 0 ? 8 : 0),
    checksumBytes: (flags & FLG_BLOCK_CHECKSUM) !== 0 ? 4 : 0,
    blockBytesMax: 2 ** (8 + 2 * sizeCode),
    independent: (flags & FLG_BLOCKS_INDEPENDENT) !== 0,
  }
}

function readSize(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw malformed(at, 'no end mark')
  return bytes.readUInt32LE(at)
}

function uncompressBlock(block: Buffer, frame: Frame, window: Buffer): Buffer {
  // The library allocates what the four bytes in front say and fails if more comes out; less is fine.
  const sized = Buffer.allocUnsafe(4 + block.length)
  sized.writeUInt32LE(Math.min(frame.blockBytesMax, block.length * RATIO_MAX))
  block.copy(sized, 4)
  return uncompressSync(sized, frame.independent ? null : window)
}

function malformed(at: number, what: string): DecompressionError {
  return new DecompressionError(`lz4: ${what} at byte ${at}`)
}
