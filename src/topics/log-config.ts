import { isCompacted, type TopicConfig } from '../configs/topic.ts'
import type { CompactionConfig } from '../storage/compaction/cleanable.ts'
import type { LogConfig } from '../storage/log.ts'

/** The most that the records of one batch may take when they are decompressed: 64 times Kafka's default of max.message.bytes. */
export const CONTENT_BYTES_MAX = 64 * 1024 * 1024

function compactionConfigOf(config: TopicConfig): CompactionConfig {
  return {
    minCompactionLagMs: Number(config.minCompactionLagMs),
    maxCompactionLagMs: Number(config.maxCompactionLagMs),
  }
}

/** What the partition worker obeys of a topic's configs. */
export function logConfigOf(
  config: TopicConfig,
  producerIdExpirationMs: number,
  hasGaps = isCompacted(config),
): LogConfig {
  return {
    segmentBytes: config.segmentBytes,
    segmentMs: Number(config.segmentMs),
    retentionMs: Number(config.retentionMs),
    retentionBytes: Number(config.retentionBytes),
    deletes: config.cleanupPolicy.includes('delete'),
    flushMessages: Number(config.flushMessages),
    flushMs: Number(config.flushMs),
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
    compaction: isCompacted(config) ? compactionConfigOf(config) : null,
    producerIdExpirationMs,
    hasGaps,
  }
}
