import { ClusterError } from '../../cluster/cluster-record.ts'
import { inCluster } from '../../cluster/join.ts'
import { type Migration, migrate } from '../../cluster/migrate.ts'
import { BrokerError, InvalidOption } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { MetadataCorrupt } from '../../metadata/copies.ts'
import { EtcdMetadataStore } from '../../metadata/etcd/store.ts'
import { OutcomeUnknown } from '../../metadata/store.ts'
import { InvalidMetadataUrl, type MetadataUrl, parseMetadataUrl } from '../../metadata/url.ts'
import { type Options, resolveOptions } from '../../options.ts'
import { realFileSystem } from '../../storage/fs.ts'
import { OverlayFs } from '../../storage/overlay-fs.ts'
import { DataDirError } from '../../topics/data-dir.ts'
import type { BrokerFlags } from '../base/broker-flags.ts'
import { sourcesOf } from '../base/broker-options.ts'
import { folderAt, takeFolder } from '../base/data-folder.ts'
import { CliError } from '../base/failure.ts'
import { plural, print } from '../base/output.ts'

export interface MigrateFlags extends BrokerFlags {
  readonly to: string
  readonly data?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** What is wrong with what was given, with the folder, or with etcd. */
const EXPECTED = [
  ...[InvalidOption, InvalidMetadataUrl, DataDirError, MetadataCorrupt, ClusterError],
  BrokerError,
]

const warn = (_: object, message: string): void => void process.stderr.write(`${message}\n`)
const log: Logger = { debug: () => {}, info: () => {}, warn, error: warn }

export async function migrateFolder(flags: MigrateFlags): Promise<void> {
  try {
    const url = parseMetadataUrl(flags.to)
    const options = optionsOf(flags)
    for (const warning of options.warnings) warn({}, warning)
    const migration = await migrateTo(url, options, flags.dryRun === true)
    const { nodeId, dataDir } = options
    const value = { ...migration, address: url.shown, node: nodeId, data: dataDir }
    print(flags.json, value, () => textOf(migration, url.shown, options))
  } catch (error) {
    if (error instanceof OutcomeUnknown) {
      throw new CliError(`${error.message} Run the same command again before a broker is started.`)
    }
    const expected = EXPECTED.find(kind => error instanceof kind)
    throw expected === undefined ? error : new CliError((error as Error).message)
  }
}

/** Of the broker that is to be in the cluster. */
function optionsOf(flags: MigrateFlags): Options {
  const override = flags.data === undefined ? [] : [`log.dirs=${flags.data}`]
  return resolveOptions(
    inCluster(sourcesOf({ ...flags, override: [...flags.override, ...override] })),
  )
}

async function migrateTo(url: MetadataUrl, options: Options, isDryRun: boolean) {
  const dir = folderAt(options.dataDir)
  const lock = takeFolder(dir, !isDryRun)
  try {
    const store = await EtcdMetadataStore.open({ url, log })
    try {
      const files = isDryRun ? new OverlayFs(realFileSystem, dir) : realFileSystem
      return await migrate({ files, dir, options, store, address: url.shown, isDryRun })
    } finally {
      await store.close()
    }
  } finally {
    lock?.release()
  }
}

const DONE: Readonly<Record<Migration['outcome'], string>> = {
  planned: 'Nothing was changed. It would write to',
  migrated: 'Written to',
  finished: 'An earlier attempt has written to',
  there: 'This folder is of the cluster already whose metadata is at',
}

function textOf(migration: Migration, address: string, { nodeId }: Options): string {
  const { outcome, topics, configs, keys, clusterId } = migration
  const partitions = topics.reduce((sum, topic) => sum + topic.partitions, 0)
  const what = `${plural(topics.length, 'topic')} with ${plural(partitions, 'partition')}, what is set of ${plural(configs, 'broker, group or client')}, ${plural(keys, 'key')} in all`
  const start = `odradek start --metadata ${address} -o node.id=${nodeId}`
  if (outcome === 'there') return `${DONE.there} ${address}. Start it: ${start}`
  const line = `${DONE[outcome]} ${address}: ${what}, as cluster ${clusterId} of broker ${nodeId}.`
  if (outcome === 'planned') return line
  return `${line}\nFrom now on the broker is started so: ${start}`
}
