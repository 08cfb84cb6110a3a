import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import { FreeSpace } from '../../src/storage/free-space.ts'
import { Reserve, withReserve } from '../../src/storage/reserve.ts'
import { plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'
import { KEPT_FREE_BYTES, LOG_CONFIG, StoreDriver } from '../lib/store-driver.ts'

const test = suite('a full disk')

const PARTITION: PartitionToOpen = {
  handle: 0,
  name: 'full-0',
  topicId: Buffer.alloc(16, 1).toString('base64url'),
  partition: 0,
  leaderEpoch: 0,
  config: LOG_CONFIG,
}

/** A store on a disk whose free space is what the test says. */
class Disk {
  readonly files = new MemoryFs(new Random(1))
  free = Number.POSITIVE_INFINITY
  driver: StoreDriver
  #nextId = 1

  constructor() {
    this.driver = this.start()
  }

  start(): StoreDriver {
    const driver = new StoreDriver({ files: this.files, freeBytes: () => this.free })
    driver.open([PARTITION])
    driver.command('ready', { workers: 1 })
    this.driver = driver
    return driver
  }

  append(): number {
    return this.driver.append(PARTITION, plainBatch({ id: this.#nextId++, contentBytes: 100 }))
      .error
  }
}

test('appends are refused before anything fails, nothing goes offline, and they resume by themselves', () => {
  const disk = new Disk()
  assert.is(disk.append(), ErrorCode.NONE)
  disk.free = KEPT_FREE_BYTES - 1
  disk.files.arm({ at: 1, kind: 'write', code: 'ENOSPC' })
  assert.is(disk.append(), ErrorCode.KAFKA_STORAGE_ERROR)
  for (let i = 0; i < 5; i++) disk.driver.tick()
  assert.not.ok(disk.files.hasFailed, 'nothing was written')
  assert.is(disk.driver.offline.size, 0)
  disk.files.fault = null
  disk.free = KEPT_FREE_BYTES
  assert.is(disk.append(), ErrorCode.NONE)
  const [view] = new Disk().driver.open([PARTITION])
  assert.is(view!.offline, null)
})

test('idle work that finds the disk full is done again when there is room', () => {
  const disk = new Disk()
  assert.is(disk.append(), ErrorCode.NONE)
  let struck = 0
  for (const kind of ['write', 'truncate', 'rename'] as const) {
    for (let at = 1; at <= 4; at++) {
      disk.files.arm({ at, kind, code: 'ENOSPC' })
      disk.driver.tick()
      if (disk.files.hasFailed) struck++
      disk.files.fault = null
      assert.is(disk.append(), ErrorCode.NONE, `${kind} ${at}`)
    }
  }
  assert.ok(struck >= 3, `${struck} calls failed`)
  assert.is(disk.driver.offline.size, 0)
})

test('a start on a full disk can be read; appends wait until the checkpoint is written', () => {
  const disk = new Disk()
  for (let i = 0; i < 3; i++) assert.is(disk.append(), ErrorCode.NONE)
  disk.free = 0
  const [view] = disk.start().open([PARTITION])
  assert.is(view!.offline, null)
  assert.is(view!.nextOffset, 3)
  assert.is(disk.append(), ErrorCode.KAFKA_STORAGE_ERROR)
  disk.free = KEPT_FREE_BYTES
  disk.driver.tick()
  assert.is(disk.append(), ErrorCode.NONE)
})

test('the reserve lets through what finds no room, once', () => {
  const files = new MemoryFs(new Random(1))
  files.mkdir('/d')
  const reserve = new Reserve(files, '/d/reserve')
  const guarded = withReserve(files, reserve)
  const write = (): void => {
    const fd = guarded.open('/d/file', 'create')
    files.arm({ at: 1, kind: 'write', code: 'ENOSPC' })
    try {
      guarded.write(fd, [Buffer.from('x')], 0)
    } finally {
      files.fault = null
      guarded.close(fd)
    }
  }
  assert.throws(write, /ENOSPC/, 'there is none yet')
  reserve.ensure(100_000)
  assert.ok(files.exists('/d/reserve'))
  write()
  assert.not.ok(files.exists('/d/reserve'), 'it has given way')
  assert.throws(write, /ENOSPC/)
  reserve.ensure(100_000)
  assert.ok(new Reserve(files, '/d/reserve').release(), 'the next start knows of it')
})

test('between groups of appends the disk is looked at again after 10 ms, not before', () => {
  let now = 0
  let free = 100
  let looks = 0
  const space = new FreeSpace(
    () => {
      looks++
      return free
    },
    () => now,
  )
  assert.is(space.bytes, 100)
  free = 0
  now = 9
  assert.is(space.bytes, 100)
  assert.is(looks, 1)
  now = 10
  assert.is(space.bytes, 0)
})

test.run()
