/**
 * The codecs of record batches, by their number in the batch attributes. Never on the produce path: batches are stored as
 * they were sent. Whoever looks inside (timestamp search, compaction, embedded read and append, the CLI) comes here.
 */
export const CODEC_NONE = 0
export const CODEC_GZIP = 1
export const CODEC_SNAPPY = 2
export const CODEC_LZ4 = 3
export const CODEC_ZSTD = 4

/** The bytes are not what the codec writes, or they hold more than the caller allows. */
export class DecompressionError extends Error {
  override readonly name = 'DecompressionError'
}

/** One codec. Both calls are synchronous: run them on a thread that may be busy for as long as they take. */
export interface Codec {
  compress(bytes: Uint8Array): Buffer
  /**
   * Gives at most `maxBytes` bytes, and never allocates more than a small multiple of that.
   * @throws DecompressionError, or whatever the library throws at malformed bytes; `decompress` below makes it one kind
   */
  decompress(bytes: Buffer, maxBytes: number): Buffer
}

const NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Loaded at first use, so that a broker that never looks inside a batch does not pay for them. */
const loaders: Record<number, () => Promise<Codec>> = {
  [CODEC_GZIP]: async () => (await import('./gzip.ts')).gzip,
  [CODEC_SNAPPY]: async () => (await import('./snappy.ts')).snappy,
  [CODEC_LZ4]: async () => (await import('./lz4.ts')).lz4,
  [CODEC_ZSTD]: async () => (await import('./zstd.ts')).loadZstd(),
}

const loading = new Map<number, Promise<Codec>>()

function load(codec: number): Promise<Codec> {
  let pending = loading.get(codec)
  if (pending === undefined) {
    const loader = loaders[codec]
    if (loader === undefined) throw new RangeError(`there is no codec ${codec}`)
    pending = loader()
    loading.set(codec, pending)
  }
  return pending
}

/** All codecs by their number, for those who cannot wait in the middle of their work. */
export async function loadCodecs(): Promise<ReadonlyMap<number, Codec>> {
  const numbers = Object.keys(loaders).map(Number)
  return new Map(await Promise.all(numbers.map(async n => [n, await load(n)] as const)))
}

/** @throws RangeError for a codec that does not exist */
export async function compress(codec: number, bytes: Uint8Array): Promise<Buffer> {
  return (await load(codec)).compress(bytes)
}

/**
 * @param maxBytes the most that may come out; beyond it is a decompression bomb
 * @throws DecompressionError if the bytes are malformed or hold more; RangeError for a codec that does not exist
 */
export async function decompress(codec: number, bytes: Buffer, maxBytes: number): Promise<Buffer> {
  const loaded = await load(codec)
  return decompressWith(loaded, codec, bytes, maxBytes)
}

/** The same with a codec that is loaded. */
export function decompressWith(
  loaded: Codec,
  codec: number,
  bytes: Buffer,
  maxBytes: number,
): Buffer {
  try {
    return loaded.decompress(bytes, maxBytes)
  } catch (error) {
    if (error instanceof DecompressionError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DecompressionError(`${NAMES[codec]}: ${reason}`, { cause: error })
  }
}

/** Refuses an output size before it is allocated. */
export function refuseAbove(maxBytes: number, bytes: number): void {
  if (bytes > maxBytes) {
    throw new DecompressionError(
      `the content takes ${bytes} bytes or more, ${maxBytes} are allowed`,
    )
  }
}

/** Calls a function of node:zlib with its output bound, which cannot be 0, and gives its refusal our name. */
export function withBound(maxBytes: number, call: (maxOutputLength: number) => Buffer): Buffer {
  try {
    const output = call(Math.max(1, maxBytes))
    refuseAbove(maxBytes, output.length)
    return output
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw cause
    throw new DecompressionError(`the content takes more than ${maxBytes} bytes`, { cause })
  }
}
