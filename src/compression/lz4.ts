import { compressFrameSync, uncompressSync } from 'lz4-napi'
import { type Codec, DecompressionError, refuseAbove } from './codec.ts'

/**
 * LZ4 frames, one or several, and skippable ones between them {magic 184d2a5x, u32 size, bytes}. A frame: magic, FLG, BD, [content size u64], [dictionary id u32], header checksum, then
 * blocks {u32 size, its top bit set if stored; bytes; [u32 checksum]} until a size of 0, and [u32 content checksum]. All little-endian.
 * The frame is walked here and the library decodes one block at a time: so the output is bounded exactly, blocks that
 * refer to earlier ones work, and the wrong header checksum of old Kafka clients (KAFKA-3160) does not matter. The
 * checksums inside are not verified: the batch's CRC covers every byte.
 */
const FRAME_MAGIC = 0x184d2204
const SKIPPABLE_MAGIC = 0x184d2a50
const SKIPPABLE_MASK = 0xfffffff0
const FLG_VERSION_MASK = 0xc0
const FLG_VERSION = 0x40
const FLG_BLOCKS_INDEPENDENT = 0x20
const FLG_BLOCK_CHECKSUM = 0x10
const FLG_CONTENT_SIZE = 0x08
const FLG_CONTENT_CHECKSUM = 0x04
const FLG_DICTIONARY = 0x01
const BLOCK_STORED = 0x8000_0000
/** How far back a block may refer. */
const WINDOW_BYTES = 64 * 1024
/** A compressed byte stands for at most so many. */
const RATIO_MAX = 255

export const lz4: Codec = {
  compress: bytes => compressFrameSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)),

  decompress(bytes, maxBytes) {
    const output = new Output(Math.min(maxBytes, 4 * bytes.length), maxBytes)
    let at = 0
    do {
      at = isSkippable(bytes, at) ? skip(bytes, at) : readFrame(bytes, at, output)
    } while (at < bytes.length)
    return output.content
  },
}

/** What has come out so far, in memory that grows up to the bound. */
class Output {
  readonly #maxBytes: number
  #bytes: Buffer<ArrayBuffer>
  #length = 0

  constructor(bytes: number, maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes)
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#length
  }

  get content(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  from(start: number): Buffer {
    return this.#bytes.subarray(start, this.#length)
  }

  put(block: Buffer): void {
    const needed = this.#length + block.length
    refuseAbove(this.#maxBytes, needed)
    if (needed > this.#bytes.length) {
      const room = Math.min(this.#maxBytes, Math.max(needed, 2 * this.#bytes.length))
      const grown = Buffer.allocUnsafe(room)
      this.content.copy(grown)
      this.#bytes = grown
    }
    block.copy(this.#bytes, this.#length)
    this.#length = needed
  }
}

function isSkippable(bytes: Buffer, at: number): boolean {
  if (at + 8 > bytes.length) return false
  return (bytes.readUInt32LE(at) & SKIPPABLE_MASK) >>> 0 === SKIPPABLE_MAGIC
}

function skip(bytes: Buffer, at: number): number {
  const end = at + 8 + bytes.readUInt32LE(at + 4)
  if (end > bytes.length) throw malformed(at, 'a skippable frame is cut off')
  return end
}

/** @returns the position behind the frame */
function readFrame(bytes: Buffer, start: number, output: Output): number {
  const frame = readHeader(bytes, start)
  const outputStart = output.length
  let at = start + frame.headerBytes
  for (;;) {
    const size = readSize(bytes, at)
    at += 4
    if (size === 0) return at + frame.contentChecksumBytes
    const length = size % BLOCK_STORED
    if (length > bytes.length - at) throw malformed(at, 'a block is cut off')
    const raw = bytes.subarray(at, at + length)
    const window = output.from(Math.max(outputStart, output.length - WINDOW_BYTES))
    output.put(size >= BLOCK_STORED ? raw : uncompressBlock(raw, frame, window))
    at += length + frame.checksumBytes
  }
}

interface Frame {
  readonly headerBytes: number
  readonly checksumBytes: number
  readonly contentChecksumBytes: number
  readonly blockBytesMax: number
  readonly independent: boolean
}

function readHeader(bytes: Buffer, at: number): Frame {
  if (at + 7 > bytes.length || bytes.readUInt32LE(at) !== FRAME_MAGIC)
    throw malformed(at, 'no frame')
  const flags = bytes[at + 4]
  if ((flags & FLG_VERSION_MASK) !== FLG_VERSION) throw malformed(at + 4, 'an unknown version')
  if ((flags & FLG_DICTIONARY) !== 0) throw malformed(at + 4, 'a dictionary is needed')
  const sizeCode = (bytes[at + 5] >> 4) & 7
  if (sizeCode < 4) throw malformed(at + 5, `block size ${sizeCode}`)
  return {
    headerBytes: 7 + ((flags & FLG_CONTENT_SIZE) !== 0 ? 8 : 0),
    checksumBytes: (flags & FLG_BLOCK_CHECKSUM) !== 0 ? 4 : 0,
    contentChecksumBytes: (flags & FLG_CONTENT_CHECKSUM) !== 0 ? 4 : 0,
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
