import { readFileSync } from 'node:fs'
import type { BrokerSettings } from './configs/broker.ts'
import { InvalidOption } from './errors.ts'
import { ENTRY_HEADER_BYTES } from './shared/entry.ts'

/** Requests of one connection that may be under way; its socket is not read past that. */
const CONNECTION_REQUESTS_MAX = 256

/** Requests that one connection may have in memory, in bytes; one more than that is always read. */
const CONNECTION_REQUEST_BYTES_MAX = 32 * 1024 * 1024
/** Requests of all connections in memory, in bytes, unless queued.max.request.bytes says otherwise. */
const REQUEST_BYTES_MAX = 128 * 1024 * 1024
/** Answers of all connections that wait in memory for their clients to take them, in bytes. */
const UNSENT_BYTES_MAX = 128 * 1024 * 1024
/** What members of all groups say and have, in bytes. */
const GROUP_BYTES_MAX = 128 * 1024 * 1024
/** Groups and what they have committed, in bytes: about 60,000 groups of one partition, or 600,000 partitions. */
const OFFSET_BYTES_MAX = 160 * 1024 * 1024

/** Log files open at once unless odradek.open.files says otherwise: half of what the system allows, and no more than this. */
const OPEN_FILES_MAX = 50_000
/** Of those, the share that is written. */
const WRITING_SHARE = 0.75
/** Where the system does not say how many a process may have open: what most allow. */
const SYSTEM_OPEN_FILES = 1_024

/** Files that this process may have open. */
function systemOpenFiles(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1]
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft ?? SYSTEM_OPEN_FILES)
  } catch {
    return SYSTEM_OPEN_FILES
  }
}

/** The bounds of a running broker. Whatever can grow has one. */
export interface Limits {
  /** Bytes of a request, without its length field. */
  readonly frameBytesMax: number
  readonly connectionRequestsMax: number
  /** Bytes of requests in memory: of one connection, and of all. */
  readonly connectionRequestBytesMax: number
  readonly requestBytesMax: number
  /** Bytes of answers that clients have not taken, of all connections. */
  readonly unsentBytesMax: number
  /** Bytes of members of groups. */
  readonly groupBytesMax: number
  /** Bytes of groups and their committed offsets. */
  readonly offsetBytesMax: number
  /** Milliseconds; negative: no bound. */
  readonly connectionIdleMsMax: number
  /** Bytes of one record batch, whatever a topic allows. */
  readonly batchBytesMax: number
  readonly ringBytes: number
  readonly journalFileBytes: number
  /** Files open for writing, and for reading. */
  readonly openLogsMax: number
  readonly openSegmentsMax: number
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

/** Bytes of the smallest ring through which batches of that size pass. */
export function ringBytesFor(batchBytes: number): number {
  return 2 ** Math.ceil(Math.log2(2 * (batchBytes + ENTRY_HEADER_BYTES)))
}

/** The largest batch that can come, if batches may have so many bytes: what is larger than a request is not read. */
export function batchBytesToCome(messageBytesMax: number, requestBytesMax: number): number {
  return Math.min(messageBytesMax, requestBytesMax)
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
  const { messageMaxBytes, socketRequestMaxBytes } = settings
  if (batchBytesToCome(messageMaxBytes, socketRequestMaxBytes) > batchMax) {
    const key = 'message.max.bytes'
    const why = `odradek.ring.bytes is ${settings.ringBytes} and must hold two such batches`
    const allowed = `at most ${batchMax}: ${why}`
    throw new InvalidOption(key, String(messageMaxBytes), originOf(key), allowed)
  }
  const queued = Number(settings.queuedMaxRequestBytes)
  const files = settings.openFiles ?? Math.min(OPEN_FILES_MAX, systemOpenFiles() / 2)
  return Object.freeze({
    frameBytesMax: socketRequestMaxBytes,
    connectionRequestsMax: CONNECTION_REQUESTS_MAX,
    connectionRequestBytesMax: CONNECTION_REQUEST_BYTES_MAX,
    requestBytesMax: queued > 0 ? queued : REQUEST_BYTES_MAX,
    unsentBytesMax: UNSENT_BYTES_MAX,
    groupBytesMax: GROUP_BYTES_MAX,
    offsetBytesMax: OFFSET_BYTES_MAX,
    connectionIdleMsMax: settings.connectionsMaxIdleMs,
    batchBytesMax: batchMax,
    ringBytes: settings.ringBytes,
    journalFileBytes: settings.journalBytes,
    openLogsMax: Math.floor(files * WRITING_SHARE),
    openSegmentsMax: Math.max(1, Math.floor(files * (1 - WRITING_SHARE))),
    fetchBytesMax: settings.fetchMaxBytes,
    fetchSessionsMax: settings.maxIncrementalFetchSessionCacheSlots,
    describedPartitionsMax: settings.maxRequestPartitionSizeLimit,
  })
}
