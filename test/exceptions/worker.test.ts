import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { PartitionToOpen } from '../../src/storage/commands.ts'
import { Log } from '../../src/storage/log.ts'
import { boundProducers } from '../../src/storage/producer-bounds.ts'
import { Segment } from '../../src/storage/segment.ts'
import { idOf, plainBatch } from '../lib/batches.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { LOG_CONFIG, readLog, StoreDriver } from '../lib/store-driver.ts'
import { planted } from './planted.ts'

const test = suite('an exception in a worker about one partition costs that partition')
const BROKEN = 1
const ROUNDS = 12

function partition(handle: number): PartitionToOpen {
  const topicId = Buffer.alloc(16, handle + 1).toString('base64url')
  const compaction = { minCompactionLagMs: 0, maxCompactionLagMs: 1 }
  const config = { ...LOG_CONFIG, segmentBytes: 8_000, retentionBytes: 20_000, compaction }
  return { handle, name: `p${handle}-0`, topicId, partition: 0, leaderEpoch: 0, config }
}

const partitions = [0, BROKEN, 2].map(partition)
const relaxed = { ...partition(0).config, flushMessages: 1_000 }

/** Work of every kind on three partitions. @returns what was acknowledged, by partition */
function work(driver: StoreDriver): number[][] {
  const acknowledged: number[][] = [[], [], []]
  const handles = partitions.map(({ handle }) => handle)
  let id = 0
  for (let round = 0; round < ROUNDS; round++) {
    const submitted = new Map<number, [number, number]>()
    for (const to of partitions) {
      // Small shares go through the journal, large ones do not.
      const bytes = plainBatch({ id: ++id, contentBytes: round % 3 === 0 ? 6_000 : 500 })
      submitted.set(driver.submit(to, bytes), [to.handle, id])
    }
    for (const { token, error } of driver.run()) {
      const [handle, sent] = submitted.get(token)!
      if (error === ErrorCode.NONE) acknowledged[handle]!.push(sent)
      else assert.is(error, ErrorCode.KAFKA_STORAGE_ERROR)
      if (handle !== BROKEN) assert.is(error, ErrorCode.NONE)
    }
    driver.tick()
    if (round === 4) driver.command('configure', { handles, config: relaxed })
    if (round === 8) driver.command('configure', { handles, config: partition(0).config })
    driver.command('cleanable', { handles })
    driver.command('retention', { handles })
    const items = handles.map(handle => ({ handle, offset: round }))
    driver.command('deleteRecords', { items })
  }
  return acknowledged
}

/** All that is kept of what was acknowledged is there, of the others at least what is behind the last deletion. */
function checkAfterRestart(files: MemoryFs, acknowledged: readonly number[][]): void {
  const views = new StoreDriver({ files, bypassBytes: 4_000 }).open(partitions)
  for (const view of views) {
    assert.is(view.offline, null)
    const name = partitions[view.handle]!.name
    const ids = new Set(readLog(files, name, view).map(({ bytes }) => idOf(bytes)))
    const newest = acknowledged[view.handle]!.at(-1)
    if (newest !== undefined) assert.ok(ids.has(newest), `${name} has ${newest}`)
  }
}

const METHODS = [
  ...(['append', 'write', 'flush', 'roll', 'snapshotProducers', 'closeFile'] as const),
  ...(['deleteRecordsBefore', 'applyRetention', 'removeFiles'] as const),
]

for (const method of METHODS) {
  for (const nth of [1, 2, 3]) {
    test(`${method}, call ${nth}`, () => {
      const real = Log.prototype[method] as (...args: unknown[]) => unknown
      let calls = 0
      Object.assign(Log.prototype, {
        [method](this: Log, ...args: unknown[]) {
          if (this.dir.endsWith(partitions[BROKEN]!.name) && ++calls === nth) planted()
          return real.apply(this, args)
        },
      })
      const files = new MemoryFs()
      const driver = new StoreDriver({ files, bypassBytes: 4_000, openLogsMax: 1 })
      let acknowledged: number[][]
      try {
        driver.open(partitions)
        driver.command('ready', { workers: 1 })
        acknowledged = work(driver)
      } finally {
        Object.assign(Log.prototype, { [method]: real })
      }
      assert.ok(calls >= nth, 'it was called')
      assert.equal([...driver.offline], [[BROKEN, 'planted']])
      assert.is(driver.stacks.length, 1)
      assert.match(driver.stacks[0]!, /TypeError: planted\n +at /)
      driver.command('close', {})
      checkAfterRestart(files, acknowledged)
    })
  }
}

test('what nobody expected when it is opened', () => {
  const files = new MemoryFs()
  const first = new StoreDriver({ files })
  first.open(partitions)
  first.command('ready', { workers: 1 })
  for (const to of partitions) first.append(to, plainBatch({ id: 7, contentBytes: 500 }))
  const second = new StoreDriver({ files })
  const bad = { ...partitions[BROKEN]!, config: null as never }
  const views = second.open([partitions[0]!, bad, partitions[2]!])
  assert.equal(
    views.map(({ offline }) => offline !== null),
    [false, true, false],
  )
  assert.match(second.stacks[0]!, /TypeError: .*null/)
  assert.is(second.stacks.length, 1)
  checkAfterRestart(files, [[7], [7], [7]])
})

test('what could be compacted of it: the others are told of', () => {
  const driver = new StoreDriver({ files: new MemoryFs() })
  driver.open(partitions)
  driver.command('ready', { workers: 1 })
  for (const to of partitions) {
    for (let i = 0; i < 5; i++) driver.append(to, plainBatch({ id: i, contentBytes: 3_000 }))
  }
  const { firstBatchTimestamp } = Segment.prototype
  Segment.prototype.firstBatchTimestamp = function () {
    if (this.path.includes(partitions[BROKEN]!.name)) planted()
    return firstBatchTimestamp.call(this)
  }
  try {
    const handles = partitions.map(({ handle }) => handle)
    const { logs, failed } = driver.command('cleanable', { handles })
    assert.equal(
      logs.map(({ handle }) => handle),
      [0, 2],
    )
    assert.equal(
      failed.map(({ handle, reason }) => [handle, reason]),
      [[BROKEN, 'planted']],
    )
    assert.match(failed[0]!.stack!, /TypeError: planted\n +at /)
  } finally {
    Segment.prototype.firstBatchTimestamp = firstBatchTimestamp
  }
  // It was only looked at.
  assert.equal([...driver.offline], [])
})

test('the producers that it remembers, when there are too many of all', () => {
  const failed: string[] = []
  const logs = [3, 9, 3].map((size, i) => {
    const producers = new Map(Array.from({ length: size }, (_, id) => [id, {}]))
    const forgetOldest = (count: number): void => {
      if (i === BROKEN) planted()
      for (const id of [...producers.keys()].slice(0, count)) producers.delete(id)
    }
    return { name: `${i}`, log: { producers: { producers, forgetOldest } as never } }
  })
  const guard = ({ name }: { name: string }, action: () => void): void => {
    try {
      action()
    } catch {
      failed.push(name)
    }
  }
  boundProducers(() => logs, guard, 10)
  boundProducers(() => logs, guard, 5)
  assert.ok(failed.every(name => name === `${BROKEN}`))
  assert.ok(failed.length > 0)
})

test.run()
