import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, StoreDriver } from '../lib/store-driver.ts'

const HOUR_MS = 3_600_000
const NOW = 1_800_000_000_000

const test = suite('spans are measured by a clock that only goes forward')

const partition = (config: Partial<PartitionToOpen['config']>): PartitionToOpen => ({
  handle: 0,
  name: 'spans-0',
  topicId: Buffer.alloc(16, 1).toString('base64url'),
  partition: 0,
  leaderEpoch: 0,
  config: { ...LOG_CONFIG, ...config },
})

function opened(of: PartitionToOpen): {
  files: MemoryFs
  driver: StoreDriver
  clock: { wall: number; monotonic: number }
} {
  const clock = { wall: NOW, monotonic: 0 }
  const files = new MemoryFs(new Random(1))
  const now = () => clock.wall
  const driver = new StoreDriver({ files, now, monotonic: () => clock.monotonic })
  driver.open([of])
  driver.command('ready', { workers: 1 })
  return { files, driver, clock }
}

test('flush.ms flushes though the clock was set back an hour', () => {
  const relaxed = partition({ flushMessages: 1_000, flushMs: 1_000 })
  const { files, driver, clock } = opened(relaxed)
  assert.is(driver.append(relaxed, plainBatch({ id: 1 })).error, ErrorCode.NONE)
  clock.wall -= HOUR_MS
  clock.monotonic += 1_000
  driver.tick()
  // What a power cut leaves, whatever it does with what is not flushed.
  for (let seed = 0; seed < 20; seed++) {
    const after = new StoreDriver({ files: files.image(new Random(seed)) })
    assert.is(after.open([relaxed])[0]!.nextOffset, 1)
  }
})

test('a producer whose records are old is known as long as one whose records are new', () => {
  const durable = partition({ producerIdExpirationMs: HOUR_MS })
  const { driver, clock } = opened(durable)
  const old = () =>
    plainBatch({ id: 1, producerId: 7, producerEpoch: 0, sequence: 0, timestamp: 1_000 })
  assert.not.ok(driver.append(durable, old()).duplicate)
  driver.command('retention', { handles: [0] })
  assert.ok(driver.append(durable, old()).duplicate, 'a retry is recognised')
  clock.monotonic += HOUR_MS + 1
  driver.command('retention', { handles: [0] })
  assert.not.ok(driver.append(durable, old()).duplicate, 'it has been silent for too long')
})

test.run()
