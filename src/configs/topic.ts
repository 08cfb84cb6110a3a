import type { CamelCase, Definition, ValueOf } from './definition.ts'
import { boolean, double, int, LONG_MAX, list, long, oneOf } from './definition.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const NOT_TIERED = 'No effect here: there is no tiered storage.'
const NOT_RECOMPRESSED =
  'No effect here: batches stay as the producer compressed them, nothing is compressed again.'

/** A broker config that a topic falls back to, and how many topic units one of its units is. */
export interface BrokerKey {
  readonly name: string
  readonly factor: number
}

const fromBroker = (name: string): readonly BrokerKey[] => [{ name, factor: 1 }]

const replicas = (documentation: string) =>
  list('', documentation, {
    allowed: '* or a list of partition:broker pairs such as 0:1,1:2',
    check: pairs =>
      (pairs.length === 1 && pairs[0] === '*') || pairs.every(pair => /^\d+:\d+$/.test(pair)),
  })

/**
 * Every topic config of Kafka 4.3. Where Odradek differs from Kafka, the documentation sentence
 * says so.
 */
export const topicConfigs = {
  'cleanup.policy': list(
    'delete',
    'What happens to old segments: delete drops those past retention, compact keeps the newest record of every key, none keeps everything.',
    {
      allowed: 'a list of compact and delete',
      check: policies => policies.every(policy => policy === 'compact' || policy === 'delete'),
    },
  ),
  'compression.gzip.level': int(
    -1,
    { min: 1, max: 9, or: -1, meaning: "gzip's own" },
    NOT_RECOMPRESSED,
  ),
  'compression.lz4.level': int(9, { min: 1, max: 17 }, NOT_RECOMPRESSED),
  'compression.type': oneOf(
    'producer',
    ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    'Accepted but without effect: batches are always kept as the producer compressed them.',
  ),
  'compression.zstd.level': int(3, { min: -131072, max: 22 }, NOT_RECOMPRESSED),
  'delete.retention.ms': long(
    DAY_MS,
    { min: 0 },
    'Milliseconds for which the tombstone of a deleted key, or the marker of a transaction whose records are gone, is kept from the first compaction on that meets it.',
  ),
  'file.delete.delay.ms': long(
    60_000,
    { min: 0 },
    'No effect here: the files of a dropped segment are removed at once, after reads under way have ended.',
  ),
  'flush.messages': long(
    1,
    { min: 1 },
    'Records that may be written before they are flushed. 1, the default here, means a record is acknowledged only after it is on disk; a larger number acknowledges before the flush, as Kafka does, and a power cut may lose acknowledged records.',
  ),
  'flush.ms': long(
    LONG_MAX,
    { min: 0 },
    'Milliseconds after which written records are flushed at the latest; it matters only where flush.messages is above 1.',
  ),
  'follower.replication.throttled.replicas': replicas(
    'Replicas to which follower.replication.throttled.rate of their broker applies.',
  ),
  'index.interval.bytes': int(
    4096,
    { min: 0 },
    'No effect here: the offset index gets an entry about every 4096 bytes of log.',
  ),
  'leader.replication.throttled.replicas': replicas(
    'Replicas to which leader.replication.throttled.rate of the broker applies that leads them.',
  ),
  'local.retention.bytes': long(-2, { min: -2, meaning: '-2: as retention.bytes' }, NOT_TIERED),
  'local.retention.ms': long(-2, { min: -2, meaning: '-2: as retention.ms' }, NOT_TIERED),
  'max.compaction.lag.ms': long(
    LONG_MAX,
    { min: 1 },
    'Milliseconds after which a record becomes due for compaction, whatever min.cleanable.dirty.ratio says.',
  ),
  'max.message.bytes': int(
    1_048_588,
    { min: 0 },
    'Largest record batch the topic takes, in bytes as sent (compressed).',
  ),
  'message.timestamp.after.max.ms': long(
    HOUR_MS,
    { min: 0 },
    'Milliseconds by which a batch may lie ahead of the broker clock; checked on the largest timestamp in the batch header.',
  ),
  'message.timestamp.before.max.ms': long(
    LONG_MAX,
    { min: 0 },
    'Milliseconds by which a batch may lie behind the broker clock; checked on the timestamps in the batch header.',
  ),
  'message.timestamp.type': oneOf(
    'CreateTime',
    ['CreateTime', 'LogAppendTime'],
    'Whether records keep the time the producer gave them or get the time they were appended.',
  ),
  'min.cleanable.dirty.ratio': double(
    0.5,
    { min: 0, max: 1 },
    'Share of the log that must be new before it is compacted again.',
  ),
  'min.compaction.lag.ms': long(
    0,
    { min: 0 },
    'Milliseconds for which compaction leaves a new record alone.',
  ),
  'min.insync.replicas': int(
    1,
    { min: 1 },
    'Replicas that must have a record on disk before it is acknowledged to a producer with acks=all; as in Kafka no more are asked for than a partition has, which is one on a broker alone. In a cluster 2 where nothing is set.',
  ),
  preallocate: boolean(
    false,
    'No effect here: only the journal is preallocated, segment files grow as they are written.',
  ),
  'remote.log.copy.disable': boolean(false, NOT_TIERED),
  'remote.log.delete.on.disable': boolean(false, NOT_TIERED),
  'remote.storage.enable': {
    ...boolean(false, 'Must stay false: there is no tiered storage here.'),
    allowed: 'false: there is no tiered storage here',
    parse: (text: string) => (text.trim().toLowerCase() === 'false' ? false : undefined),
  } satisfies Definition<boolean>,
  'retention.bytes': long(
    -1,
    { meaning: 'negative: no limit' },
    'Bytes a partition may hold before its oldest segments are dropped; negative means no bound.',
  ),
  'retention.ms': long(
    7 * DAY_MS,
    { min: -1, meaning: '-1: no limit' },
    'Milliseconds after which a segment is dropped, counted from its newest record; -1 keeps records for ever.',
  ),
  'segment.bytes': int(
    1_073_741_824,
    { min: 1_048_576 },
    'Bytes after which a partition starts a new segment file.',
  ),
  'segment.index.bytes': int(
    10_485_760,
    { min: 4 },
    'No effect here: index files grow with their segment.',
  ),
  'segment.jitter.ms': long(
    0,
    { min: 0 },
    'No effect here: a partition rolls when a record comes after segment.ms, not at a common time.',
  ),
  'segment.ms': long(
    7 * DAY_MS,
    { min: 1 },
    'Milliseconds after which a segment is closed even if it is not full, so that retention can reach it.',
  ),
  'unclean.leader.election.enable': boolean(
    false,
    'Whether a replica that is not in sync is made leader when all that are, or were last, are gone, at the price of acknowledged records. Not while one of them is there but cannot lead yet, as one that starts or whose log is damaged.',
  ),
}

export type TopicConfigName = keyof typeof topicConfigs

/** A topic's configs as the engine reads them: milliseconds, bytes and counts are numbers. */
export type TopicConfig = {
  readonly [K in TopicConfigName as CamelCase<K>]: ValueOf<(typeof topicConfigs)[K]>
}

export const isCompacted = ({ cleanupPolicy }: TopicConfig): boolean =>
  cleanupPolicy.includes('compact')

/**
 * The broker configs behind each topic config, the strongest first. Kafka's names are irregular;
 * the units differ only in the chains of minutes and hours. Those without an entry have no broker
 * config.
 */
export const brokerKeys: { readonly [K in TopicConfigName]?: readonly BrokerKey[] } = {
  'cleanup.policy': fromBroker('log.cleanup.policy'),
  'compression.gzip.level': fromBroker('compression.gzip.level'),
  'compression.lz4.level': fromBroker('compression.lz4.level'),
  'compression.type': fromBroker('compression.type'),
  'compression.zstd.level': fromBroker('compression.zstd.level'),
  'delete.retention.ms': fromBroker('log.cleaner.delete.retention.ms'),
  'file.delete.delay.ms': fromBroker('log.segment.delete.delay.ms'),
  'flush.messages': fromBroker('log.flush.interval.messages'),
  'flush.ms': [
    { name: 'log.flush.interval.ms', factor: 1 },
    { name: 'log.flush.scheduler.interval.ms', factor: 1 },
  ],
  'index.interval.bytes': fromBroker('log.index.interval.bytes'),
  'local.retention.bytes': fromBroker('log.local.retention.bytes'),
  'local.retention.ms': fromBroker('log.local.retention.ms'),
  'max.compaction.lag.ms': fromBroker('log.cleaner.max.compaction.lag.ms'),
  'max.message.bytes': fromBroker('message.max.bytes'),
  'message.timestamp.after.max.ms': fromBroker('log.message.timestamp.after.max.ms'),
  'message.timestamp.before.max.ms': fromBroker('log.message.timestamp.before.max.ms'),
  'message.timestamp.type': fromBroker('log.message.timestamp.type'),
  'min.cleanable.dirty.ratio': fromBroker('log.cleaner.min.cleanable.ratio'),
  'min.compaction.lag.ms': fromBroker('log.cleaner.min.compaction.lag.ms'),
  'min.insync.replicas': fromBroker('min.insync.replicas'),
  preallocate: fromBroker('log.preallocate'),
  'retention.bytes': fromBroker('log.retention.bytes'),
  'retention.ms': [
    { name: 'log.retention.ms', factor: 1 },
    { name: 'log.retention.minutes', factor: 60_000 },
    { name: 'log.retention.hours', factor: HOUR_MS },
  ],
  'segment.bytes': fromBroker('log.segment.bytes'),
  'segment.index.bytes': fromBroker('log.index.size.max.bytes'),
  'segment.jitter.ms': [
    { name: 'log.roll.jitter.ms', factor: 1 },
    { name: 'log.roll.jitter.hours', factor: HOUR_MS },
  ],
  'segment.ms': [
    { name: 'log.roll.ms', factor: 1 },
    { name: 'log.roll.hours', factor: HOUR_MS },
  ],
  'unclean.leader.election.enable': fromBroker('unclean.leader.election.enable'),
}
