import { heldMs, keepAliveEveryMs } from '../../cluster/session.ts'
import { BrokerError } from '../../errors.ts'
import {
  alarmsAt,
  checkEndpoint,
  type EndpointFound,
  shortestLeaseMs,
} from '../../metadata/etcd/checkup.ts'
import { refusalOf } from '../../metadata/etcd/errors.ts'
import { NoAnswer, NotSent } from '../../metadata/etcd/http.ts'
import { EtcdError } from '../../metadata/etcd/wire.ts'
import type { MetadataUrl } from '../../metadata/url.ts'
import { bytesText } from '../base/output.ts'
import { duration } from '../base/time.ts'
import { type Finding, fail, ok, skip, warn } from '../cluster/health.ts'

/** Each change of a leader or an ISR takes as long, and a write to etcd's disk besides. */
const READ_MS_MAX = 100
/** Machines that are synchronised part by less. */
const CLOCK_MS_MAX = 2_000
/** Less than this share of the quota left is worth a warning. */
const FREE_SHARE_MIN = 0.2
/** Members of these may come to differ without a word. */
const INCONSISTENT = /^3\.5\.[012]$/
/** A keep-alive is a read and a little more: so many must fit into what is left of a lease. */
const READS_IN_MARGIN_MIN = 10

/** One that answers, where it is, and what it says. */
interface Endpoint {
  readonly at: string
  readonly found: EndpointFound
}

/** Looks at the etcd that keeps a cluster's metadata. @param sessionMs broker.session.timeout.ms */
export async function examineEtcd(url: MetadataUrl, sessionMs: number): Promise<Finding[]> {
  const findings: Finding[] = []
  const endpoints: Endpoint[] = []
  for (const address of url.endpoints) {
    const at = `${address.host}:${address.port}`
    const found = await orProblem(url, () => checkEndpoint(url, address))
    if (typeof found === 'string') findings.push(fail(`etcd at ${at}`, found, AWAY))
    else {
      endpoints.push({ at, found })
      findings.push(memberFinding(at, found), sizeFinding(at, found), clockFinding(at, found))
    }
  }
  if (endpoints.length === 0) return findings
  if (new Set(endpoints.map(({ found }) => found.cluster)).size > 1)
    findings.push(severalFinding(endpoints))
  const readMs = Math.max(...endpoints.map(({ found }) => found.readMs))
  return [
    ...findings,
    await alarmFinding(url, endpoints),
    await leaseFinding(url, sessionMs, readMs),
  ]
}

const AWAY =
  'start it, or mend its address in odradek.metadata; etcd goes on while more than half of its members do, and brokers use the endpoints that answer'

/** What an operator can mend, as a sentence. */
async function orProblem<T>(url: MetadataUrl, look: () => Promise<T>): Promise<T | string> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof EtcdError) return refusalOf(error, url).message
    const isKnown = [BrokerError, NotSent, NoAnswer].some(kind => error instanceof kind)
    if (isKnown) return (error as Error).message
    throw error
  }
}

function memberFinding(at: string, { version, member, leader, readMs }: EndpointFound): Finding {
  const check = `etcd at ${at}`
  if (leader === null) {
    const advice =
      'more than half of the members must reach each other: start those that are away, look at the network between them; until then no topic is made and no leader moves'
    return fail(check, `${version}, has no leader`, advice)
  }
  const role = leader === member ? 'leads' : 'follows'
  const found = `${version}, ${role}, a linearizable read takes ${readMs.toFixed(1)} ms`
  if (INCONSISTENT.test(version)) {
    return warn(check, `${found}; members of this release may come to differ`, 'use 3.6')
  }
  if (readMs <= READ_MS_MAX) return ok(check, found)
  const advice =
    'each change of a leader or an ISR waits as long: give etcd a disk of its own (ETCD_WAL_DIR) and look at the network between its members'
  return warn(check, found, advice)
}

function sizeFinding(at: string, { bytes, usedBytes, quotaBytes }: EndpointFound): Finding {
  const check = `etcd's database at ${at}`
  const found = `${bytesText(bytes)}, ${bytesText(usedBytes)} of it in use`
  if (quotaBytes === null) return skip(check, `${found}; it does not tell its quota`)
  const full = `${found}, of at most ${bytesText(quotaBytes)}`
  return bytes <= quotaBytes * (1 - FREE_SHARE_MIN) ? ok(check, full) : warn(check, full, MAKE_ROOM)
}

const MAKE_ROOM =
  'etcdctl compact and etcdctl defrag give back what is not in use, --auto-compaction-retention=1h keeps it so, --quota-backend-bytes allows more'

function clockFinding(at: string, { aheadMs }: EndpointFound): Finding {
  const check = `clock of ${at}`
  if (aheadMs === null) return skip(check, 'it does not tell the time')
  const { least, most } = aheadMs
  const apart = Math.max(least, -most, 0)
  if (apart <= CLOCK_MS_MAX)
    return ok(check, 'is that of this machine, as far as whole seconds tell')
  const found = `it is at least ${duration(apart)} ${least > 0 ? 'ahead of' : 'behind'} this machine's`
  const advice =
    'synchronise both (timedatectl, chrony): records get their times, and retention counts, by the clock of each machine; elections and leases go by none'
  return warn(check, found, advice)
}

function severalFinding(endpoints: readonly Endpoint[]): Finding {
  const named = endpoints.map(({ at, found }) => `${at} is of ${found.cluster}`)
  const advice = 'name the members of one cluster only in odradek.metadata'
  return fail('etcd', `the endpoints are of several clusters: ${named.join(', ')}`, advice)
}

const ALARM_ADVICE: Readonly<Record<string, string>> = {
  NOSPACE: `no topic is made and no leader moves: ${MAKE_ROOM}; then run etcdctl alarm disarm`,
  CORRUPT:
    "stop the member, remove its data, and add it anew (etcd's disaster recovery says how); then run etcdctl alarm disarm",
}

async function alarmFinding(url: MetadataUrl, endpoints: readonly Endpoint[]): Promise<Finding> {
  const check = "etcd's alarms"
  const alarms = await orProblem(url, () => alarmsAt(url))
  if (typeof alarms === 'string') return skip(check, `they could not be asked for: ${alarms}`)
  if (alarms.length === 0) return ok(check, 'none')
  const at = (id: string): string =>
    endpoints.find(({ found }) => found.member === id)?.at ?? `member ${id}`
  const raised = alarms.map(({ kind, member }) => `${kind} of ${at(member)}`)
  const kinds = [...new Set(alarms.map(({ kind }) => kind))]
  const advice = kinds.map(kind => ALARM_ADVICE[kind] ?? `see what etcd's manual says of ${kind}`)
  return fail(check, raised.join(', '), advice.join('; '))
}

/** How much time the keep-alive of a broker's lease has, and whether etcd grants one that is as short as wanted. */
async function leaseFinding(url: MetadataUrl, sessionMs: number, readMs: number): Promise<Finding> {
  const check = 'leases of brokers'
  const shortestMs = await orProblem(url, () => shortestLeaseMs(url))
  if (typeof shortestMs === 'string') return skip(check, `none was granted: ${shortestMs}`)
  const marginMs = heldMs(sessionMs) - keepAliveEveryMs(sessionMs)
  const found = `broker.session.timeout.ms is ${sessionMs}, etcd's least ${shortestMs}; a keep-alive may take ${(marginMs / 1000).toFixed(1)} s`
  if (shortestMs > sessionMs) {
    const advice = `a broker that is gone is replaced after ${shortestMs} ms only: set it to so much, or etcd's --election-timeout lower, of which a lease has one and a half at least`
    return warn(check, found, advice)
  }
  if (marginMs >= READS_IN_MARGIN_MIN * readMs) return ok(check, found)
  const advice = `a read takes ${readMs.toFixed(0)} ms: brokers may be taken for dead that are well; set broker.session.timeout.ms higher, or make etcd faster`
  return warn(check, found, advice)
}
