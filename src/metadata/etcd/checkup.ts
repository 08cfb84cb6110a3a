import type { Logger } from '../../logger.ts'
import type { Address, MetadataUrl } from '../url.ts'
import { EtcdClient } from './client.ts'
import { HttpClient } from './http.ts'
import * as wire from './wire.ts'

/** An endpoint that does not answer is looked at for no longer. */
const ANSWER_MS = 3_000
/** Of which the median is taken. */
const READS = 5
/** Less than etcd grants: it answers with the least that it does. */
const SHORTEST_S = 1
const QUOTA = /^etcd_server_quota_backend_bytes (\S+)$/m
/** An HTTP date has whole seconds. */
const DATE_MS = 1_000

/** What a broker would be warned of is what is found here. */
const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** What one endpoint says of itself. */
export interface EndpointFound extends wire.MemberStatus {
  /** Between which its clock is ahead of this machine's; null: it does not tell. */
  readonly aheadMs: { readonly least: number; readonly most: number } | null
  /** Of linearizable reads, which take an answer of the other members. */
  readonly readMs: number
}

const clientOf = (url: MetadataUrl, endpoints: readonly Address[]): EtcdClient =>
  new EtcdClient({ url: { ...url, endpoints }, log: SILENT, requestMs: ANSWER_MS })

/** Looks at one endpoint, and at no other. @throws BrokerError, EtcdError: what is wrong with it */
export async function checkEndpoint(url: MetadataUrl, address: Address): Promise<EndpointFound> {
  const client = clientOf(url, [address])
  const http = new HttpClient(url.isTls ? {} : null)
  try {
    await client.check()
    const answer = await client.call(wire.PATH.status, '{}', { isRepeatable: true })
    const status = wire.statusOf(answer)
    const quotaBytes = status.quotaBytes ?? (await quotaOf(http, address))
    const aheadMs = await aheadOf(http, address)
    // Without a leader none would be answered.
    const readMs = status.leader === null ? Number.NaN : await readMsOf(client, url)
    return { ...status, quotaBytes, aheadMs, readMs }
  } finally {
    http.close()
    client.close()
  }
}

const getOf = (address: Address, path: string) => ({
  ...{ address, path, body: null, token: null, timeoutMs: ANSWER_MS },
})

/** Before 3.6 only the metrics tell it, which may be served elsewhere. */
async function quotaOf(http: HttpClient, address: Address): Promise<number | null> {
  const { status, body } = await http.send(getOf(address, wire.PATH.metrics))
  const text = status === 200 ? QUOTA.exec(body.toString('utf8'))?.[1] : undefined
  return text === undefined ? null : Number(text)
}

async function aheadOf(http: HttpClient, address: Address): Promise<EndpointFound['aheadMs']> {
  const sentAt = Date.now()
  const { date } = await http.send(getOf(address, wire.PATH.version))
  const answeredAt = Date.now()
  const told = Date.parse(date ?? '')
  if (Number.isNaN(told)) return null
  return { least: told - answeredAt, most: told + DATE_MS - sentAt }
}

async function readMsOf(client: EtcdClient, { prefix }: MetadataUrl): Promise<number> {
  const body = wire.getBody(new wire.Keys(prefix), '')
  const times: number[] = []
  for (let i = 0; i < READS; i++) {
    const sentAt = performance.now()
    await client.call(wire.PATH.range, body, { isRepeatable: true })
    times.push(performance.now() - sentAt)
  }
  return times.sort((a, b) => a - b)[READS >> 1]!
}

/** Of all members, by whichever endpoint answers. */
export async function alarmsAt(url: MetadataUrl): Promise<readonly wire.Alarm[]> {
  const client = clientOf(url, url.endpoints)
  try {
    const body = wire.ALARMS_BODY
    return wire.alarmsOf(await client.call(wire.PATH.alarm, body, { isRepeatable: true }))
  } finally {
    client.close()
  }
}

/** The shortest that a lease lives, by one that is given back at once. */
export async function shortestLeaseMs(url: MetadataUrl): Promise<number> {
  const client = clientOf(url, url.endpoints)
  try {
    const options = { isRepeatable: true }
    const answer = await client.call(wire.PATH.grant, wire.grantBody(SHORTEST_S), options)
    await client.call(wire.PATH.revoke, wire.leaseBody(wire.leaseOf(answer)), options)
    return wire.grantedMsOf(answer)
  } finally {
    client.close()
  }
}
