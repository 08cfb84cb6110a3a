import { gunzipSync, gzipSync } from 'node:zlib'
import { type Codec, withBound } from './codec.ts'

export const gzip: Codec = {
  compress: bytes => gzipSync(bytes),

  decompress: (bytes, maxBytes) =>
    withBound(maxBytes, maxOutputLength => gunzipSync(bytes, { maxOutputLength })),
}
