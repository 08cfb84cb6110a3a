import * as zlib from 'node:zlib'
import { type Codec, DecompressionError, refuseAbove, withBound } from './codec.ts'

/** What node:zlib has from Node 22.15 on. */
interface ZstdOfNode {
  zstdCompressSync(bytes: Uint8Array): Buffer
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Buffer
}

/** zstd of Node itself if it has it, else compiled to WebAssembly. */
export function loadZstd(): Promise<Codec> {
  return 'zstd' in process.versions
    ? Promise.resolve(zstdOfNode(zlib as unknown as ZstdOfNode))
    : loadWasm()
}

export function zstdOfNode(node: ZstdOfNode): Codec {
  return {
    compress: bytes => node.zstdCompressSync(bytes),
    decompress: (bytes, maxBytes) =>
      eachFrame(bytes, maxBytes, (frame, room) =>
        withBound(room, maxOutputLength => node.zstdDecompressSync(frame, { maxOutputLength })),
      ),
  }
}

/** Above this the WebAssembly memory could fail to grow, which the library does not notice. */
const WASM_BYTES_MAX = 512 * 1024 * 1024

async function loadWasm(): Promise<Codec> {
  const wasm = await import('@bokuweb/zstd-wasm')
  await wasm.init()
  return {
    compress: bytes => buffer(wasm.compress(bytes)),
    decompress: (bytes, maxBytes) =>
      eachFrame(bytes, Math.min(maxBytes, WASM_BYTES_MAX), (frame, room) =>
        buffer(wasm.decompress(frame, { defaultHeapSize: room })),
      ),
  }
}

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const SKIPPABLE_MASK = 0xfffffff0
const BLOCK_BYTES_MAX = 128 * 1024
const BLOCK_RLE = 1
const BLOCK_COMPRESSED = 2
const CHECKSUM_BYTES = 4
/** Frames in one payload: each costs a call of the library. */
const FRAMES_MAX = 1024

/**
 * A payload is any number of frames, of which skippable ones hold nothing (RFC 8878, 3): Node's own library returns the first without a
 * word, and the other one makes room for that one only. So they are taken one by one.
 * @param decompress gives the content of one frame, at most `room` bytes
 * @throws DecompressionError for what is no frame, or holds more than `maxBytes`
 */
function eachFrame(
  bytes: Buffer,
  maxBytes: number,
  decompress: (frame: Buffer, room: number) => Buffer,
): Buffer {
  const contents: Buffer[] = []
  let left = maxBytes
  let frames = 0
  for (let at = 0; at < bytes.length || at === 0; ) {
    const rest = bytes.subarray(at)
    if (++frames > FRAMES_MAX) throw new DecompressionError(`zstd: over ${FRAMES_MAX} frames`)
    const skipped = skippableBytes(rest)
    if (skipped > 0) {
      at += skipped
      continue
    }
    const { frameBytes, room } = measure(rest, left)
    const content = decompress(rest.subarray(0, frameBytes), room)
    refuseAbove(left, content.length)
    contents.push(content)
    left -= content.length
    at += frameBytes
  }
  return contents.length === 1 ? contents[0]! : Buffer.concat(contents)
}

function need(bytes: Buffer, at: number): void {
  if (at > bytes.length) throw new DecompressionError(`zstd: cut off at byte ${bytes.length}`)
}

/** Of a skippable frame, which has its size behind its magic; 0 for any other. */
function skippableBytes(bytes: Buffer): number {
  if (bytes.length < 8 || (bytes.readUInt32LE(0) & SKIPPABLE_MASK) >>> 0 !== SKIPPABLE_MAGIC)
    return 0
  const size = 8 + bytes.readUInt32LE(4)
  need(bytes, size)
  return size
}

/**
 * How long the frame at the front of `bytes` is, by the headers of its blocks, and how much room its content needs: what its header says
 * or, where that does not say, what the blocks can hold (RFC 8878, 3.1.1). The library allocates that room and fails if the content does
 * not fit.
 * @throws DecompressionError if it is no whole frame, or announces more than `maxBytes`
 */
function measure(bytes: Buffer, maxBytes: number): { frameBytes: number; room: number } {
  need(bytes, 6)
  if (bytes.readUInt32LE(0) !== FRAME_MAGIC) throw new DecompressionError('zstd: no frame')
  const descriptor = bytes[4]
  const isSingleSegment = (descriptor & 0x20) !== 0
  const hasChecksum = (descriptor & 0x04) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]
  const sizeAt = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes
  let at = sizeAt + sizeBytes
  need(bytes, at)
  const announced = sizeBytes > 0 ? readContentSize(bytes, sizeAt, sizeBytes) : null
  if (announced !== null) refuseAbove(maxBytes, announced)
  let held = 0
  for (let isLast = false; !isLast; ) {
    need(bytes, at + 3)
    const header = bytes.readUIntLE(at, 3)
    isLast = (header & 1) === 1
    const type = (header >> 1) & 3
    const size = header >> 3
    held += type === BLOCK_COMPRESSED ? BLOCK_BYTES_MAX : size
    at += 3 + (type === BLOCK_RLE ? 1 : size)
  }
  if (hasChecksum) at += CHECKSUM_BYTES
  need(bytes, at)
  return { frameBytes: at, room: announced ?? Math.min(held, maxBytes) }
}

function readContentSize(bytes: Buffer, at: number, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(at))
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0)
}
