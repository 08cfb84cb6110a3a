import { boolean, className, int, onlyDefault } from '../definition.ts'
import { type TopicConfigName, topicConfigs } from '../topic.ts'

/**
 * The broker's default for a topic config: same values, and it can be changed while the broker
 * runs.
 */
function topicDefault<K extends TopicConfigName>(name: K) {
  const definition: (typeof topicConfigs)[K] = topicConfigs[name]
  return {
    ...definition,
    documentation: `Default of ${name} for topics that do not set it. ${definition.documentation}`,
    update: 'cluster-wide' as const,
  }
}

/** Topics and what clients ask of them. */
export const topics = {
  'num.partitions': int(1, { min: 1 }, 'Partitions of a topic created without saying how many.'),
  'default.replication.factor': int(
    1,
    { min: 1 },
    'Replicas of a topic created without saying how many. In a cluster 3 where nothing is set, at most as many as there are brokers.',
  ),
  'auto.create.topics.enable': boolean(
    true,
    'Whether asking for the metadata of an unknown topic creates it, when the client allows it.',
  ),
  'delete.topic.enable': boolean(true, 'Whether topics can be deleted.'),
  'fetch.max.bytes': int(
    57_671_680,
    { min: 1024 },
    'Most record bytes in one fetch answer, whatever the client asks for; a first batch larger than that is still sent.',
  ),
  'max.incremental.fetch.session.cache.slots': int(
    1000,
    { min: 0 },
    'Incremental fetch sessions kept; past that the least used are given up and their clients send full fetches.',
  ),
  'max.request.partition.size.limit': int(
    2000,
    { min: 1 },
    'Most partitions in one DescribeTopicPartitions answer.',
  ),
  'producer.id.expiration.ms': int(
    86_400_000,
    { min: 1 },
    'Milliseconds for which a partition remembers an idempotent producer that no longer writes to it.',
    'cluster-wide',
  ),
  'alter.config.policy.class.name': onlyDefault(
    className(
      null,
      'Class that says which changes of configs are allowed. Must stay unset: there are no classes to load here.',
    ),
    'left out: there are no classes to load here, so nothing would be refused',
  ),
  'create.topic.policy.class.name': onlyDefault(
    className(
      null,
      'Class that says which topics may be created. Must stay unset: there are no classes to load here.',
    ),
    'left out: there are no classes to load here, so nothing would be refused',
  ),
}

/** The broker configs that are nothing but the default of one topic config. */
export const topicDefaults = {
  'compression.gzip.level': topicDefault('compression.gzip.level'),
  'compression.lz4.level': topicDefault('compression.lz4.level'),
  'compression.type': topicDefault('compression.type'),
  'compression.zstd.level': topicDefault('compression.zstd.level'),
  'log.cleaner.delete.retention.ms': topicDefault('delete.retention.ms'),
  'log.cleaner.max.compaction.lag.ms': topicDefault('max.compaction.lag.ms'),
  'log.cleaner.min.cleanable.ratio': topicDefault('min.cleanable.dirty.ratio'),
  'log.cleaner.min.compaction.lag.ms': topicDefault('min.compaction.lag.ms'),
  'log.cleanup.policy': topicDefault('cleanup.policy'),
  'log.flush.interval.messages': topicDefault('flush.messages'),
  'log.index.interval.bytes': topicDefault('index.interval.bytes'),
  'log.index.size.max.bytes': topicDefault('segment.index.bytes'),
  'log.local.retention.bytes': topicDefault('local.retention.bytes'),
  'log.local.retention.ms': topicDefault('local.retention.ms'),
  'log.message.timestamp.after.max.ms': topicDefault('message.timestamp.after.max.ms'),
  'log.message.timestamp.before.max.ms': topicDefault('message.timestamp.before.max.ms'),
  'log.message.timestamp.type': topicDefault('message.timestamp.type'),
  'log.preallocate': topicDefault('preallocate'),
  'log.retention.bytes': topicDefault('retention.bytes'),
  'log.segment.bytes': topicDefault('segment.bytes'),
  'log.segment.delete.delay.ms': topicDefault('file.delete.delay.ms'),
  'message.max.bytes': topicDefault('max.message.bytes'),
  'min.insync.replicas': topicDefault('min.insync.replicas'),
  'unclean.leader.election.enable': topicDefault('unclean.leader.election.enable'),
}
