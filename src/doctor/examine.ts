import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isCompacted } from '../configs/topic.ts'
import { resolveTopicConfig } from '../configs/values.ts'
import type { LocalMetadataStore } from '../metadata/local.ts'
import { sweep } from '../storage/folders.ts'
import type { FileSystem } from '../storage/fs.ts'
import { readLeftBehind } from '../storage/left-behind.ts'
import { OverlayFs } from '../storage/overlay-fs.ts'
import { topicIdOf } from '../storage/partition-metadata.ts'
import { brokerKey } from '../topics/broker-keys.ts'
import { CLEAN, isSameStart, readMarker, type Start } from '../topics/clean-mark.ts'
import { DataDir, JOINED } from '../topics/data-dir.ts'
import { JOURNALS, namesIn } from '../topics/inventory.ts'
import { logConfigOf } from '../topics/log-config.ts'
import { TOMBSTONES } from '../topics/tombstones.ts'
import { PARTITION_FOLDER, TOPIC_PREFIX, type TopicRecord } from '../topics/topic-record.ts'
import { Findings, messageOf } from './finding.ts'
import { checkIdentity, nodeIdOf } from './identity-check.ts'
import { checkJournals } from './journal-check.ts'
import { checkLog, type LogContext, type Looked, type PartitionToCheck } from './log-check.ts'
import { checkMetadata, openMetadata } from './metadata-check.ts'

/** What makes a folder a data folder, and what else belongs into one. */
const OURS = [
  /^(meta\.properties|\.lock(-.*)?|\.kafka_cleanshutdown|journal|metadata\.reserve)$/,
  /^metadata(\.2)?\.log(\.(torn|damaged)-\d+)?$/,
]
const KNOWN = [...OURS, /\.tmp$/, /^.+-\d+(\.[0-9a-f]{32}-(delete|stray))?$/, /^doctor-[\w-]+$/]
/** The configs of a topic do not decide what is lost. */
const NO_CONFIGS = { dynamicBroker: {}, dynamicDefault: {}, static: {} }

export interface Examination {
  readonly findings: Findings
  /** The folder with the mends of what concerns all partitions: metadata, journals, identity. */
  readonly mended: OverlayFs
  readonly topics: number
  readonly partitions: number
  readonly records: number
  readonly bytes: number
}

/**
 * Looks at everything in a data folder: what a start would do, by its own code over a file system that keeps what it writes in
 * memory, and every batch of every segment. What would stop a start is mended in memory first, so that the rest can be looked at.
 */
export async function examine(
  files: FileSystem,
  dir: string,
  onPartition: (looked: Looked, share: number) => void = () => {},
): Promise<Examination> {
  const findings = new Findings()
  const mended = new OverlayFs(files, dir)
  const looked = { records: 0, bytes: 0 }
  const found = { findings, mended, topics: 0, partitions: 0 }
  checkNames(files, dir, findings)
  checkMetadata(files, dir, () => isLeftClean(files, dir), findings)
  applyAll(findings, mended)
  const store = openMetadata(mended, dir)
  if (store !== null) checkIdentity(mended, dir, store, findings)
  const nodeId = nodeIdOf(mended, dir, store)
  const clean = store !== null && isClean(mended, dir, store, nodeId)
  const expected = (store?.peek(brokerKey(nodeId, 'journals')) as number | null) ?? 0
  checkJournals(mended, dir, clean, expected, findings)
  checkMark(files, dir, clean, findings)
  applyAll(findings, mended)
  const refusal = refusalOf(mended, dir, nodeId)
  if (refusal !== null || store === null) {
    const problem = `a start is refused: ${refusal}`
    findings.add({ verdict: 'lost', about: 'folder', file: '', problem })
    return { ...found, ...looked }
  }
  const topics = await topicsOf(store)
  const deleted = new Set(await tombstonesOf(store))
  const left = readLeftBehind(mended, dir, NO_WORKER, clean)
  const context: LogContext = { files: mended, dataDir: dir, clean, deleted, left }
  const inCluster = store.peek(JOINED) !== null
  const partitions = inCluster
    ? partitionsIn(mended, dir, deleted)
    : topics.flatMap(one => partitionsOf(one, store, nodeId))
  for (const [i, partition] of partitions.entries()) {
    try {
      checkLog(context, partition, findings, looked)
    } catch (error) {
      const { name } = partition
      const problem = `it cannot be looked at: ${messageOf(error)}`
      const repair = 'nothing'
      findings.add({ verdict: 'lost', about: name, file: name, problem, repair })
    }
    onPartition(looked, (i + 1) / partitions.length)
    // Whoever shows how far this is has its turn.
    await setImmediate()
  }
  checkStrays(context, new Set(partitions.map(({ name }) => name)), findings)
  const ids = new Set(partitions.map(({ topicId }) => topicId))
  return { ...found, topics: ids.size, partitions: partitions.length, ...looked }
}

/** No worker has this number: nothing is mended that is its own. */
const NO_WORKER = -1

function applyAll(findings: Findings, mended: OverlayFs): void {
  for (const [key, mend] of findings.mends) {
    mend.apply(mended)
    findings.mends.delete(key)
  }
}

function checkNames(files: FileSystem, dir: string, findings: Findings): void {
  for (const name of files.readdir(dir)) {
    if (KNOWN.some(pattern => pattern.test(name))) continue
    const problem = 'it is not of this program, and is left'
    findings.add({ verdict: 'note', about: 'folder', file: name, problem })
  }
}

function isLeftClean(files: FileSystem, dir: string): boolean {
  const store = openMetadata(files, dir)
  return store !== null && isClean(files, dir, store, nodeIdOf(files, dir, store))
}

function isClean(
  files: FileSystem,
  dir: string,
  store: LocalMetadataStore,
  nodeId: number,
): boolean {
  const last = store.peek(brokerKey(nodeId, 'start')) as unknown as Start | null
  return isSameStart(last, readMarker(files, dir))
}

function checkMark(files: FileSystem, dir: string, clean: boolean, findings: Findings): void {
  if (clean || readMarker(files, dir) === null) return
  const problem =
    'it is not that of the last start, and proves nothing: a start verifies everything'
  findings.add({ verdict: 'note', about: 'folder', file: CLEAN, problem })
}

/** Why a start would not go on, or null. */
function refusalOf(files: FileSystem, dir: string, nodeId: number): string | null {
  try {
    void new DataDir(dir, nodeId, null, new OverlayFs(files, dir)).store.close()
    return null
  } catch (error) {
    return messageOf(error)
  }
}

interface TopicFound {
  readonly name: string
  readonly record: TopicRecord
}

async function topicsOf(store: LocalMetadataStore): Promise<TopicFound[]> {
  const { entries } = await store.list(TOPIC_PREFIX)
  return entries.map(({ key, value }) => ({
    name: key.slice(TOPIC_PREFIX.length),
    record: value as unknown as TopicRecord,
  }))
}

async function tombstonesOf(store: LocalMetadataStore): Promise<string[]> {
  const { entries } = await store.list(TOMBSTONES)
  return entries.map(({ key }) => key.slice(TOMBSTONES.length))
}

function partitionsOf(
  { name, record }: TopicFound,
  store: LocalMetadataStore,
  nodeId: number,
): PartitionToCheck[] {
  const config = resolveTopicConfig(record.configs, NO_CONFIGS)
  const epoch = (store.peek(brokerKey(nodeId, 'epoch')) as number | null) ?? Number.MAX_SAFE_INTEGER
  return Array.from({ length: record.partitions }, (_, partition) => ({
    handle: partition,
    name: `${name}-${partition}`,
    topicId: record.id,
    partition,
    config: logConfigOf(config, Number.MAX_SAFE_INTEGER),
    isCompacted: isCompacted(config),
    epochMax: epoch - record.brokerEpoch,
    leaderEpoch: -1,
  }))
}

/** Of a broker in a cluster: its metadata says which partitions are here, and with which configs. All that have a topic are taken for good. */
function partitionsIn(
  files: FileSystem,
  dir: string,
  deleted: ReadonlySet<string>,
): PartitionToCheck[] {
  const config = logConfigOf(resolveTopicConfig({}, NO_CONFIGS), Number.MAX_SAFE_INTEGER)
  const folders = files.readdir(dir).filter(name => PARTITION_FOLDER.test(name))
  return folders.flatMap((name, handle) => {
    const topicId = topicIdOf(files, join(dir, name))
    if (topicId === undefined || deleted.has(topicId)) return []
    const partition = Number(name.slice(name.lastIndexOf('-') + 1))
    const unknown = { isCompacted: true, epochMax: Number.MAX_SAFE_INTEGER, leaderEpoch: -1 }
    return [{ handle, name, topicId, partition, config, ...unknown }]
  })
}

/** Folders of no topic. */
function checkStrays(context: LogContext, known: ReadonlySet<string>, findings: Findings): void {
  const { files, dataDir, deleted, left } = context
  const folders = files
    .readdir(dataDir)
    .filter(name => PARTITION_FOLDER.test(name) && !known.has(name))
  const rehearsal = new OverlayFs(files, dataDir)
  const { journalled } = left
  for (const name of folders) {
    const id = topicIdOf(files, join(dataDir, name))
    if (namesIn(files, join(dataDir, name)).length === 0) continue
    const [note] = sweep(rehearsal, dataDir, [name], { deleted, journalled })
    if (note === undefined) continue
    const isDeleted = id !== undefined && deleted.has(id)
    const problem = isDeleted
      ? `it is of topic ${id}, which was deleted: a start removes it`
      : 'no topic has it: a start sets it aside under another name'
    findings.add({ verdict: isDeleted ? 'note' : 'damaged', about: name, file: name, problem })
  }
}

export const isDataFolder = (files: FileSystem, dir: string): boolean =>
  namesIn(files, dir).some(name => OURS.some(pattern => pattern.test(name))) ||
  namesIn(files, join(dir, JOURNALS)).length > 0
