import type { TopicConfig } from '../configs/topic.ts'
import type { LogConfig } from '../storage/log.ts'

/** What the partition worker obeys of a topic's configs. */
export function logConfigOf(config: TopicConfig, producerIdExpirationMs: number): LogConfig {
  return {
    segmentBytes: config.segmentBytes,
    segmentMs: Number(config.segmentMs),
    retentionMs: Number(config.retentionMs),
    retentionBytes: Number(config.retentionBytes),
    deletes: config.cleanupPolicy.includes('delete'),
    flushMessages: Number(config.flushMessages),
    flushMs: Number(config.flushMs),
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
    producerIdExpirationMs,
  }
}
