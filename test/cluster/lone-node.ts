import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Admin, type Kafka } from 'kafkajs'
import type { Test } from 'uvu'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { inCluster } from '../../src/cluster/join.ts'
import { type Migration, type MigrationOptions, migrate } from '../../src/cluster/migrate.ts'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { type BrokerOptions, resolveOptions } from '../../src/options.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { initProducerIdApi } from '../../src/protocol/messages/22-init-producer-id.ts'
import { describeProducersApi } from '../../src/protocol/messages/61-describe-producers.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { Etcd } from '../lib/etcd.ts'
import { SILENT } from '../lib/silent.ts'

const LOCAL = 'PLAINTEXT://127.0.0.1:0'
const NODE_ID = 7
export const GROUP = 'billing'
/** Topics of a lone node, with their partitions. */
const OFFSETS = { __consumer_offsets: 3 } as const
export const TOPICS = { orders: 3, latest: 1, 'once.latest': 1 } as const
/** The group's too. */
export const ALL_TOPICS = { ...TOPICS, ...OFFSETS }
const RECORDS = 10
const WAIT_MS = 20_000

const work = mkdtempSync(join(tmpdir(), 'odradek-migrate-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))
let folders = 0
export const newFolder = (): string => join(work, String(folders++))

/** The folder as it is, in another place. */
export function copyOf(dir: string): string {
  const copy = newFolder()
  cpSync(dir, copy, { recursive: true })
  return copy
}

const running = new Set<BrokerNode>()

/** A broker in this process: alone, or in the cluster whose metadata is there. */
export async function start(
  dir: string,
  metadata?: string,
  more: BrokerOptions = {},
): Promise<BrokerNode> {
  const place = metadata === undefined ? {} : { 'odradek.metadata': metadata }
  const code = {
    ...{ 'node.id': NODE_ID, listeners: LOCAL, dataDir: dir, 'odradek.partition.workers': 1 },
    'group.initial.rebalance.delay.ms': 0,
    'offsets.topic.num.partitions': OFFSETS.__consumer_offsets,
    ...{ ...place, ...more },
  }
  const node = await BrokerNode.start({ code })
  running.add(node)
  return node
}

/** Ends what a test that has failed has left. */
export async function killAll(): Promise<void> {
  for (const node of running) await node.kill()
  running.clear()
}

export const addressOf = (node: BrokerNode): string => {
  const { host, port } = node.endpoint('PLAINTEXT')
  return `${host}:${port}`
}

export const kafkaOf = (...nodes: BrokerNode[]): Kafka =>
  new kafkajs.Kafka({
    brokers: nodes.map(addressOf),
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 50 },
  })

/** By an idempotent producer, acks=all. @returns the offset of the first; a retry that is recognised has that of the original */
export async function produce(
  node: BrokerNode,
  topic: string,
  { producerId, baseSequence }: { producerId: number; baseSequence: number },
): Promise<number> {
  const client = await Client.connect(node.endpoint('PLAINTEXT'))
  try {
    const values = Array.from({ length: RECORDS }, (_, i) => ({
      timestamp: Date.now(),
      key: Buffer.from(`k${i}`),
      value: Buffer.from(`${topic} ${baseSequence + i}`),
    }))
    const records = await encodeBatch(values, { producerId, producerEpoch: 0, baseSequence })
    const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
    const until = Date.now() + WAIT_MS
    for (;;) {
      const { responses } = await client.send(produceApi, 9, { acks: -1, topicData })
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
      if (errorCode === 0) return baseOffset
      // A broker of a cluster that has just started is not the leader yet.
      const isEarly = errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER && Date.now() < until
      if (!isEarly) throw new Error(`${topic} was refused: ${errorName(errorCode)}`)
    }
  } finally {
    await client.close()
  }
}

export async function newProducerId(node: BrokerNode): Promise<number> {
  const client = await Client.connect(node.endpoint('PLAINTEXT'))
  try {
    const request = { transactionalId: null, transactionTimeoutMs: 0 }
    return (await client.send(initProducerIdApi, 4, request)).producerId
  } finally {
    await client.close()
  }
}

/**
 * The folder of a broker that was alone for some starts: a topic of three partitions with a config, a compacted one, one that was,
 * configs of the broker, of all brokers and of a group, offsets of a group, an idempotent producer. Stopped.
 */
export async function makeLoneNode(): Promise<{ dir: string; producerId: number }> {
  const dir = newFolder()
  await (await start(dir)).close()
  const node = await start(dir)
  const { registry, configs, groupConfigs } = node
  await registry.create('orders', TOPICS.orders, {
    'retention.ms': '7777777',
    'min.insync.replicas': '1',
  })
  await registry.create('latest', TOPICS.latest, { 'cleanup.policy': 'compact' })
  await registry.create('once.latest', TOPICS['once.latest'], { 'flush.messages': '1000' })
  await configs.change(String(NODE_ID), () => ({ 'log.cleaner.threads': '2' }))
  await configs.change('', () => ({ 'log.retention.ms': '88888888' }))
  await groupConfigs.change(GROUP, () => ({ 'consumer.session.timeout.ms': '50000' }))
  const producerId = await newProducerId(node)
  for (const topic of Object.keys(TOPICS)) {
    await produce(node, topic, { producerId, baseSequence: 0 })
  }
  const admin = kafkaOf(node).admin()
  await admin.connect()
  const partitions = [{ partition: 0, offset: '4' }]
  await admin.setOffsets({ groupId: GROUP, topic: 'orders', partitions })
  await admin.disconnect()
  await node.close()
  return { dir, producerId }
}

/** All that clients can see of it. */
export async function seenOf(node: BrokerNode) {
  const admin = kafkaOf(node).admin()
  await admin.connect()
  const { ConfigResourceTypes } = kafkajs
  const names = Object.keys(TOPICS).sort()
  const resources = [
    ...names.map(name => ({ type: ConfigResourceTypes.TOPIC, name })),
    { type: ConfigResourceTypes.BROKER, name: String(NODE_ID) },
  ]
  const described = await admin.describeConfigs({ resources, includeSynonyms: false })
  // 1: set on the topic. 2, 3: set on this broker, or on all, while running.
  const configs = described.resources.map(({ resourceName, configEntries }) => {
    const set = configEntries.filter(({ configSource }) => Number(configSource) <= 3)
    return {
      resourceName,
      set: set.map(({ configName, configValue }) => [configName, configValue]),
    }
  })
  const { topics: found } = await admin.fetchTopicMetadata({ topics: names })
  const topics = names
    .map(name => found.find(topic => topic.name === name)!)
    .map(topic => ({
      name: topic.name,
      partitions: topic.partitions.map(({ partitionId, leader, replicas, isr }) => {
        return { partitionId, leader, replicas, isr }
      }),
    }))
  const offsets = await Promise.all(names.map(name => admin.fetchTopicOffsets(name)))
  const committed = await committedOf(admin)
  await admin.disconnect()
  const group = node.groupConfigs.current(GROUP)
  const records = await Promise.all(names.map(name => recordsOf(node, name)))
  return { topics, configs, group, offsets, committed, records, producers: await producersOf(node) }
}

/** KafkaJS' admin does not ask again while the coordinator reads its log. */
async function committedOf(admin: Admin) {
  const until = performance.now() + WAIT_MS
  for (;;) {
    try {
      return await admin.fetchOffsets({ groupId: GROUP, topics: ['orders'] })
    } catch (error) {
      const { type } = error as { type?: string }
      if (type !== 'COORDINATOR_LOAD_IN_PROGRESS' || performance.now() > until) throw error
      await sleep(20)
    }
  }
}

async function producersOf(node: BrokerNode) {
  const client = await Client.connect(node.endpoint('PLAINTEXT'))
  try {
    const topics = Object.keys(TOPICS).map(name => ({ name, partitionIndexes: [0] }))
    const answer = await client.send(describeProducersApi, 0, { topics })
    return answer.topics.map(topic => topic.partitions[0]!.activeProducers)
  } finally {
    await client.close()
  }
}

/** What KafkaJS reads of partition 0. */
export async function recordsOf(node: BrokerNode, topic: string, count = RECORDS) {
  const consumer = kafkaOf(node).consumer({ groupId: `read-${topic}`, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const found: string[] = []
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({
      message,
    }: {
      message: { offset: string; value: Buffer | null }
    }) => {
      found.push(`${message.offset} ${message.value}`)
      if (found.length === count) resolve()
    }
    consumer.run({ autoCommit: false, eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return found
}

/** Migrates a folder of which nobody has the lock, as the command does. */
export async function migrateTo(
  address: string,
  dir: string,
  more: Partial<MigrationOptions> = {},
): Promise<Migration> {
  const url = parseMetadataUrl(address)
  const store = await EtcdMetadataStore.open({ url, log: SILENT })
  try {
    const options = resolveOptions(inCluster({ code: { 'node.id': NODE_ID, dataDir: dir } }))
    const usual = { files: realFileSystem, isDryRun: false, store }
    return await migrate({ ...usual, dir, options, address: url.shown, ...more })
  } finally {
    await store.close()
  }
}

/** What migrations are tried on: an etcd, with a prefix for each, and the folder of a broker that was alone; stopped. */
export interface Ground {
  readonly lone: { readonly dir: string; readonly producerId: number }
  newPlace(): string
}

/** Made before the tests of a suite, and cleared away behind them. */
export function aroundMigrations(test: Test): Ground {
  let etcd: Etcd
  let lone: Ground['lone']
  let prefixes = 0
  test.before(async () => {
    etcd = await Etcd.start()
    lone = await makeLoneNode()
  })
  test.after.each(killAll)
  test.after(() => Etcd.closeAll())
  return {
    get lone() {
      return lone
    },
    newPlace: () => `etcd://127.0.0.1:${etcd.port}/p${prefixes++}`,
  }
}
