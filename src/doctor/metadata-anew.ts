import { join } from 'node:path'
import type { LoggedChange, Transaction } from '../metadata/log-file.ts'
import type { Json } from '../metadata/store.ts'
import * as batch from '../protocol/record-batch.ts'
import type { FileSystem } from '../storage/fs.ts'
import { topicIdOf } from '../storage/partition-metadata.ts'
import { fileName } from '../storage/segment.ts'
import { brokerKey } from '../topics/broker-keys.ts'
import { IDENTITY } from '../topics/data-dir.ts'
import { readMeta } from '../topics/identity.ts'
import { JOURNALS, namesIn } from '../topics/inventory.ts'
import { PRODUCER_ID_BLOCK, PRODUCER_IDS } from '../topics/producer-ids.ts'
import { TOMBSTONES } from '../topics/tombstones.ts'
import { PARTITION_FOLDER, TOPIC_PREFIX, type TopicRecord } from '../topics/topic-record.ts'
import { segmentsIn } from './log-survey.ts'
import { walkSegment } from './segment-walk.ts'

/** Starts and blocks of producer ids that what is lost may have counted: far more than that, and none is ever given out twice. */
const SKIPPED = 1_000
const isEpoch = (key: string): boolean => /^brokers\/\d+\/epoch$/.test(key)
const TOPIC_ID_BYTES = 16

/** What was set on a topic is lost: nothing of it may be removed before somebody has set it again. */
const KEEP_ALL = { 'retention.ms': '-1', 'retention.bytes': '-1' }

/**
 * One more transaction behind those that are left: it counts on what must never be given out again, and makes the topics again
 * whose folders are there and which nothing names any more.
 */
export function madeUpFor(
  files: FileSystem,
  dir: string,
  transactions: readonly Transaction[],
): Transaction {
  const state = new Map<string, Json>()
  for (const { key, value } of transactions.flatMap(({ changes }) => changes)) {
    if (value === null) state.delete(key)
    else state.set(key, value)
  }
  const counted = [...state]
    .filter(([key]) => isEpoch(key) || key === PRODUCER_IDS)
    .map(([key, value]) => {
      const step = key === PRODUCER_IDS ? PRODUCER_ID_BLOCK : 1
      return { key, value: (value as number) + SKIPPED * step }
    })
  const changes = [...counted, ...topicsOfFolders(files, dir, state)]
  return { revision: transactions.at(-1)!.revision + 1, changes }
}

function topicsOfFolders(
  files: FileSystem,
  dir: string,
  state: ReadonlyMap<string, Json>,
): LoggedChange[] {
  const topics = [...state].filter(([key]) => key.startsWith(TOPIC_PREFIX))
  const ids = new Set(topics.map(([, value]) => (value as unknown as TopicRecord).id))
  const found = new Map<string, TopicRecord>()
  for (const folder of files.readdir(dir).filter(name => PARTITION_FOLDER.test(name))) {
    const id = namesIn(files, join(dir, folder)).length > 0 && topicIdOf(files, join(dir, folder))
    const dash = folder.lastIndexOf('-')
    const key = TOPIC_PREFIX + folder.slice(0, dash)
    if (!id || ids.has(id) || state.has(key) || state.has(TOMBSTONES + id)) continue
    if (Buffer.from(id, 'base64url').length !== TOPIC_ID_BYTES) continue
    const partitions = Math.max(found.get(key)?.partitions ?? 0, Number(folder.slice(dash + 1)) + 1)
    found.set(key, { id: found.get(key)?.id ?? id, partitions, configs: KEEP_ALL, brokerEpoch: 0 })
  }
  return [...found].map(([key, value]) => ({ key, value: { ...value } }))
}

/** The metadata as the folders tell it, where nothing else does; null if meta.properties does not say whose they are. */
export function metadataOfFolders(files: FileSystem, dir: string): Transaction[] | null {
  const meta = readMeta(files, dir)
  const [clusterId, node] = [meta?.get('cluster.id'), meta?.get('node.id')]
  const directoryId = meta?.get('directory.id')
  if (clusterId === undefined || node === undefined || directoryId === undefined) return null
  const { epoch, producerId } = newestIn(files, dir)
  const nodeId = Number(node)
  const journals = namesIn(files, join(dir, JOURNALS)).filter(name => /^\d+$/.test(name))
  const workers = journals.reduce((most, name) => Math.max(most, Number(name) + 1), 0)
  const first: Transaction = {
    revision: 1,
    changes: [
      { key: IDENTITY, value: { clusterId, nodeId, directoryId } },
      { key: brokerKey(nodeId, 'epoch'), value: epoch + 1 },
      { key: brokerKey(nodeId, 'journals'), value: workers },
      { key: PRODUCER_IDS, value: producerId + 1 },
    ],
  }
  return [first, madeUpFor(files, dir, [first])]
}

/** No broker comes so far: a batch that says more is damaged where its checksum does not look, or a client's idea. */
const EPOCH_MAX = 2 ** 30
const PRODUCER_ID_MAX = 2 ** 50
const newer = (a: number, b: number, max: number): number => (b <= max ? Math.max(a, b) : a)

/** The newest leader epoch and producer id in any batch. */
function newestIn(files: FileSystem, dir: string): { epoch: number; producerId: number } {
  const newest = { epoch: 0, producerId: -1 }
  for (const folder of files.readdir(dir).filter(name => PARTITION_FOLDER.test(name))) {
    if (namesIn(files, join(dir, folder)).length === 0) continue
    for (const base of segmentsIn(files, join(dir, folder))) {
      const path = join(dir, folder, fileName(base, 'log'))
      const segment = { path, base, next: null, endOffset: null, isThinned: true }
      walkSegment(files, segment, ({ bytes }) => {
        newest.epoch = newer(newest.epoch, batch.leaderEpoch(bytes), EPOCH_MAX)
        newest.producerId = newer(newest.producerId, batch.producerId(bytes), PRODUCER_ID_MAX)
      })
    }
  }
  return newest
}
