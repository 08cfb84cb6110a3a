import type { Command } from 'commander'
import { listOffsetsApi } from '../../protocol/messages/02-list-offsets.ts'
import { metadataApi } from '../../protocol/messages/03-metadata.ts'
import { type BrokerFlags, withBrokerFlags } from '../base/broker-flags.ts'
import { type BrokerMetadata, Cluster, type TopicMetadata } from '../base/cluster.ts'
import { CliError, EXIT, usage } from '../base/failure.ts'
import { listOffsets, MAX_TIMESTAMP } from '../base/offsets.ts'
import { type Address, type ClusterFlags, examples, withCluster } from '../base/options.ts'
import { plural, print } from '../base/output.ts'
import { duration } from '../base/time.ts'
import {
  type Finding,
  fail,
  findingsText,
  ok,
  partitionFindings,
  skip,
  warn,
} from '../cluster/health.ts'
import { minIsrFinding } from '../cluster/min-isr.ts'
import { diskFinding, limitFinding, logDirsOf } from './disk.ts'
import type { FolderFlags } from './folder.ts'
import { isHere, isLoopback, type Probe, probe } from './probe.ts'

/** A clock that is off by less is good enough for retention and for searches by time. */
const CLOCK_MS_MAX = 60_000
/** Topics whose newest records are looked at. */
const CLOCK_TOPICS_MAX = 20
/** ListOffsets' first version that tells the newest timestamp. */
const MAX_TIMESTAMP_VERSION = 7

export function define(doctor: Command): void {
  const command = withCluster(doctor, () => doctor.getOptionValue('data') === undefined)
    .option('--json', 'print JSON')
    .option('--metadata <etcd://hosts/prefix>', "look at the etcd of the cluster's metadata, too")
    .option('--data <dir>', 'look at a data folder instead, of which no broker is running')
    .option('--repair', 'with --data: say what can be mended, and do it once that is confirmed')
    .option('-y, --yes', 'with --repair: without a question')
  withBrokerFlags(command)
    .addHelpText(
      'after',
      `
Looks at: names and connections, the addresses that brokers tell clients, partitions, disks, open files (of brokers on this
machine), and whether records are ahead of the clock of this machine. Changes nothing. Ends with 1 if something is not well.

Where --metadata, or odradek.metadata in the file, the environment or --override, names an etcd, it looks at that first: each
endpoint's version, leader, clock, database and time to answer, alarms, and the time that brokers' leases have. For the last it
takes a lease, and gives it back.

With --data it looks at every file of a data folder instead, reads all records, and says what is damaged, which records are
lost, and what a start would do. Changes nothing without --repair. That keeps a copy of every file that it changes in
DIR/doctor-<time>; the partitions come online again, what is lost stays a gap in their offsets.`,
    )
    .action(examine)
  examples(
    command,
    'odradek doctor -b broker.example.com:9092',
    'odradek doctor --json',
    'odradek doctor --metadata etcd://10.0.0.1:2379,10.0.0.2:2379/odradek/prod -b 10.0.0.1:9092',
    'odradek doctor --data /var/lib/odradek',
    'odradek doctor --data /var/lib/odradek --repair',
  )
}

async function examine(flags: ClusterFlags & FolderFlags & BrokerFlags): Promise<void> {
  if (flags.data !== undefined) {
    const { examineFolder } = await import('./folder.ts')
    if (flags.yes && !flags.repair) throw usage('--yes is for --repair')
    const isOfBroker = [flags.metadata, flags.config, ...flags.override].some(Boolean)
    if (isOfBroker) throw usage('--metadata, --config and --override are not for a data folder')
    await examineFolder(flags.data, flags)
    return
  }
  if (flags.repair || flags.yes) throw usage('--repair is for a data folder: --data <dir>')
  const findings = await metadataFindings(flags)
  const reached: Address[] = []
  let bootstrapIsLocal = true
  for (const address of flags.bootstrap) {
    const probed = await probe(address, flags.timeout)
    findings.push(reachFinding(`bootstrap ${address.host}:${address.port}`, probed))
    if (probed.client === null) continue
    await probed.client.close()
    bootstrapIsLocal &&= probed.addresses.every(isLoopback)
    reached.push(address)
  }
  if (reached.length > 0) {
    findings.push(...(await examineCluster({ ...flags, bootstrap: reached }, bootstrapIsLocal)))
  }
  print(flags.json, findings, () => findingsText(findings))
  const bad = findings.filter(f => f.verdict === 'fail' || f.verdict === 'warn').length
  const exitCode = reached.length === 0 ? EXIT.noConnection : EXIT.failed
  if (bad > 0) throw new CliError(`${plural(bad, 'problem')} found`, exitCode)
}

/** None: nothing says that there is a cluster whose metadata is in an etcd. */
async function metadataFindings(flags: BrokerFlags): Promise<Finding[]> {
  const { metadataOf } = await import('./metadata-options.ts')
  const found = metadataOf(flags)
  if (found === null) return []
  if ('check' in found) return [found]
  const { examineEtcd } = await import('./etcd.ts')
  return await examineEtcd(found.url, found.sessionMs)
}

function reachFinding(check: string, probed: Probe): Finding {
  return probed.client === null ? fail(check, probed.found, probed.advice) : ok(check, probed.found)
}

async function examineCluster(flags: ClusterFlags, bootstrapIsLocal: boolean): Promise<Finding[]> {
  await using cluster = await Cluster.connect(flags)
  const { brokers, topics, clusterId } = await cluster.metadata(null)
  const findings: Finding[] = []
  for (const broker of brokers) {
    findings.push(...(await examineBroker(cluster, broker, clusterId, bootstrapIsLocal)))
  }
  findings.push(...partitionFindings(topics), await minIsrFinding(cluster, topics))
  findings.push(await clockFinding(cluster, topics))
  return findings
}

const ADVERTISED =
  'every client is told this address: set advertised.listeners of that broker to one that clients can reach'

async function examineBroker(
  cluster: Cluster,
  { nodeId, host, port }: BrokerMetadata,
  clusterId: string | null,
  bootstrapIsLocal: boolean,
): Promise<Finding[]> {
  const check = `broker ${nodeId} at ${host}:${port}`
  const probed = await probe({ host, port }, cluster.timeoutMs)
  if (probed.client === null) {
    return [fail(check, probed.found, `${probed.advice}; ${ADVERTISED}`)]
  }
  const { client, addresses } = probed
  try {
    const other = await cluster.send(client, metadataApi, { topics: [] })
    if (other.clusterId !== clusterId) {
      return [fail(check, `it is of another cluster, ${other.clusterId}`, ADVERTISED)]
    }
    const isTrap = !bootstrapIsLocal && addresses.every(isLoopback)
    const reach = isTrap
      ? warn(
          check,
          `${probed.found}: clients on other machines look for it on their own`,
          ADVERTISED,
        )
      : ok(check, probed.found)
    const dirs = await logDirsOf(cluster, client)
    const isLocal = addresses.some(isHere)
    return [
      reach,
      ...dirs.map(dir => diskFinding(nodeId, dir)),
      ...dirs.slice(0, 1).map(dir => limitFinding(nodeId, dir, isLocal)),
    ]
  } finally {
    await client.close()
  }
}

/** No request tells a broker's clock. Records that are newer than now tell that one of the clocks is wrong. */
async function clockFinding(cluster: Cluster, topics: readonly TopicMetadata[]): Promise<Finding> {
  const check = 'clock'
  if (cluster.any.versionFor(listOffsetsApi) < MAX_TIMESTAMP_VERSION) {
    return skip(check, 'the broker cannot tell the newest record')
  }
  let newest = { ms: -1, topic: '' }
  const looked = topics.filter(t => !t.isInternal && t.errorCode === 0).slice(0, CLOCK_TOPICS_MAX)
  for (const topic of looked) {
    for (const { timestamp } of (await listOffsets(cluster, topic, MAX_TIMESTAMP)).values()) {
      if (timestamp > newest.ms) newest = { ms: timestamp, topic: topic.name! }
    }
  }
  const now = new Date()
  const here = `it is ${now.toISOString()} here`
  if (newest.ms < 0) return skip(check, `there are no records to compare with; ${here}`)
  const aheadMs = newest.ms - now.getTime()
  if (aheadMs <= CLOCK_MS_MAX) {
    return ok(check, `no record of ${plural(looked.length, 'topic')} is ahead of it; ${here}`)
  }
  return warn(
    check,
    `${newest.topic} has a record that is ${duration(aheadMs)} ahead; ${here}`,
    'the clock of its producer, or of this machine, is wrong: synchronise it (timedatectl); retention by time counts from record times',
  )
}
