import { crc32c, portable } from '../../src/protocol/crc32c.ts'
import type { Bench } from '../harness.ts'
import { measure } from './tiny-bench.ts'

/** CRC-32C of a small and a large batch, in the shared memory of a ring, and without the native library. */
export const crc: Bench = size => {
  const shared = Buffer.from(new SharedArrayBuffer(65_536))
  const small = shared.subarray(0, 170)
  return measure('crc32c', size, {
    '170 B': { run: () => crc32c(small), bytes: 170 },
    '64 KiB': { run: () => crc32c(shared), bytes: 65_536 },
    '170 B, portable': { run: () => portable(small), bytes: 170 },
    '64 KiB, portable': { run: () => portable(shared), bytes: 65_536 },
  })
}
