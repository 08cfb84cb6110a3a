import { crc32c as native } from '@node-rs/crc32'

/** CRC-32C (Castagnoli) of the bytes as an unsigned number; `previous` continues an earlier one. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return native(bytes, previous)
}
