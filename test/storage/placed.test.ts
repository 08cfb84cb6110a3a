import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import type { FileSystem } from '../../src/storage/fs.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { LOG_CONFIG, StoreDriver } from '../lib/store-driver.ts'

const test = suite('appends that followers wait for')

const partition: PartitionToOpen = {
  handle: 0,
  name: 'orders-0',
  topicId: Buffer.alloc(16, 1).toString('base64url'),
  partition: 0,
  leaderEpoch: 3,
  config: LOG_CONFIG,
}

/** How many appends had been told of when a file was first written or flushed, since it was asked last. */
class Watched extends MemoryFs {
  told = (): number => 0
  seen: number | null = null

  override write(...args: Parameters<FileSystem['write']>): void {
    this.seen ??= this.told()
    super.write(...args)
  }

  override fdatasync(fd: number): void {
    this.seen ??= this.told()
    super.fdatasync(fd)
  }
}

function opened(): { driver: StoreDriver; files: Watched } {
  const files = new Watched(new Random(1))
  const driver = new StoreDriver({ files, bypassBytes: 4_000 })
  driver.open([partition])
  driver.command('ready', { workers: 1 })
  files.told = () => driver.placed.length
  files.seen = null
  return { driver, files }
}

for (const [what, contentBytes] of [
  ['go through the journal', 100],
  ['bypass it', 8_000],
] as const) {
  test(`they are told of with their offsets before anything is written, if they ${what}`, () => {
    const { driver, files } = opened()
    driver.share(partition, plainBatch({ id: 1, contentBytes }))
    driver.share(partition, plainBatch({ id: 2, contentBytes }))
    const done = driver.run()
    assert.is(files.seen, 2)
    assert.equal(driver.placed, done)
    assert.equal(
      done.map(({ baseOffset }) => baseOffset),
      [0, 1],
    )
  })
}

test('what is refused, was there before or has nobody waiting is not told of', () => {
  const { driver } = opened()
  const first = plainBatch({ id: 1, producerId: 7, sequence: 0 })
  driver.submit(partition, first)
  driver.share(partition, first)
  driver.share(partition, plainBatch({ id: 2 }), partition.leaderEpoch - 1)
  const [, again, stale] = driver.run()
  assert.ok(again?.duplicate)
  assert.is(stale?.error, ErrorCode.NOT_LEADER_OR_FOLLOWER)
  assert.equal(driver.placed, [])
})

test.run()
