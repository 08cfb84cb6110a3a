import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { alterPartitionReassignmentsApi } from '../../src/protocol/messages/45-alter-partition-reassignments.ts'
import { Program } from '../cli/program.ts'
import { SILENT } from '../lib/silent.ts'
import {
  ALL_TOPICS,
  aroundMigrations,
  copyOf,
  kafkaOf,
  makeLoneNode,
  migrateTo,
  newFolder,
  newProducerId,
  produce,
  seenOf,
  start,
  TOPICS,
} from './lone-node.ts'

const test = suite('odradek metadata migrate')
const cli = new Program()
const ground = aroundMigrations(test)
const { newPlace } = ground

/** Of every file in a folder but what a lock changes. */
function contentOf(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true })
  const files = names.filter(entry => entry.isFile() && entry.name !== '.lock')
  const paths = files.map(entry => join(entry.parentPath, entry.name)).sort()
  return Object.fromEntries(paths.map(path => [path, readFileSync(path, 'base64')]))
}

async function keysAt(place: string): Promise<readonly string[]> {
  const store = await EtcdMetadataStore.open({ url: parseMetadataUrl(place), log: SILENT })
  const { entries } = await store.list('')
  await store.close()
  return entries.map(({ key }) => key)
}

async function put(place: string, key: string, value: number): Promise<void> {
  const store = await EtcdMetadataStore.open({ url: parseMetadataUrl(place), log: SILENT })
  await store.compareAndSet(key, 0, value)
  await store.close()
}

async function rejects(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => new Error('it was done'),
    (thrown: Error) => thrown,
  )
  assert.match(error.message, pattern)
}

const migrateArgs = (place: string, dir: string, ...more: string[]): string[] => [
  ...['metadata', 'migrate', '--to', place, '--data', dir, '-o', 'node.id=7', ...more],
]

test('all that clients see is the same afterwards, and producers go on where they were', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const alone = await start(dir)
  const before = await seenOf(alone)
  await alone.close()
  const { keys } = await cli.json(migrateArgs(place, dir))
  assert.is(keys, 17)
  const node = await start(dir, place)
  assert.ok(node.wasClean)
  assert.equal(await seenOf(node), before)
  assert.is(node.clusterId, alone.clusterId)
  const { producerId } = ground.lone
  assert.is(await produce(node, 'orders', { producerId, baseSequence: 0 }), 0, 'a retry')
  assert.is(await produce(node, 'orders', { producerId, baseSequence: 10 }), 10)
  assert.ok((await newProducerId(node)) > producerId)
  await node.registry.create('made-later', 1, {})
  await node.close()
  assert.equal(
    readdirSync(dir).filter(name => /stray|delete/.test(name)),
    [],
  )
  await rejects(start(dir), /belongs to a broker of a cluster.*start it with odradek\.metadata/)
})

test('a broker that was killed loses nothing by it either', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const alone = await start(dir)
  const before = await seenOf(alone)
  await alone.kill()
  await migrateTo(place, dir)
  const node = await start(dir, place)
  assert.not.ok(node.wasClean)
  assert.equal(await seenOf(node), before)
  await node.close()
})

test('epochs go on above those in the logs', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const epochsOf = ({ registry }: BrokerNode): number[] =>
    registry.partition('orders', 0)!.epochs.map(({ epoch }) => epoch)
  const alone = await start(dir)
  await produce(alone, 'orders', { producerId: ground.lone.producerId, baseSequence: 10 })
  const old = epochsOf(alone)
  await alone.close()
  await migrateTo(place, dir)
  const node = await start(dir, place)
  await produce(node, 'orders', { producerId: ground.lone.producerId, baseSequence: 20 })
  const now = epochsOf(node)
  await node.close()
  assert.is(old.length, 2)
  assert.equal(now.slice(0, 2), old)
  assert.ok(now.length === 3 && now[2]! > old[1]!, String(now))
})

test('a second broker joins, takes replicas of every topic, and has the same bytes', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  await migrateTo(place, dir)
  const first = await start(dir, place)
  const other = newFolder()
  const second = await start(other, place, { 'node.id': 8 })
  const client = await Client.connect(first.endpoint('PLAINTEXT'))
  const topics = Object.entries(ALL_TOPICS).map(([name, partitions]) => ({
    name,
    partitions: Array.from({ length: partitions }, (_, partitionIndex) => {
      return { partitionIndex, replicas: [7, 8] }
    }),
  }))
  const admin = kafkaOf(first).admin()
  await admin.connect()
  const request = { timeoutMs: 30_000, topics }
  const { responses } = await client.send(alterPartitionReassignmentsApi, 0, request)
  await client.close()
  assert.ok(responses.every(topic => topic.partitions.every(p => p.errorCode === 0)))
  const until = Date.now() + 30_000
  const isWhole = async (): Promise<boolean> => {
    const { topics: now } = await admin.fetchTopicMetadata({
      topics: Object.keys(ALL_TOPICS),
    })
    return now.every(topic => topic.partitions.every(({ isr }) => isr.length === 2))
  }
  while (!(await isWhole())) assert.ok(Date.now() < until, 'all replicas come in sync')
  await admin.disconnect()
  for (const topic of Object.keys(TOPICS)) {
    const [log] = readdirSync(join(dir, `${topic}-0`)).filter(name => name.endsWith('.log'))
    const [one, two] = [dir, other].map(at => readFileSync(join(at, `${topic}-0`, log!)))
    assert.ok(one!.length > 0 && one!.equals(two!), topic)
  }
  // Nothing of it needs the broker that brought it.
  await first.close()
  const left = kafkaOf(second).admin()
  await left.connect()
  assert.equal(
    (await left.fetchTopicOffsets('latest')).map(({ high }) => high),
    ['10'],
  )
  await left.disconnect()
  await second.close()
})

test('a dry run says what would be done, and changes nothing', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const before = contentOf(dir)
  const text = await cli.ok(migrateArgs(place, dir, '--dry-run'))
  assert.match(text, /^Nothing was changed\. It would write to etcd:.*4 topics with 8 partitions/)
  assert.equal(contentOf(dir), before)
  assert.equal(await keysAt(place), [])
  const planned = await cli.json(migrateArgs(place, dir, '--dry-run'))
  assert.is(planned.outcome, 'planned')
  assert.equal(
    planned.topics.find((one: { name: string }) => one.name === 'orders'),
    {
      name: 'orders',
      partitions: 3,
    },
  )
  const { keys } = await cli.json(migrateArgs(place, dir))
  assert.is(keys, planned.keys)
  // Beside them `cluster` and `features`.
  assert.is((await keysAt(place)).length, keys + 2)
})

test('done twice is done once', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  await migrateTo(place, dir)
  const keys = await keysAt(place)
  assert.is((await migrateTo(place, dir)).outcome, 'there')
  assert.equal(await keysAt(place), keys)
  await rejects(migrateTo(newPlace(), dir), /is of a broker of the cluster at etcd:.* already/)
})

test('a broker that runs is left alone', async () => {
  const dir = copyOf(ground.lone.dir)
  const place = newPlace()
  const node = await start(dir)
  const inUse = /^odradek: the data folder .* is in use by the process \d+: stop it first\n$/
  await cli.fails(1, inUse, migrateArgs(place, dir))
  await cli.fails(1, inUse, migrateArgs(place, dir, '--dry-run'))
  await node.close()
  assert.equal(await keysAt(place), [])
})

test('what is there already is not written over', async () => {
  const dir = copyOf(ground.lone.dir)
  const before = contentOf(dir)
  const taken = newPlace()
  await (await start(newFolder(), taken)).close()
  await rejects(migrateTo(taken, dir), /there is a cluster already, .* use another prefix/)
  const foreign = newPlace()
  await put(foreign, 'somebody', 1)
  await rejects(migrateTo(foreign, dir), /keys that this migration has not written \(somebody\)/)
  assert.equal(await keysAt(foreign), ['somebody'])
  const others = newPlace()
  await migrateTo(others, (await makeLoneNode()).dir)
  await rejects(migrateTo(others, dir), /there is a cluster already/)
  assert.equal(contentOf(dir), before, 'not even the mark of the clean stop is gone')
})

test('wrong places and folders are told', async () => {
  const dir = copyOf(ground.lone.dir)
  const place = newPlace()
  await cli.fails(1, /lacks the prefix/, migrateArgs('etcd://127.0.0.1:1', dir))
  await cli.fails(
    1,
    /etcd does not answer .*ECONNREFUSED/,
    migrateArgs('etcd://127.0.0.1:1/p', dir),
  )
  await cli.fails(1, /there is no folder/, migrateArgs(place, join(dir, 'absent')))
  await cli.fails(1, /belongs to node 7.* node\.id 1/, [
    ...['metadata', 'migrate', '--to', place, '--data', dir],
  ])
  await cli.fails(2, /required option '--to/, ['metadata', 'migrate', '--data', dir])
  await cli.fails(1, /Invalid option node\.id=x/, migrateArgs(place, dir, '-o', 'node.id=x'))
  assert.equal(await keysAt(place), [])
})

test('a broker that has topics of its own does not start in a cluster, and makes none', async () => {
  const [dir, place] = [copyOf(ground.lone.dir), newPlace()]
  const before = contentOf(dir)
  await rejects(
    start(dir, place),
    /has 4 topics, which the cluster at etcd:.* does not know: "odradek metadata migrate --to etcd:/,
  )
  assert.equal(await keysAt(place), [])
  assert.equal(contentOf(dir), before)
  await (await start(dir)).close()
})

test.run()
