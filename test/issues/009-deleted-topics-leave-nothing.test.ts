import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { AccessHere } from '../../src/embedded/access.ts'
import { Appender } from '../../src/embedded/append.ts'
import { read } from '../../src/embedded/read.ts'
import { asideName, removePartitions } from '../../src/storage/folders.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { PARTITIONS_MAX } from '../../src/topics/registry.ts'

// kill -9 amid DeleteTopics left the folders for ever. A topic with a name of 233 to 249 characters could not be deleted at all:
// the folder's new name was too long, its old one stayed, and the topic was offline when it was made again.
const test = suite('deleted topics leave nothing behind')
const root = fs.mkdtempSync(join(tmpdir(), 'odradek-issue-'))
test.after(() => fs.rmSync(root, { recursive: true }))
let folders = 0
const newDir = (): string => join(root, String(folders++))

const start = (dataDir: string): Promise<BrokerNode> =>
  BrokerNode.start({ code: { dataDir, listeners: 'PLAINTEXT://127.0.0.1:0' } })

const partitionsIn = (dir: string): string[] =>
  fs.readdirSync(dir).filter(name => /-\d+$|-delete$|-stray$/.test(name))

/** A broker with a topic of three partitions, deleted, then killed; the folders are as they were before that. */
async function killedAmidDeletion(dir: string): Promise<void> {
  const broker = await start(dir)
  const topic = await broker.registry.create('gone', 3, {})
  await new Appender(new AccessHere(broker), AbortSignal.any([])).append('gone', [{ value: 'x' }])
  for (const name of partitionsIn(dir)) {
    fs.cpSync(join(dir, name), join(dir, `kept ${name}`), { recursive: true })
  }
  await broker.registry.delete(topic)
  assert.equal(partitionsIn(dir), ['kept gone-0', 'kept gone-1', 'kept gone-2'])
  await broker.kill()
  for (const name of partitionsIn(dir)) {
    fs.renameSync(join(dir, name), join(dir, name.slice('kept '.length)))
  }
}

test('the next start removes the folders of a topic that was deleted for certain', async () => {
  const dir = newDir()
  await killedAmidDeletion(dir)
  const broker = await start(dir)
  assert.equal(partitionsIn(dir), [])
  // The tombstone is gone, too.
  assert.equal((await broker.store.list('deleted-topics/')).entries, [])
  await broker.close()
})

test('so does the topic that takes its name, and starts empty', async () => {
  const dir = newDir()
  const broker = await start(dir)
  await broker.registry.delete(await broker.registry.create('t', 1, {}))
  const topic = await broker.registry.create('t', 1, {})
  await new Appender(new AccessHere(broker), AbortSignal.any([])).append('t', [{ value: 'old' }])
  fs.cpSync(join(dir, 't-0'), join(dir, 'kept'), { recursive: true })
  await broker.registry.delete(topic)
  fs.renameSync(join(dir, 'kept'), join(dir, 't-0'))
  await broker.registry.create('t', 1, {})
  assert.equal(partitionsIn(dir), ['t-0'])
  await new Appender(new AccessHere(broker), AbortSignal.any([])).append('t', [{ value: 'new' }])
  const values: string[] = []
  for await (const { value } of read(
    new AccessHere(broker),
    't',
    { until: 'end' },
    new AbortController().signal,
  )) {
    values.push(String(value))
  }
  assert.equal(values, ['new'])
  await broker.close()
})

test('what the metadata remembers of deleted topics does not grow', async () => {
  const broker = await start(newDir())
  for (let i = 0; i < 5; i++) {
    await broker.registry.delete(await broker.registry.create(`t${i}`, 1, {}))
    assert.is((await broker.store.list('deleted-topics/')).entries.length, 1)
  }
  await broker.close()
})

test('a folder of a topic that nobody knows is set aside, one that is not ours is left', async () => {
  const dir = newDir()
  await killedAmidDeletion(dir)
  const id = 'AAAAAAAAAAAAAAAAAAAAAQ'
  fs.writeFileSync(join(dir, 'gone-1', 'partition.metadata'), `version: 0\ntopic_id: ${id}`)
  fs.rmSync(join(dir, 'gone-2', 'partition.metadata'))
  fs.mkdirSync(join(dir, 'backup-2024'))
  fs.writeFileSync(join(dir, 'notes-1'), '')
  const broker = await start(dir)
  const left = partitionsIn(dir).sort()
  assert.is(left.length, 4)
  assert.is(left[0], 'backup-2024')
  assert.match(left[1]!, /^gone-1\.[0-9a-f]{32}-stray$/)
  assert.match(left[2]!, /^gone-2\.[0-9a-f]{32}-stray$/)
  assert.is(left[3], 'notes-1')
  assert.ok(fs.readdirSync(join(dir, left[1]!)).includes('00000000000000000000.log'))
  await broker.close()
})

test('what only the journal holds of a topic that nobody knows goes aside with it', async () => {
  const dir = newDir()
  const broker = await start(dir)
  await broker.registry.create('t', 1, {})
  await new Appender(new AccessHere(broker), AbortSignal.any([])).append('t', [
    { value: 'precious' },
  ])
  const { revision } = (await broker.store.get('topics/t'))!
  // As if the metadata were from a backup.
  await broker.store.compareAndSet('topics/t', revision, null)
  await broker.kill()
  fs.truncateSync(join(dir, 't-0', '00000000000000000000.log'))
  const again = await start(dir)
  const [stray] = partitionsIn(dir)
  assert.match(stray!, /^t-0\.[0-9a-f]{32}-stray$/)
  assert.ok(fs.readFileSync(join(dir, stray!, 'unreplayed')).includes('precious'))
  await again.close()
})

test('topics with the longest names are deleted and made again', async () => {
  const dir = newDir()
  const broker = await start(dir)
  for (const length of [232, 233, 249]) {
    const name = 'n'.repeat(length)
    for (let round = 0; round < 2; round++) {
      const topic = await broker.registry.create(name, 2, {})
      assert.equal(
        topic.partitions.map(({ offline }) => offline),
        [null, null],
      )
      await broker.registry.delete(topic)
      assert.equal(partitionsIn(dir), [])
    }
  }
  await broker.close()
})

test('no name of a folder is longer than a file system takes, and none is there twice', () => {
  const dir = newDir()
  fs.mkdirSync(dir)
  for (let length = 1; length <= 249; length += 4) {
    for (const index of [0, 10, PARTITIONS_MAX - 1]) {
      const path = join(dir, `${'n'.repeat(length)}-${index}`)
      for (const ending of ['-delete', '-stray'] as const) {
        const [one, other] = [asideName(path, ending), asideName(path, ending)]
        assert.is.not(one, other)
        fs.mkdirSync(one)
        assert.match(one, new RegExp(`n-${index}\\.[0-9a-f]{32}${ending}$`))
      }
    }
  }
})

test('one folder that cannot be removed keeps nothing else, and is named', () => {
  const dir = newDir()
  for (const name of ['a-0', 'b-0', 'c-0']) fs.mkdirSync(join(dir, name), { recursive: true })
  const files = {
    ...realFileSystem,
    rename: (from: string, to: string) => {
      if (from.endsWith('b-0')) throw new Error('EIO: planned')
      realFileSystem.rename(from, to)
    },
  }
  const all = ['a-0', 'b-0', 'c-0'].map(name => join(dir, name))
  const steps = removePartitions(files, dir, all)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  const { doomed, failed } = step.value
  assert.equal(doomed, [])
  assert.equal(failed, [`${join(dir, 'b-0')}: EIO: planned`])
  assert.equal(fs.readdirSync(dir), ['b-0'])
})

test.run()
