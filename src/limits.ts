import type { BrokerSettings } from './configs/broker.ts'
import { InvalidOption } from './errors.ts'
import { ENTRY_HEADER_BYTES } from './shared/entry.ts'

/** Requests of one connection that may be under way; its socket is not read past that. */
const CONNECTION_REQUESTS_MAX = 256

/** The bounds of a running broker. Whatever can grow has one. */
export interface Limits {
  /** Bytes of a request, without its length field. */
  readonly frameBytesMax: number
  readonly connectionRequestsMax: number
  readonly connectionsMax: number
  readonly connectionsPerIpMax: number
  /** Milliseconds; negative: no bound. */
  readonly connectionIdleMsMax: number
  /** Bytes of one record batch, whatever a topic allows. */
  readonly batchBytesMax: number
  readonly ringBytes: number
  readonly journalFileBytes: number
  readonly fetchBytesMax: number
  readonly fetchSessionsMax: number
  /** Partitions in one DescribeTopicPartitions answer. */
  readonly describedPartitionsMax: number
}

/**
 * Bytes of the largest record batch that passes through a ring: the ring holds two with their entry
 * headers.
 */
export function batchBytesMax(ringBytes: number): number {
  return ringBytes / 2 - ENTRY_HEADER_BYTES
}

/**
 * Derives the bounds from the settings and checks how they relate.
 * @param originOf where an option came from, for the message
 * @throws InvalidOption
 */
export function deriveLimits(
  settings: BrokerSettings,
  originOf: (key: string) => string = () => 'default',
): Limits {
  const batchMax = batchBytesMax(settings.ringBytes)
  if (settings.messageMaxBytes > batchMax) {
    const key = 'message.max.bytes'
    const why = `odradek.ring.bytes is ${settings.ringBytes} and must hold two such batches`
    const allowed = `at most ${batchMax}: ${why}`
    throw new InvalidOption(key, String(settings.messageMaxBytes), originOf(key), allowed)
  }
  return Object.freeze({
    frameBytesMax: settings.socketRequestMaxBytes,
    connectionRequestsMax: CONNECTION_REQUESTS_MAX,
    connectionsMax: settings.maxConnections,
    connectionsPerIpMax: settings.maxConnectionsPerIp,
    connectionIdleMsMax: settings.connectionsMaxIdleMs,
    batchBytesMax: batchMax,
    ringBytes: settings.ringBytes,
    journalFileBytes: settings.journalBytes,
    fetchBytesMax: settings.fetchMaxBytes,
    fetchSessionsMax: settings.maxIncrementalFetchSessionCacheSlots,
    describedPartitionsMax: settings.maxRequestPartitionSizeLimit,
  })
}
