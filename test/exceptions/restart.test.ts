import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { pino } from 'pino'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apiNameOf } from '../../src/apis/error-answers.ts'
import type { ApiHandler } from '../../src/apis/handler.ts'
import { servedApis } from '../../src/apis/index.ts'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { brokerConfigs } from '../../src/configs/broker.ts'
import { clientMetricsConfigs } from '../../src/configs/client-metrics.ts'
import { groupConfigs } from '../../src/configs/group.ts'
import { topicConfigs } from '../../src/configs/topic.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { oddBatch } from '../lib/odd-batch.ts'
import { Random } from '../lib/random.ts'
import { arbitraryMessage } from '../protocol/arbitrary-message.ts'

/** Starts in a row on the same data, and requests of each API between two of them. */
const STARTS = Number(process.env.STARTS ?? 4)
const REQUESTS = Number(process.env.REQUESTS ?? 6)
const WAIT_MS_MAX = 20
const COUNT_MAX = 3
const TOPICS = ['topic', 'compacted', 'made']
const GROUPS = ['one', 'two']

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const random = new Random(seed)
const test = suite(`whatever clients have sent, the next start goes well (SEED=${seed})`)

type Value = Record<string, unknown>

const ODD_VALUES = [
  ...['', '0', '1', '-1', '-2', '2', '1024', '2147483647', '-2147483648', '9223372036854775807'],
  ...['-9223372036854775808', '0.5', '1e9', 'true', 'false', 'compact', 'delete', 'compact,delete'],
  ...['a,b', 'a=b', 'PLAINTEXT://127.0.0.1:0', 'producer', 'zstd', 'é', '\0', 'x'.repeat(30_000)],
]
const RESOURCES: readonly (readonly [number, () => string, readonly string[]])[] = [
  [2, () => random.pick(TOPICS), Object.keys(topicConfigs)],
  [4, () => random.pick(['1', '']), Object.keys(brokerConfigs())],
  [16, () => random.pick(['metrics', '']), Object.keys(clientMetricsConfigs)],
  [32, () => random.pick(GROUPS), Object.keys(groupConfigs)],
]

/** What a request may name, by the fields' names. */
function known(name: string, value: unknown): unknown {
  if (random.chance(0.2)) return value
  if (/^(name|topics?|topicName|topicNames|subscribedTopicNames)$/.test(name)) {
    return random.pick(TOPICS)
  }
  if (/^(groupId|groupIds|groups|groupsNames|key|coordinatorKeys)$/.test(name)) {
    return random.pick(GROUPS)
  }
  if (name === 'memberId') return ''
  if (name === 'protocolType') return 'consumer'
  if (/^partition(s|Index|Indexes)?$|^index$/.test(name)) return random.below(2)
  return value
}

function shaped(name: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map(one => shaped(name, one))
  if (name === 'records') return oddBatch(random, ['a', 'b'])
  if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shaped(key, one)]))
  }
  if (typeof value === 'number') {
    if (/Ms$/i.test(name)) return Math.min(value, WAIT_MS_MAX)
    if (/^(numPartitions|count)$/.test(name)) return Math.min(value, COUNT_MAX)
    if (name === 'replicationFactor') return 1
  }
  const other = known(name, value)
  return typeof other === typeof value ? other : value
}

/** A change of configs, one resource with some values: each may be accepted by itself. */
function alteration(): Value {
  const [resourceType, nameOf, names] = random.pick(RESOURCES)
  const configs = Array.from({ length: 1 + random.below(2) }, () => ({
    ...{ name: random.pick(names), value: random.pick(ODD_VALUES), configOperation: 0 },
  }))
  return { resources: [{ resourceType, resourceName: nameOf(), configs }] }
}

function requestOf(handler: ApiHandler, version: number): Value {
  const name = apiNameOf(handler)
  if (name === 'IncrementalAlterConfigs') return alteration()
  if (name === 'Produce') {
    const partitionData = [{ index: random.below(2), records: oddBatch(random, ['a', 'b']) }]
    const topicData = [{ name: random.pick(TOPICS), partitionData }]
    return { acks: -1, timeoutMs: 1_000, topicData }
  }
  const sample = { seed: random.below(1 << 30), numRuns: 1 }
  const [value] = fc.sample(arbitraryMessage(handler.request, version), sample)
  return shaped('', value) as Value
}

async function sendAll(node: BrokerNode): Promise<void> {
  const sent = servedApis.flatMap(handler => {
    const count = ['IncrementalAlterConfigs', 'Produce'].includes(apiNameOf(handler))
      ? 40
      : REQUESTS
    return Array.from({ length: count }, () => handler)
  })
  for (let i = sent.length; i > 0; i--) {
    const [handler] = sent.splice(random.below(sent.length), 1)
    const isProduce = handler!.request.apiKey === produceApi.request.apiKey
    const versions = handler!.max - handler!.min + 1
    const version = isProduce ? 9 : handler!.min + random.below(versions)
    await using client = await Client.connect(node.endpoint('PLAINTEXT'))
    const value = requestOf(handler!, version)
    // A request that is no good may cost its connection.
    await client.send(handler as never, version, value as never).catch(() => undefined)
  }
}

test('of every API, in any order, with configs of every kind', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'odradek-restart-'))
  const complaints: string[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => complaints.push(line) })
  const code = {
    ...{ listeners: 'PLAINTEXT://127.0.0.1:0', dataDir, offsetsTopicNumPartitions: 2 },
    ...{ groupInitialRebalanceDelayMs: 0, groupMinSessionTimeoutMs: 1 },
  }
  try {
    for (let start = 0; start < STARTS; start++) {
      const node = await BrokerNode.start({ code }, log)
      const { registry } = node
      for (const topic of registry.topics) {
        for (const { name, offline } of topic.partitions) assert.is(offline, null, name)
      }
      for (const { log, closed } of node.groups.shards) {
        assert.is(log.failure, 0, log.partition.name)
        assert.ok(closed.areKnown && closed.records.length === 0)
      }
      for (const name of TOPICS.slice(0, 2)) {
        if (registry.topic(name) !== undefined) continue
        const configs: Record<string, string> =
          name === 'compacted' ? { 'cleanup.policy': 'compact' } : {}
        await registry.create(name, 2, configs)
      }
      await sendAll(node)
      assert.equal(
        complaints.filter(line => line.includes('bug:')),
        [],
      )
      const client = await Client.connect(node.endpoint('PLAINTEXT'))
      assert.ok((await client.send(metadataApi, 12, { topics: [] })).brokers.length > 0)
      await client.close()
      if (random.chance(0.5)) await node.kill()
      else await node.close()
    }
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test.run()
