import { ENTRY_HEADER_BYTES, KIND_APPEND } from '../../src/shared/entry.ts'
import { createSharedMemory } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import type { Bench } from '../harness.ts'
import { measure } from './tiny-bench.ts'

/** One entry through a ring in one thread: reserve, copy, publish, take, release. */
export const ring: Bench = size => {
  const memory = createSharedMemory(4 * 1024 * 1024, 64 * 1024)
  const producer = new Ring(memory, 'request')
  const consumer = new Ring(memory, 'request')
  const through = (payload: Buffer) => () => {
    const at = producer.reserve(KIND_APPEND, payload.length)
    payload.copy(producer.bytes, at + ENTRY_HEADER_BYTES)
    producer.publish()
    consumer.next()
    consumer.release()
  }
  return measure('ring', size, {
    '170 B': { run: through(Buffer.alloc(170)), bytes: 170 },
    '64 KiB': { run: through(Buffer.alloc(65_536)), bytes: 65_536 },
  })
}
