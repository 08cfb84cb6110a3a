import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { finalizedFeatures, unregister, updateFeatures } from '../../src/cluster/administration.ts'
import { FEATURES } from '../../src/cluster/features.ts'
import { ImageFeed } from '../../src/cluster/feed.ts'
import { ClusterImage } from '../../src/cluster/image.ts'
import { BrokerError } from '../../src/errors.ts'
import { MemoryMetadata } from '../../src/metadata/memory.ts'
import type { Json, MetadataStore } from '../../src/metadata/store.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { partitionKey, toRecord } from '../../src/replication/partition-state.ts'
import { partition } from '../lib/brokers.ts'
import { SILENT } from '../lib/silent.ts'

const ELR = 'eligible.leader.replicas.version'
const UPGRADE = 1

const test = suite('what is asked of a cluster as a whole')

/** Three brokers that are members, and one partition on 1 and 2; of these, 1 and 2 run. */
class World implements AsyncDisposable {
  readonly store: MetadataStore = new MemoryMetadata().connect()
  readonly image = new ClusterImage()
  readonly feed = new ImageFeed({
    store: this.store,
    image: this.image,
    onDiff: () => {},
    log: SILENT,
  })

  static async make(): Promise<World> {
    const world = new World()
    for (const id of [1, 2, 3, 4])
      await world.put(`nodes/${id}`, { dir: `d${id}`, state: 'member' })
    for (const id of [1, 4]) await world.put(`brokers/${id}`, { incarnation: 'i', dir: `d${id}` })
    await world.put('topics/t', { name: 't', id: 'T', partitions: 1, configs: {} })
    await world.put(partitionKey('T', 0), toRecord(partition({ replicas: [1, 2], isr: [1] })))
    await world.feed.start()
    return world
  }

  async put(key: string, value: Json | null): Promise<void> {
    await this.store.transact([], [{ key, value }])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.feed.stop()
    await this.store.close()
  }
}

async function refusal(promise: Promise<void>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof BrokerError) return `${errorName(error.errorCode)}: ${error.message}`
    throw error
  }
  return 'none'
}

test('a broker that is gone and holds nothing is forgotten, once', async () => {
  await using world = await World.make()
  await unregister(world, 3)
  assert.is(await world.store.get('nodes/3'), null)
  assert.match(await refusal(unregister(world, 3)), /^BROKER_ID_NOT_REGISTERED/)
})

test('a broker that runs, or is in a list of replicas, stays', async () => {
  await using world = await World.make()
  const running = await refusal(unregister(world, 4))
  assert.match(running, /^DUPLICATE_BROKER_REGISTRATION: Broker 4 is running/)
  const held = await refusal(unregister(world, 2))
  assert.match(held, /^DUPLICATE_BROKER_REGISTRATION: Broker 2 is a replica of 1 .*t-0/)
  for (const id of [2, 4]) assert.ok((await world.store.get(`nodes/${id}`)) !== null)
})

test('a broker that starts meanwhile stays', async () => {
  await using world = await World.make()
  world.feed.stop()
  await world.put('brokers/3', { incarnation: 'i', dir: 'd3' })
  assert.match(await refusal(unregister(world, 3)), /is running/)
  assert.ok((await world.store.get('nodes/3')) !== null)
})

test('a cluster that says nothing of features goes by the first levels, until it is told them', async () => {
  await using world = await World.make()
  assert.equal(finalizedFeatures(world.image), { epoch: 0, levels: { [ELR]: 1 } })
  const update = [{ name: ELR, level: 1, type: UPGRADE }]
  await updateFeatures(world, update, true)
  assert.is(await world.store.get(FEATURES), null)
  await updateFeatures(world, update, false)
  const { value, revision } = (await world.store.get(FEATURES))!
  assert.equal(value, { [ELR]: 1 })
  assert.equal(finalizedFeatures(world.image), { epoch: revision, levels: value })
  await updateFeatures(world, update, false)
  assert.is((await world.store.get(FEATURES))!.revision, revision)
})

test.run()
