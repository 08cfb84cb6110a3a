import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FREED_AT_ONCE_BYTES } from '../../src/storage/fs.ts'
import { Freeing } from '../../src/topics/freeing.ts'
import { fetchOne } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'

const MIB = 1024 * 1024
const root = mkdtempSync(join(tmpdir(), 'odradek-freeing-'))
const test = suite('files that no log has any more')
test.after(() => rmSync(root, { recursive: true }))

const unexpected = (error: unknown): never => {
  throw error
}

function fileOf(mebibytes: number, ...path: string[]): string {
  const file = join(root, ...path)
  writeFileSync(file, Buffer.alloc(mebibytes * MIB))
  return file
}

test('a large file shrinks step by step and is gone at the end', async () => {
  const file = fileOf(16, 'large.log.deleted')
  const sizes = new Set<number>()
  const freeing = new Freeing(unexpected)
  freeing.add(file)
  for (let isThere = true; isThere; isThere = existsSync(file)) {
    const size = statSync(file, { throwIfNoEntry: false })?.size
    if (size !== undefined) sizes.add(size)
    await turn()
  }
  await freeing.idle()
  assert.ok(sizes.size > 5, `seen with ${[...sizes]} bytes`)
  const seen = [...sizes]
  for (const [i, size] of seen.slice(1).entries()) {
    assert.ok(size < seen[i]! && seen[i]! - size <= 2 * FREED_AT_ONCE_BYTES)
  }
})

test('a folder goes with all that is in it, and what is gone already is no failure', async () => {
  const folder = join(root, 'topic-0.1-delete')
  mkdirSync(folder)
  fileOf(5, 'topic-0.1-delete', 'a.log')
  fileOf(1, 'topic-0.1-delete', 'b.index')
  const freeing = new Freeing(unexpected)
  freeing.add(join(root, 'never was'))
  freeing.add(folder)
  await freeing.idle()
  assert.not(existsSync(folder))
})

test('what cannot be removed is told, and the next one is', async () => {
  const failed: string[] = []
  const freeing = new Freeing((_, path) => failed.push(path))
  const strange = join(fileOf(1, 'a file'), 'is no folder')
  const file = fileOf(3, 'next')
  freeing.add(strange)
  freeing.add(file)
  await freeing.idle()
  assert.equal(failed, [strange])
  assert.not(existsSync(file))
})

test('closing does not wait for all of it', async () => {
  const file = fileOf(64, 'left.log.deleted')
  const freeing = new Freeing(unexpected)
  freeing.add(file)
  while (statSync(file).size === 64 * MIB) await turn()
  await freeing.close()
  assert.ok(existsSync(file), 'the next start removes it')
})

const LARGE_SEGMENTS = { 'segment.bytes': String(4 * MIB) }
const foldersOf = (wire: Wire): string[] =>
  readdirSync(wire.node.dataDir).filter(name => name.startsWith('large-0'))
const filesOf = (wire: Wire): string[] => readdirSync(join(wire.node.dataDir, 'large-0'))

async function fill(wire: Wire, mebibytes: number): Promise<void> {
  for (let i = 0; i < mebibytes; i++) await wire.produceBytes('large', MIB - 100)
}

test('large segments are freed after DeleteRecords, retention, and deletion of their topic', async () => {
  const wire = await Wire.start()
  const { registry } = wire.node
  try {
    const topic = await wire.createTopic('large', 1, LARGE_SEGMENTS)
    await fill(wire, 18)
    await registry.replicas.deleteRecords(topic.partitions[0]!, 4)
    await registry.setConfigs(topic, configs => ({
      ...configs,
      'retention.bytes': String(9 * MIB),
    }))
    await registry.rounds.applyRetention()
    const { records } = await fetchOne(wire, 'large', topic.partitions[0]!.logStartOffset)
    assert.ok(records.length > 0)
    await registry.replicas.freeing.idle()
    assert.is(filesOf(wire).filter(name => name.includes('.log')).length, 3)
    await registry.delete(topic)
    await registry.replicas.freeing.idle()
    assert.equal(foldersOf(wire), [])
  } finally {
    await wire.close()
  }
})

test('what a crash leaves of them is removed by the next start', async () => {
  let wire = await Wire.start()
  try {
    await wire.createTopic('large', 1, LARGE_SEGMENTS)
    await fill(wire, 9)
    const left = join(wire.node.dataDir, 'large-0', '00000000000000000000.log.deleted')
    writeFileSync(left, Buffer.alloc(3 * MIB))
    wire = await wire.restart()
    assert.not(existsSync(left))
    assert.is(wire.node.registry.partition('large', 0)!.logEndOffset, 9)
  } finally {
    await wire.close()
  }
})

test.run()
