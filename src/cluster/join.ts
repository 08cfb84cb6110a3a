import { readFileSync } from 'node:fs'
import { RACK_AWARE } from '../configs/broker/in-cluster.ts'
import { brokerValue } from '../configs/values.ts'
import type { Logger } from '../logger.ts'
import type { MetadataStore } from '../metadata/store.ts'
import {
  type BrokerOptions,
  brokerConfigView,
  type OptionSources,
  type Options,
} from '../options.ts'
import { realFileSystem } from '../storage/fs.ts'
import type { DataDir } from '../topics/data-dir.ts'
import { readMeta } from '../topics/identity.ts'
import { ownFactsOf } from '../topics/own-facts.ts'
import { randomUuid } from '../topics/uuid.ts'
import {
  CLUSTER,
  ClusterError,
  type ClusterRecord,
  clusterRecordOf,
  clusterValue,
  MIGRATION,
} from './cluster-record.ts'
import { type Dial, realDial } from './dial.ts'
import { FEATURES, type FeatureLevels, FIRST_LEVELS, unsupportedBecause } from './features.ts'
import { ClusterNode, type ClusterNodeOptions } from './node.ts'

/** A promise that needs three settings is none: what holds in a cluster where nothing else is set. */
const DEFAULTS: BrokerOptions = {
  'default.replication.factor': 3,
  'min.insync.replicas': 2,
  'broker.session.timeout.ms': 6000,
}

/** The options of a broker in a cluster: the same, over other defaults. */
export const inCluster = (sources: OptionSources): OptionSources => ({
  ...sources,
  defaults: { ...DEFAULTS, ...sources.defaults },
})

/** The metadata of a cluster, open. */
export interface ClusterPlace {
  readonly store: MetadataStore
  readonly clusterId: string
  /** Where it is, as people write it; without a password. */
  readonly address: string
}

/**
 * Opens the cluster's metadata, and makes the cluster if this is its first broker.
 * @param given instead of what the options name
 * @throws InvalidMetadataUrl, BrokerError that says what is wrong with etcd or with what is there
 */
export async function openMetadata(
  options: Options,
  log: Logger,
  given?: MetadataStore,
): Promise<ClusterPlace> {
  const { store, address } = await openStore(options, log, given)
  try {
    const { revision, entries } = await store.list(CLUSTER)
    const entry = entries.find(({ key }) => key === CLUSTER) ?? null
    await checkFolder(options, address, entry === null ? null : revision)
    const { clusterId } =
      entry === null ? await found(store, options, address) : clusterRecordOf(entry.value, address)
    await checkFeatures(store, address)
    const { clusterId: wanted } = options.settings
    if (wanted !== null && wanted !== clusterId) {
      throw new ClusterError(
        `The metadata at ${address} is of cluster ${clusterId}, not ${wanted}.`,
      )
    }
    return { store, clusterId, address }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openStore(options: Options, log: Logger, given?: MetadataStore) {
  if (given !== undefined) return { store: given, address: 'this process' }
  const [{ parseMetadataUrl }, { EtcdMetadataStore }] = await Promise.all([
    import('../metadata/url.ts'),
    import('../metadata/etcd/store.ts'),
  ])
  const url = parseMetadataUrl(options.settings.metadata!)
  return { store: await EtcdMetadataStore.open({ url, log }), address: url.shown }
}

/**
 * What a cluster does not know has its folders put aside: what it cannot know is refused, before a cluster is made.
 * @param revision of the metadata; null: there is no cluster
 */
async function checkFolder(
  { dataDir: dir, settings }: Options,
  address: string,
  revision: number | null,
): Promise<void> {
  const { topics, cluster, revision: seen } = await ownFactsOf(realFileSystem, dir)
  if (topics > 0) {
    throw new ClusterError(
      `The data folder ${dir} is of a broker alone and has ${topics} topics, which the cluster at ${address} does not know: "odradek metadata migrate --to ${address}" makes a new cluster of it; or use another log.dirs.`,
    )
  }
  if (cluster !== null && revision === null) {
    throw new ClusterError(
      `The data folder ${dir} is of a broker of a cluster, whose metadata was at ${cluster} last, and at ${address} there is no cluster: is that the right prefix, and has etcd its data? A new cluster would know none of the records in the folder; to begin one, use another log.dirs.`,
    )
  }
  if (revision !== null && revision < seen && !settings.acceptRestoredMetadata) {
    throw new ClusterError(
      `The metadata at ${address} is at revision ${revision}, and the broker of the data folder ${dir} has seen ${seen}: etcd was restored from a backup, or is another one. Leaders and in-sync replicas of then may lack what was acknowledged since. Restore a newer backup; or, to go on with this one, start with -o odradek.accept.restored.metadata=true.`,
    )
  }
}

/** Nobody has been here: the cluster is this broker's, or that of whoever was faster. */
async function found(
  store: MetadataStore,
  { dataDir, settings }: Options,
  address: string,
): Promise<ClusterRecord> {
  const known = readMeta(realFileSystem, dataDir)?.get('cluster.id')
  const record = { clusterId: settings.clusterId ?? known ?? randomUuid() }
  const result = await store.transact(
    [
      { key: CLUSTER, revision: 0 },
      { key: MIGRATION, revision: 0 },
    ],
    [
      { key: CLUSTER, value: clusterValue(record) },
      { key: FEATURES, value: FIRST_LEVELS },
    ],
  )
  if (result.outcome === 'applied') return record
  const made = result.now.find(({ key }) => key === CLUSTER)
  if (made !== undefined) return clusterRecordOf(made.value, address)
  throw new ClusterError(
    `"odradek metadata migrate" has begun to make a cluster at ${address} and has not come to its end: run it again, then start the broker whose folder it was given first.`,
  )
}

/** What the folder was found to be. */
function startOf({ isNew, wasClean, boot }: DataDir) {
  if (isNew) return 'new'
  if (wasClean) return 'clean'
  return boot !== null && boot === bootId() ? 'killed' : 'recovered'
}

/** Names the boot of the system that this runs on (Linux); null: nobody knows. */
export function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return null // elsewhere every start that is not clean counts as one after a lost system
  }
}

/** A release that cannot go by what the cluster goes by would misread it. */
async function checkFeatures(store: MetadataStore, address: string): Promise<void> {
  const levels = (await store.get(FEATURES))?.value as FeatureLevels | undefined
  for (const [name, level] of Object.entries(levels ?? {})) {
    if (unsupportedBecause(name, level) === null) continue
    throw new ClusterError(
      `The cluster at ${address} goes by ${name} ${level}, which this release does not know: use a newer one.`,
    )
  }
}

/** This broker's part in the cluster: knows all there is, and is not registered yet. */
export async function makeNode(
  options: Options,
  { store, address }: ClusterPlace,
  dataDir: DataDir,
  log: Logger,
  told: Pick<ClusterNodeOptions, 'onLed' | 'onKeys'>,
  dial: Dial = realDial,
): Promise<ClusterNode> {
  const { settings, nodeId } = options
  const view = brokerConfigView(options)
  await dataDir.joinCluster(address)
  const node = new ClusterNode({
    me: nodeId,
    store,
    dir: dataDir.directoryId,
    start: startOf(dataDir),
    replacesNode: settings.replaceNode,
    rack: settings.brokerRack,
    sessionMs: brokerValue('broker.session.timeout.ms', view),
    preferredMs: brokerValue('auto.leader.rebalance.enable', view)
      ? Number(brokerValue('leader.imbalance.check.interval.seconds', view)) * 1000
      : Number.POSITIVE_INFINITY,
    lagTimeMs: () => Number(brokerValue('replica.lag.time.max.ms', view)),
    scrubMs: () => Number(brokerValue('odradek.scrub.interval.ms', view)),
    scrubBytesPerSecond: () => Number(brokerValue('odradek.scrub.bytes.per.second', view)),
    tellsCommitted: settings.replicaSelectorClass === RACK_AWARE,
    interBrokerListener: settings.interBrokerListenerName ?? options.listeners[0]!.name,
    dial,
    ...told,
    log,
  })
  await node.feed.start()
  await dataDir.noteRevision(node.image.revision)
  return node
}
