import { CONFIG_PREFIX } from '../configs/named.ts'
import type { Change, KeyChange, MetadataStore, TxResult } from '../metadata/store.ts'
import type { Options } from '../options.ts'
import { PARTITION_PREFIX } from '../replication/partition-state.ts'
import type { FileSystem } from '../storage/fs.ts'
import { DataDir } from '../topics/data-dir.ts'
import { hasMetadata, someOf } from '../topics/inventory.ts'
import { PRODUCER_IDS } from '../topics/producer-ids.ts'
import { TOPIC_PREFIX } from '../topics/topic-record.ts'
import {
  CLUSTER,
  ClusterError,
  clusterRecordOf,
  clusterValue,
  MIGRATION,
  type Origin,
} from './cluster-record.ts'
import { FEATURES, FIRST_LEVELS } from './features.ts'
import { type MigrationPlan, planMigration } from './migration-plan.ts'
import { NODES_PREFIX } from './registration.ts'

/** In one transaction: of etcd's 128 changes and 1.5 MiB, of which bytes take a third more on the way. */
const CHANGES_TOGETHER = 100
const BYTES_TOGETHER = 512 * 1024

/** What a migration that was interrupted may have left; nothing else is ever below its prefix. */
const PREFIXES = [CONFIG_PREFIX, PARTITION_PREFIX, TOPIC_PREFIX, NODES_PREFIX]
const KEYS = [PRODUCER_IDS, MIGRATION]
const LEFTOVERS: readonly Change[] = [
  ...PREFIXES.map(prefix => ({ prefix, value: null })),
  ...KEYS.map(key => ({ key, value: null })),
]
/** Of the node's own metadata: the cluster has it from then on. */
const HANDED_OVER: readonly Change[] = [
  { prefix: TOPIC_PREFIX, value: null },
  { prefix: CONFIG_PREFIX, value: null },
  { key: PRODUCER_IDS, value: null },
]

export interface MigrationOptions {
  readonly files: FileSystem
  /** The data folder, whose lock the caller has. */
  readonly dir: string
  /** Of a broker in a cluster. */
  readonly options: Options
  /** Of the cluster that is to be. */
  readonly store: MetadataStore
  /** Where that is, as people write it. */
  readonly address: string
  /** Says what would be done; `files` keeps what is written to itself. */
  readonly isDryRun: boolean
}

/** `finished`: an earlier attempt had made the cluster; `there`: and had ended as well. */
export interface Migration extends Omit<MigrationPlan, 'changes'> {
  readonly outcome: 'planned' | 'migrated' | 'finished' | 'there'
  readonly clusterId: string
  /** To be written, or written. */
  readonly keys: number
}

/**
 * Makes a cluster of a broker alone, whose first broker it becomes: what its own metadata has is written below the prefix, and
 * last the key `cluster`, by which it is a cluster. Before that key the broker may go on alone as if nothing had been; behind it the
 * folder is marked as one of the cluster's. Whatever interrupts it, the same call goes on from there.
 * @throws ClusterError, DataDirError, MetadataCorrupt; OutcomeUnknown: to be called again before a broker is started
 */
export async function migrate(o: MigrationOptions): Promise<Migration> {
  const { files, dir, options, store, address, isDryRun } = o
  if (!hasMetadata(files, dir)) {
    throw new ClusterError(
      `No broker has started on ${dir} yet: there is nothing to migrate; start it with --metadata ${address}.`,
    )
  }
  const dataDir = new DataDir(dir, options.nodeId, options.settings.clusterId, files)
  try {
    const { changes, ...found } = await planMigration(dataDir, options)
    const origin = { dir: dataDir.directoryId, starts: dataDir.starts }
    const { clusterId, cluster } = dataDir
    const told = { ...found, clusterId, keys: changes.length }
    if (cluster !== null && cluster !== address) throw isElsewhere(dir, cluster)
    if (cluster !== null) return { ...told, outcome: 'there' }
    const isMade = await isMadeOf(store, origin, o)
    if (isDryRun) return { ...told, outcome: isMade ? 'finished' : 'planned' }
    if (!isMade) await makeCluster(o, changes, origin, clusterId)
    await dataDir.joinCluster(address, HANDED_OVER)
    return { ...told, outcome: isMade ? 'finished' : 'migrated' }
  } finally {
    await dataDir.store.close()
    if (dataDir.wasClean && !dataDir.store.hasFailed) dataDir.markClean()
  }
}

const isElsewhere = (dir: string, cluster: string) =>
  new ClusterError(
    `The data folder ${dir} is of a broker of the cluster at ${cluster} already: start it with --metadata ${cluster}.`,
  )

/**
 * Whether an earlier attempt has made the cluster.
 * @throws ClusterError if somebody else has
 */
async function isMadeOf(
  store: MetadataStore,
  origin: Origin,
  { address, dir }: MigrationOptions,
): Promise<boolean> {
  const entry = await store.get(CLUSTER)
  if (entry === null) {
    await checkLeftovers(store, origin, address)
    return false
  }
  const { clusterId, from } = clusterRecordOf(entry.value, address)
  if (from?.dir !== origin.dir) {
    throw new ClusterError(
      `At ${address} there is a cluster already, ${clusterId}, and what two have cannot be put together: use another prefix.`,
    )
  }
  if (from.starts === origin.starts) return true
  throw new ClusterError(
    `The cluster at ${address} was made of the data folder ${dir}, but a broker has started alone on it since, and what it has written is not there. If no broker has run in that cluster, remove its keys (etcdctl del --prefix) and run this again.`,
  )
}

async function checkLeftovers(store: MetadataStore, origin: Origin, address: string) {
  const keys = (await store.list('')).entries.map(({ key }) => key)
  const begun = (await store.get(MIGRATION))?.value as unknown as Origin | undefined
  if (begun !== undefined && begun.dir !== origin.dir) {
    throw new ClusterError(
      `A migration of another data folder (directory id ${begun.dir}) to ${address} has begun and has not come to its end: use another prefix; or, if that one was given up, remove its keys (etcdctl del --prefix).`,
    )
  }
  const isOurs = (key: string): boolean =>
    KEYS.includes(key) || PREFIXES.some(prefix => key.startsWith(prefix))
  const others = begun === undefined ? keys : keys.filter(key => !isOurs(key))
  if (others.length === 0) return
  throw new ClusterError(
    `Below ${address} there are keys that this migration has not written (${someOf(others)}): use another prefix, or remove them.`,
  )
}

async function makeCluster(
  { store, address }: MigrationOptions,
  changes: readonly KeyChange[],
  origin: Origin,
  clusterId: string,
): Promise<void> {
  const applied = (result: TxResult): number => {
    if (result.outcome === 'applied') return result.revision
    throw new ClusterError(
      `Somebody else has written below ${address} meanwhile, another migration or a broker: see who, and run this again.`,
    )
  }
  const begun = await store.get(MIGRATION)
  if (begun !== null) {
    const compare = { key: MIGRATION, created: begun.created }
    applied(await store.transact([compare], LEFTOVERS))
  }
  const absent = [MIGRATION, CLUSTER].map(key => ({ key, created: 0 }))
  const first = { key: MIGRATION, value: { ...origin } }
  // Whatever is still on its way from an earlier attempt names another life of the key, and comes to nothing.
  const own = { key: MIGRATION, created: applied(await store.transact(absent, [first])) }
  for (const some of inTransactions(changes)) applied(await store.transact([own], some))
  const made = [
    { key: FEATURES, value: { ...FIRST_LEVELS } },
    { key: CLUSTER, value: clusterValue({ clusterId, from: origin }) },
    { key: MIGRATION, value: null },
  ]
  applied(await store.transact([own, { key: CLUSTER, created: 0 }], made))
}

function inTransactions(changes: readonly KeyChange[]): KeyChange[][] {
  const all: KeyChange[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const change of changes) {
    const more = JSON.stringify(change).length
    if (bytes + more > BYTES_TOGETHER || all.at(-1)!.length >= CHANGES_TOGETHER) {
      all.push([])
      bytes = 0
    }
    all.at(-1)!.push(change)
    bytes += more
  }
  return all
}
