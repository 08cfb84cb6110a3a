/*
 * etcd's JSON gateway: the only file that knows how etcd's messages look in JSON. 64-bit numbers are strings, bytes are base64,
 * and what is false, 0 or empty is left out.
 */
import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { isPrefix } from '../rules.ts'
import { deletionOf, entryOf } from '../state.ts'
import {
  type Change,
  type Compare,
  type Entry,
  type Json,
  type KeyChange,
  type KeyEvent,
  type LeaseId,
  OutcomeUnknown,
  type TxResult,
} from '../store.ts'

export const PATH = {
  txn: '/v3/kv/txn',
  range: '/v3/kv/range',
  watch: '/v3/watch',
  grant: '/v3/lease/grant',
  keepAlive: '/v3/lease/keepalive',
  revoke: '/v3/lease/revoke',
  authenticate: '/v3/auth/authenticate',
  status: '/v3/maintenance/status',
  alarm: '/v3/maintenance/alarm',
  version: '/version',
  metrics: '/metrics',
} as const

/** A value below our prefix that no Odradek wrote. */
export class ForeignValue extends BrokerError {
  override readonly name = 'ForeignValue'

  constructor(key: string, cause: unknown) {
    const message = `${key} in etcd holds what no Odradek wrote: is the prefix right?`
    super(ErrorCode.KAFKA_STORAGE_ERROR, message, { cause })
  }
}

/** An error that etcd answered with: a gRPC code and a text. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

type Message = Readonly<Record<string, unknown>>

const objectOf = (value: unknown): Message =>
  (typeof value === 'object' ? (value ?? {}) : {}) as Message
const listOf = (value: unknown): Message[] => (Array.isArray(value) ? value.map(objectOf) : [])
const numberOf = (value: unknown): number => Number(value ?? 0)

/** @throws SyntaxError if it is no JSON */
export const parse = (bytes: Buffer): Message => objectOf(JSON.parse(bytes.toString('utf8')))

/** Null: it is no error of etcd's. `error` is missing in 3.6, and in a stream all is inside of it. */
export function errorOf(message: Message): EtcdError | null {
  const inner = typeof message.error === 'object' ? objectOf(message.error) : message
  const code = inner.code ?? inner.grpc_code
  if (typeof code !== 'number') return null
  return new EtcdError(code, String(inner.message ?? inner.error))
}

export const revisionOf = (message: Message): number => numberOf(objectOf(message.header).revision)

/** `etcdserver` of /version; null: that is no etcd. */
export function versionOf(message: Message): string | null {
  return typeof message.etcdserver === 'string' ? message.etcdserver : null
}

/** Our keys stand below a prefix, which nobody but this class sees. */
export class Keys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = `${prefix}/`
  }

  encode(key: string): string {
    return Buffer.from(this.#prefix + key).toString('base64')
  }

  decode(text: unknown): string {
    return Buffer.from(String(text), 'base64').toString('utf8').slice(this.#prefix.length)
  }

  /** The end of a range that has all keys which start so: the last byte one higher, which in UTF-8 is always possible. */
  end(prefix: string): string {
    const bytes = Buffer.from(this.#prefix + prefix)
    bytes[bytes.length - 1]!++
    return bytes.toString('base64')
  }

  /** @throws ForeignValue */
  entry(kv: Message): Entry {
    const key = this.decode(kv.key)
    const revision = numberOf(kv.mod_revision)
    const created = numberOf(kv.create_revision)
    const lease = numberOf(kv.lease) === 0 ? {} : { lease: String(kv.lease) }
    return entryOf({ key, value: this.#value(key, kv.value), ...lease }, revision, created)
  }

  #value(key: string, text: unknown): Json {
    try {
      const json = Buffer.from(String(text ?? ''), 'base64').toString('utf8')
      return JSON.parse(json) as Json
    } catch (cause) {
      throw new ForeignValue(this.#prefix + key, cause)
    }
  }
}

export function txnBody(
  keys: Keys,
  compares: readonly Compare[],
  changes: readonly Change[],
): string {
  return JSON.stringify({
    compare: compares.map(compare => {
      const key = keys.encode(compare.key)
      return 'created' in compare
        ? { target: 'CREATE', key, create_revision: String(compare.created) }
        : { target: 'MOD', key, mod_revision: String(compare.revision) }
    }),
    success: changes.map(change => operationOf(keys, change)),
    failure: [...new Set(compares.map(({ key }) => key))].map(key => ({
      request_range: { key: keys.encode(key) },
    })),
  })
}

function operationOf(keys: Keys, change: Change): Message {
  if (isPrefix(change)) {
    const key = keys.encode(change.prefix)
    return { request_delete_range: { key, range_end: keys.end(change.prefix) } }
  }
  const { key, value, lease } = change as KeyChange
  if (value === null) return { request_delete_range: { key: keys.encode(key) } }
  const text = Buffer.from(JSON.stringify(value)).toString('base64')
  return { request_put: { key: keys.encode(key), value: text, lease } }
}

/** @throws OutcomeUnknown for what is no such answer: that a refusal has no word of its own must not make one of it */
export function readTxn(keys: Keys, answer: Message): TxResult {
  const revision = revisionOf(answer)
  if (revision === 0) throw new OutcomeUnknown()
  if (answer.succeeded === true) return { outcome: 'applied', revision }
  const ranges = listOf(answer.responses).map(one => objectOf(one.response_range))
  const now = ranges.flatMap(range => listOf(range.kvs)).map(kv => keys.entry(kv))
  return { outcome: 'refused', revision, now }
}

export interface RangeRequest {
  readonly prefix: string
  /** The page begins behind this key; null: it is the first. */
  readonly behind: string | null
  readonly limit: number
  /** 0: as it is now. */
  readonly revision: number
}

export const getBody = (keys: Keys, key: string): string =>
  JSON.stringify({ key: keys.encode(key) })

export function rangeBody(keys: Keys, { prefix, behind, limit, revision }: RangeRequest): string {
  const key = keys.encode(behind === null ? prefix : `${behind}\0`)
  const range = { key, range_end: keys.end(prefix) }
  return JSON.stringify({ ...range, limit: String(limit), revision: String(revision) })
}

export interface Page {
  /** Of the store when it answered, not of what was asked for. */
  readonly revision: number
  readonly entries: readonly Entry[]
  readonly hasMore: boolean
}

export function readRange(keys: Keys, answer: Message): Page {
  const entries = listOf(answer.kvs).map(kv => keys.entry(kv))
  return { revision: revisionOf(answer), entries, hasMore: answer.more === true }
}

export const watchBody = (keys: Keys, prefix: string, startRevision: number): string =>
  JSON.stringify({
    create_request: {
      key: keys.encode(prefix),
      range_end: keys.end(prefix),
      start_revision: String(startRevision),
    },
  })

/** What one line of a watch says. */
export type WatchMessage =
  | { readonly kind: 'created'; readonly revision: number }
  /** What was asked for is not kept any more. */
  | { readonly kind: 'compacted' }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | {
      readonly kind: 'events'
      readonly events: readonly KeyEvent[]
      readonly foreign: readonly ForeignValue[]
    }

/** @throws EtcdError, or SyntaxError if it is no JSON */
export function readWatch(keys: Keys, line: Buffer): WatchMessage {
  const message = parse(line)
  const error = errorOf(message)
  if (error !== null) throw error
  const result = objectOf(message.result)
  if (numberOf(result.compact_revision) > 0) return { kind: 'compacted' }
  if (result.canceled === true) {
    return { kind: 'cancelled', reason: String(result.cancel_reason ?? 'etcd does not say why') }
  }
  if (result.created === true) return { kind: 'created', revision: revisionOf(result) }
  const foreign: ForeignValue[] = []
  const events = listOf(result.events).flatMap((event): KeyEvent[] => {
    try {
      return [eventOf(keys, event)]
    } catch (thrown) {
      if (!(thrown instanceof ForeignValue)) throw thrown
      foreign.push(thrown)
      return []
    }
  })
  return { kind: 'events', events, foreign }
}

function eventOf(keys: Keys, event: Message): KeyEvent {
  const kv = objectOf(event.kv)
  if (event.type !== 'DELETE') return keys.entry(kv)
  return deletionOf(keys.decode(kv.key), numberOf(kv.mod_revision))
}

export const grantBody = (seconds: number): string => JSON.stringify({ TTL: String(seconds) })

/** That was granted. */
export const leaseOf = (answer: Message): LeaseId => String(answer.ID)

export const leaseBody = (lease: LeaseId): string => JSON.stringify({ ID: lease })

/** Milliseconds that the lease has from now on; 0: there is none. */
export const readKeepAlive = (answer: Message): number =>
  numberOf(objectOf(answer.result).TTL) * 1000

export const authenticateBody = (name: string, password: string): string =>
  JSON.stringify({ name, password })

export const tokenOf = (answer: Message): string => String(answer.token)

/** What a member says of itself and its database. */
export interface MemberStatus {
  readonly version: string
  /** Of the etcd cluster and of the member: 64-bit numbers. */
  readonly cluster: string
  readonly member: string
  /** Null: there is none. */
  readonly leader: string | null
  readonly bytes: number
  /** The rest of the database is free, and is given back by defragmenting it. */
  readonly usedBytes: number
  /** Null: it does not tell, as before 3.6. */
  readonly quotaBytes: number | null
}

export function statusOf(answer: Message): MemberStatus {
  const header = objectOf(answer.header)
  const { leader = '0', dbSizeQuota } = answer
  return {
    version: String(answer.version),
    cluster: String(header.cluster_id),
    member: String(header.member_id),
    leader: leader === '0' ? null : String(leader),
    bytes: numberOf(answer.dbSize),
    usedBytes: numberOf(answer.dbSizeInUse),
    quotaBytes: dbSizeQuota === undefined ? null : numberOf(dbSizeQuota),
  }
}

export interface Alarm {
  readonly member: string
  /** NOSPACE or CORRUPT. */
  readonly kind: string
}

export const ALARMS_BODY = JSON.stringify({ action: 'GET' })

export const alarmsOf = (answer: Message): Alarm[] =>
  listOf(answer.alarms).map(({ memberID, alarm }) => {
    return { member: String(memberID), kind: String(alarm) }
  })

/** What a lease was granted for, which may be more than was asked for. */
export const grantedMsOf = (answer: Message): number => numberOf(answer.TTL) * 1000
