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
      withBound(maxBytes, maxOutputLength => node.zstdDecompressSync(bytes, { maxOutputLength })),
  }
}

/** Above this the WebAssembly memory could fail to grow, which the library does not notice. */
const WASM_BYTES_MAX = 512 * 1024 * 1024

async function loadWasm(): Promise<Codec> {
  const wasm = await import('@bokuweb/zstd-wasm')
  await wasm.init()
  return {
    compress: bytes => buffer(wasm.compress(bytes)),
    decompress(bytes, maxBytes) {
      const room = outputBytesMax(bytes, Math.min(maxBytes, WASM_BYTES_MAX))
      return buffer(wasm.decompress(bytes, { defaultHeapSize: room }))
    },
  }
}

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const FRAME_MAGIC = 0xfd2fb528
const BLOCK_BYTES_MAX = 128 * 1024
const BLOCK_RLE = 1
const BLOCK_COMPRESSED = 2

/**
 * How much room the one frame in `bytes` needs, from its header or, where that does not say, from the headers of its
 * blocks (RFC 8878, 3.1.1). The library allocates that room and fails if the content does not fit.
 * @throws DecompressionError if it is no frame, or announces more than `maxBytes`
 */
function outputBytesMax(bytes: Buffer, maxBytes: number): number {
  const need = (at: number): void => {
    if (at > bytes.length) throw new DecompressionError(`zstd: cut off at byte ${bytes.length}`)
  }
  need(6)
  if (bytes.readUInt32LE(0) !== FRAME_MAGIC) throw new DecompressionError('zstd: no frame')
  const descriptor = bytes[4]
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]
  const sizeAt = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes
  let at = sizeAt + sizeBytes
  need(at)
  if (sizeBytes > 0) {
    const size = readContentSize(bytes, sizeAt, sizeBytes)
    refuseAbove(maxBytes, size)
    return size
  }
  let room = 0
  for (let isLast = false; !isLast && room < maxBytes; ) {
    need(at + 3)
    const header = bytes.readUIntLE(at, 3)
    isLast = (header & 1) === 1
    const type = (header >> 1) & 3
    const size = header >> 3
    room += type === BLOCK_COMPRESSED ? BLOCK_BYTES_MAX : size
    at += 3 + (type === BLOCK_RLE ? 1 : size)
  }
  return Math.min(room, maxBytes)
}

function readContentSize(bytes: Buffer, at: number, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(at))
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0)
}
