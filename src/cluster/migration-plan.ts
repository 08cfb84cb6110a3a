import { DynamicConfigs } from '../configs/dynamic.ts'
import { CONFIG_PREFIX } from '../configs/named.ts'
import { type BrokerConfigView, resolveTopicConfig } from '../configs/values.ts'
import type { KeyChange } from '../metadata/store.ts'
import type { Options } from '../options.ts'
import { NO_LEADER, partitionKey, toRecord } from '../replication/partition-state.ts'
import type { DataDir } from '../topics/data-dir.ts'
import { PRODUCER_IDS } from '../topics/producer-ids.ts'
import { TOPIC_PREFIX, type TopicRecord } from '../topics/topic-record.ts'
import { ClusterError } from './cluster-record.ts'
import { type ClusterTopicRecord, topicKey } from './cluster-topics.ts'
import { type NodeRecord, nodeKey } from './registration.ts'
import { termsOf } from './topic-records.ts'

/** What a broker alone has in its own metadata, as a cluster has it. */
export interface MigrationPlan {
  readonly changes: readonly KeyChange[]
  readonly topics: readonly { readonly name: string; readonly partitions: number }[]
  /** Of how many brokers, groups and subscriptions something is set. */
  readonly configs: number
}

/** @throws ClusterError: it cannot be brought into a cluster */
export async function planMigration(dataDir: DataDir, options: Options): Promise<MigrationPlan> {
  const { store, directoryId, starts } = dataDir
  const dynamic = new DynamicConfigs(store, options)
  await dynamic.load()
  const configs = (await store.list(CONFIG_PREFIX)).entries.map(({ key, value }) => ({
    key,
    value,
  }))
  const topics = (await store.list(TOPIC_PREFIX)).entries.map(({ key, value }) => {
    return { name: key.slice(TOPIC_PREFIX.length), record: value as unknown as TopicRecord }
  })
  checkNames(topics.map(({ name }) => name))
  const nextId = store.peek(PRODUCER_IDS)
  const node: NodeRecord = { dir: directoryId, state: 'member' }
  const place = { view: dynamic.view, starts, id: options.nodeId }
  const changes = [
    ...configs,
    ...topics.flatMap(topic => changesOf(topic, place)),
    // The first that was never given out: nobody gets one again.
    ...(nextId === null ? [] : [{ key: PRODUCER_IDS, value: nextId }]),
    { key: nodeKey(options.nodeId), value: { ...node } },
  ]
  const named = topics.map(({ name, record }) => ({ name, partitions: record.partitions }))
  return { changes, topics: named, configs: configs.length }
}

interface OwnTopic {
  readonly name: string
  readonly record: TopicRecord
}

interface Place {
  readonly view: BrokerConfigView
  readonly starts: number
  readonly id: number
}

function checkNames(names: readonly string[]): void {
  const byKey = new Map<string, string>()
  for (const name of names) {
    const other = byKey.get(topicKey(name))
    if (other !== undefined) {
      throw new ClusterError(
        `The topics ${other} and ${name} cannot be in one cluster, where "." and "_" count as the same: delete one of them first.`,
      )
    }
    byKey.set(topicKey(name), name)
  }
}

/** The records of a topic's partitions, then its own. */
function changesOf({ name, record }: OwnTopic, place: Place): KeyChange[] {
  const { id, partitions, configs } = record
  // Above all that its logs have, whose epochs count the starts: clients pass over lower ones, and followers refuse them.
  const terms = termsOf(resolveTopicConfig(configs, place.view))
  const records = Array.from({ length: partitions }, (_, index) => {
    const state = {
      ...{ replicas: [place.id], isr: [place.id], elr: [], adding: [], removing: [] },
      ...{ leader: NO_LEADER, by: '', epoch: place.starts - record.brokerEpoch + 1 },
      ...{ ...terms, unclean: -1, revision: 0 },
    }
    return { key: partitionKey(id, index), value: toRecord(state) }
  })
  // Alone nobody notes whether a topic was ever compacted, or a repair has left a gap: any of its logs may lack offsets.
  const topic: ClusterTopicRecord = { name, id, partitions, configs, gaps: true }
  return [...records, { key: topicKey(name), value: { ...topic } }]
}
