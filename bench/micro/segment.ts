import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assign } from '../../src/protocol/record-batch.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { Segment } from '../../src/storage/segment.ts'
import type { Bench } from '../harness.ts'
import { measure } from './tiny-bench.ts'

/** Appending a batch to a segment and handing it to the system, unflushed and flushed. */
export const segment: Bench = async size => {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-bench-'))
  const small = await encodeBatch([{ timestamp: 1, value: Buffer.alloc(100) }])
  const large = await encodeBatch([{ timestamp: 1, value: Buffer.alloc(65_000) }])
  let current = Segment.create(realFileSystem, dir, 0)
  let offset = 0
  const append = (batch: Buffer, flush: boolean) => () => {
    if (current.size > 1 << 29) {
      current.remove()
      current = Segment.create(realFileSystem, dir, offset)
    }
    assign(batch, offset++, 0)
    current.append(batch)
    current.write()
    if (flush) current.flush()
  }
  try {
    return await measure('segment', size, {
      '170 B, written': { run: append(small, false), bytes: small.length },
      '64 KiB, written': { run: append(large, false), bytes: large.length },
      '170 B, flushed': { run: append(small, true), bytes: small.length },
      '64 KiB, flushed': { run: append(large, true), bytes: large.length },
    })
  } finally {
    current.close()
    rmSync(dir, { recursive: true })
  }
}
