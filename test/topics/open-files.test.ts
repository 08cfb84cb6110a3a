import { readdirSync, readlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OpenFiles } from '../../src/storage/open-files.ts'
import { fetchRecords } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'

const PARTITIONS = 200
const FILES_MAX = 64
/** Threads close files after the reads that are before them in the queue: it is over by then. */
const CLOSED_MS_MAX = 2_000

const test = suite('open files are bounded')

/** Segment files that this process has open. */
function openSegments(dataDir: string): string[] {
  return readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(dataDir) && /\d{20}\.log$/.test(path) ? [path] : []
    } catch {
      return [] // the descriptor of this very listing
    }
  })
}

test('many partitions are made, written and read with few files, before and after a restart', async () => {
  let wire = await Wire.start({ openFiles: FILES_MAX })
  try {
    const topic = await wire.createTopic('many', PARTITIONS)
    const isBounded = async (when: string): Promise<void> => {
      const end = Date.now() + CLOSED_MS_MAX
      let { length } = openSegments(wire.node.dataDir)
      while (length > FILES_MAX && Date.now() < end) {
        await setImmediate()
        length = openSegments(wire.node.dataDir).length
      }
      assert.ok(length <= FILES_MAX, `${length} files ${when}`)
    }
    await isBounded('after they were made')
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < PARTITIONS; index++) await wire.produceTo('many', index, 1)
      await isBounded(`after ${round + 1} records in each`)
    }
    await Promise.all(topic.partitions.map(p => p.reader.read(0, 2, 1_000, true)))
    await isBounded('after all were read')
    wire = await wire.restart()
    for (let index = 0; index < PARTITIONS; index++) await wire.produceTo('many', index, 1)
    for (const partition of wire.node.registry.topic('many')!.partitions) {
      assert.is(partition.logEndOffset, 3)
    }
    assert.ok((await fetchRecords(wire, 'many', 0)).length > 0)
    await isBounded('after a restart')
  } finally {
    await wire.close()
  }
})

test('of files the one used longest ago is closed, but none that is in use', () => {
  const open = new OpenFiles<string>(2)
  const closed: string[] = []
  const use = (file: string): void => {
    open.touch(file)
    closed.push(...open.excess(one => one !== 'busy'))
  }
  for (const file of ['busy', 'a', 'b']) use(file)
  assert.equal(closed, ['a'])
  use('c')
  assert.equal(closed, ['a', 'b'])
  open.forget('busy')
  use('d')
  assert.equal(closed, ['a', 'b'], 'there is room for two')
})

test.run()
