import { availableParallelism } from 'node:os'
import type { CamelCase, Definition, ValueOf } from './definition.ts'
import {
  boolean,
  ConfigType,
  double,
  INT_MAX,
  int,
  LONG_MAX,
  list,
  long,
  oneOf,
  string,
} from './definition.ts'
import { type TopicConfigName, topicConfigs } from './topic.ts'

const ONE_PROCESS = 'No effect here: every process is broker and controller at once.'
const THREADS = 'No effect here: set odradek.partition.workers; all else runs on the main thread.'
const SYSTEM_SIZED = 'No effect here: the operating system sizes socket buffers.'
const ONE_NODE = 'No effect here while replication is not built in.'
const LISTENERS =
  'a list like PLAINTEXT://127.0.0.1:9092; an IPv6 address stands in brackets, an empty host means all interfaces'

const ONE_DIRECTORY = {
  allowed: 'exactly one directory',
  check: (dirs: readonly string[]) => dirs.length === 1,
}

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

const chained = (topicName: string, unit: string) =>
  `Default of ${topicName} for topics that do not set it, in ${unit}.`

const powerOfTwo = (standard: number, min: number, documentation: string): Definition<number> => {
  const bytes = int(standard, { min, max: 1 << 30 }, documentation)
  return {
    ...bytes,
    allowed: `a power of two from ${min} to ${1 << 30}`,
    parse(text) {
      const value = bytes.parse(text)
      return value !== undefined && (value & (value - 1)) === 0 ? value : undefined
    },
  }
}

const identity = {
  'node.id': int(1, { min: 0 }, 'Number of this broker, unique in its cluster.'),
  'broker.id': int(-1, { min: -1 }, 'Older name of node.id; -1 leaves it to node.id.'),
  'broker.rack': string(null, 'Rack of this broker, as Metadata shows it to clients.'),
  'process.roles': list('broker,controller', ONE_PROCESS),
  'controller.listener.names': list(
    '',
    'Listeners named here are left out: there is no controller connection to listen for.',
  ),
  'controller.quorum.voters': list('', ONE_PROCESS),
  'controller.quorum.bootstrap.servers': list('', ONE_PROCESS),
  'odradek.cluster.id': string(
    null,
    'Cluster id given to a new data directory; unset: one is made up. It must match that of an existing directory.',
    {
      allowed: '1 to 64 letters, digits, - or _',
      check: id => /^[\w-]{1,64}$/.test(id),
    },
  ),
}

const network = {
  listeners: list('PLAINTEXT://127.0.0.1:9092', 'Addresses the broker listens on.', {
    allowed: LISTENERS,
    check: entries => entries.length > 0,
  }),
  'advertised.listeners': list(
    null,
    'Addresses that clients are told to connect to; unset: those of listeners.',
    { allowed: LISTENERS, check: entries => entries.length > 0 },
  ),
  'listener.security.protocol.map': string(
    'PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
    'Security protocol of each listener name; only PLAINTEXT is supported so far.',
    {
      allowed: 'a list of NAME:PROTOCOL pairs divided by commas',
      check: map => map.split(',').every(pair => /^\s*\w+\s*:\s*\w+\s*$/.test(pair)),
    },
  ),
  'inter.broker.listener.name': string(null, ONE_NODE),
  'security.inter.broker.protocol': string('PLAINTEXT', ONE_NODE),
  'socket.request.max.bytes': int(
    104_857_600,
    { min: 1 },
    'Largest request a client may send, in bytes; a larger one closes its connection.',
  ),
  'socket.send.buffer.bytes': int(102_400, { min: -1 }, SYSTEM_SIZED),
  'socket.receive.buffer.bytes': int(102_400, { min: -1 }, SYSTEM_SIZED),
  'socket.listen.backlog.size': int(
    1024,
    { min: 1 },
    'Connections that may wait to be accepted on one listener; what comes beyond is retried by its system after 200 ms or more.',
  ),
  'connections.max.idle.ms': long(
    600_000,
    { min: -1 },
    'Milliseconds without a request after which a connection is closed; negative: never.',
  ),
  'max.connections': int(
    INT_MAX,
    { min: 0 },
    'Client connections the broker holds at once; more are closed on arrival.',
  ),
  'max.connections.per.ip': int(
    INT_MAX,
    { min: 0 },
    'Client connections held at once from one IP address; more are closed on arrival.',
  ),
  'queued.max.requests': int(
    500,
    { min: 1 },
    'No effect here: each connection has its own bound on requests under way.',
  ),
  'num.network.threads': int(3, { min: 1 }, THREADS),
  'num.io.threads': int(8, { min: 1 }, THREADS),
  'background.threads': int(10, { min: 1 }, THREADS),
}

const topics = {
  'num.partitions': int(1, { min: 1 }, 'Partitions of a topic created without saying how many.'),
  'default.replication.factor': int(
    1,
    { min: 1 },
    'Replicas of a topic created without saying how many.',
  ),
  'auto.create.topics.enable': boolean(
    true,
    'Whether asking for the metadata of an unknown topic creates it, when the client allows it.',
  ),
  'delete.topic.enable': boolean(true, 'Whether topics can be deleted.'),
  'auto.leader.rebalance.enable': boolean(true, ONE_NODE),
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
  ),
}

const log = {
  'log.dir': list('./data', 'Data directory when log.dirs is not set; exactly one.', ONE_DIRECTORY),
  'log.dirs': list(null, 'Data directory; exactly one.', ONE_DIRECTORY),
  'log.retention.ms': long(null, { min: -1 }, chained('retention.ms', 'ms'), 'cluster-wide'),
  'log.retention.minutes': int(
    null,
    { min: -1 },
    `${chained('retention.ms', 'minutes')} log.retention.ms goes before it.`,
  ),
  'log.retention.hours': int(
    168,
    { min: -1 },
    `${chained('retention.ms', 'hours')} log.retention.ms and log.retention.minutes go before it.`,
  ),
  'log.retention.check.interval.ms': long(
    300_000,
    { min: 1 },
    'Milliseconds between two looks for segments past retention.',
  ),
  'log.roll.ms': long(null, { min: 1 }, chained('segment.ms', 'ms'), 'cluster-wide'),
  'log.roll.hours': int(
    168,
    { min: 1 },
    `${chained('segment.ms', 'hours')} log.roll.ms goes before it.`,
  ),
  'log.roll.jitter.ms': long(null, { min: 0 }, chained('segment.jitter.ms', 'ms'), 'cluster-wide'),
  'log.roll.jitter.hours': int(
    0,
    { min: 0 },
    `${chained('segment.jitter.ms', 'hours')} log.roll.jitter.ms goes before it.`,
  ),
  'log.flush.interval.ms': long(null, { min: 0 }, chained('flush.ms', 'ms'), 'cluster-wide'),
  'log.flush.scheduler.interval.ms': long(
    LONG_MAX,
    { min: 0 },
    `${chained('flush.ms', 'ms')} log.flush.interval.ms goes before it.`,
  ),
  'log.cleaner.enable': boolean(true, 'Whether topics with cleanup.policy=compact are compacted.'),
  'log.cleaner.threads': int(
    1,
    { min: 0 },
    'Logs that are compacted at once, each in a thread that has a lower priority than the rest; 0 for none.',
    'cluster-wide',
  ),
  'log.cleaner.backoff.ms': long(
    15_000,
    { min: 0 },
    'Milliseconds between two looks for logs that are due for compaction.',
    'cluster-wide',
  ),
  'log.cleaner.dedupe.buffer.size': long(
    134_217_728,
    { min: 1_048_576 },
    'Bytes in which all compactions together remember keys and their newest offsets; a log with more new keys takes several compactions. Keys are kept whole, with 20 bytes or so each.',
    'cluster-wide',
  ),
  'log.cleaner.io.max.bytes.per.second': double(
    Number.MAX_VALUE,
    { min: 1 },
    'Bytes that all compactions together may read and write in a second.',
    'cluster-wide',
  ),
  'log.cleaner.io.buffer.size': int(
    524_288,
    { min: 0 },
    'No effect here: compaction reads 128 KiB at a time.',
    'cluster-wide',
  ),
  'log.cleaner.io.buffer.load.factor': double(
    0.9,
    {},
    'No effect here: the table of keys grows as it fills.',
    'cluster-wide',
  ),
  'num.recovery.threads.per.data.dir': int(2, { min: 1 }, THREADS),
  'num.replica.fetchers': int(1, { min: 1 }, ONE_NODE),
}

/** The broker configs that are nothing but the default of one topic config. */
const topicDefaults = {
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

const NO_CLASS = 'Names of other assignors are refused: there are no classes to load here.'
const AT_ONCE = 'No effect here: assignments are computed at once, on the main thread.'
const groupMs = (standard: number, documentation: string) =>
  int(standard, { min: 1 }, `${documentation} In ms.`)

const groups = {
  'offsets.topic.num.partitions': int(
    50,
    { min: 1 },
    'Partitions of __consumer_offsets when it is made; it cannot be changed afterwards.',
  ),
  'offsets.topic.replication.factor': {
    ...int(3, { min: 1, max: 32_767 }, ONE_NODE),
    type: ConfigType.SHORT,
  },
  'offsets.topic.segment.bytes': int(
    104_857_600,
    { min: 1_048_576 },
    'Bytes after which __consumer_offsets starts a new segment file, when it is made.',
  ),
  'offsets.topic.compression.codec': int(
    0,
    { min: 0, max: 4 },
    'No effect here: what groups write is never compressed.',
  ),
  'offsets.retention.minutes': int(
    10_080,
    { min: 1 },
    'Minutes for which committed offsets are kept: from when the group became empty, or, for topics that it does not subscribe to, from the commit.',
  ),
  'offsets.retention.check.interval.ms': long(
    600_000,
    { min: 1, max: INT_MAX },
    'Milliseconds between two looks for offsets and groups past their retention.',
  ),
  'offset.metadata.max.bytes': int(
    4096,
    { min: 0 },
    'Characters of text that a client may commit with an offset.',
  ),
  'offsets.commit.timeout.ms': int(5000, { min: 1 }, ONE_NODE),
  'offsets.load.buffer.size': int(
    5_242_880,
    { min: 1 },
    'No effect here: groups are loaded before the listeners open, 4 MiB at a time.',
  ),
  'group.min.session.timeout.ms': groupMs(
    6000,
    'Least session timeout that a member of a classic group may ask for.',
  ),
  'group.max.session.timeout.ms': groupMs(
    1_800_000,
    'Largest session timeout that a member of a classic group may ask for.',
  ),
  'group.initial.rebalance.delay.ms': int(
    3000,
    { min: 0 },
    'Milliseconds that a new classic group waits for more members before its first assignment; put off again while they come.',
  ),
  'group.max.size': int(INT_MAX, { min: 1 }, 'Members that a classic group may have.'),
  'group.coordinator.rebalance.protocols': list(
    'classic,consumer,streams',
    'No effect here: the classic and the consumer protocol are always served.',
  ),
  'group.coordinator.threads': int(4, { min: 1 }, THREADS),
  'group.coordinator.background.threads': int(2, { min: 1 }, THREADS),
  'group.coordinator.append.linger.ms': int(
    -1,
    { min: -1 },
    'No effect here: what groups write in one turn of the event loop goes into one batch.',
  ),
  'group.consumer.session.timeout.ms': groupMs(
    45_000,
    'Session timeout of the consumer protocol, for groups without their own.',
  ),
  'group.consumer.min.session.timeout.ms': groupMs(
    45_000,
    'Least consumer.session.timeout.ms that a group may have.',
  ),
  'group.consumer.max.session.timeout.ms': groupMs(
    60_000,
    'Largest consumer.session.timeout.ms that a group may have.',
  ),
  'group.consumer.heartbeat.interval.ms': groupMs(
    5000,
    'Heartbeat interval of the consumer protocol, for groups without their own.',
  ),
  'group.consumer.min.heartbeat.interval.ms': groupMs(
    5000,
    'Least consumer.heartbeat.interval.ms that a group may have.',
  ),
  'group.consumer.max.heartbeat.interval.ms': groupMs(
    15_000,
    'Largest consumer.heartbeat.interval.ms that a group may have.',
  ),
  'group.consumer.max.size': int(
    INT_MAX,
    { min: 1 },
    'Members that a group of the consumer protocol may have.',
  ),
  'group.consumer.assignors': list(
    'uniform,range',
    `Assignors that members may ask for; the first is used when they do not. ${NO_CLASS}`,
    {
      allowed: 'a list of uniform and range',
      check: names =>
        names.length > 0 && names.every(name => name === 'uniform' || name === 'range'),
    },
  ),
  'group.consumer.migration.policy': oneOf(
    'bidirectional',
    ['disabled', 'downgrade', 'upgrade', 'bidirectional'],
    'Which way a group with members may move between the classic and the consumer protocol.',
  ),
  'group.consumer.assignment.interval.ms': int(1000, { min: 0 }, AT_ONCE, 'cluster-wide'),
  'group.consumer.min.assignment.interval.ms': int(0, { min: 0 }, AT_ONCE),
  'group.consumer.max.assignment.interval.ms': int(15_000, { min: 0 }, AT_ONCE),
}

/** Odradek's own. */
const engine = {
  'odradek.partition.workers': int(
    Math.max(1, availableParallelism() - 1),
    { min: 1, max: 256 },
    'Threads that own partitions and write them; the default is one less than there are cores, at least 1.',
  ),
  'odradek.ring.bytes': powerOfTwo(
    33_554_432,
    1_048_576,
    'Bytes of the ring between the main thread and each partition worker; it must hold two of the largest batches.',
  ),
  'odradek.open.files': int(
    null,
    { min: 64 },
    'Log files open at once; those used longest ago are closed. Unset: half of what the system allows a process, at most 50000.',
  ),
  'odradek.journal.bytes': int(
    33_554_432,
    { min: 1_048_576, max: 1 << 30 },
    'Bytes of each of the preallocated journal files of a partition worker.',
  ),
}

/**
 * The broker configs that mean something here, and those that people paste from a
 * server.properties, which say that they have no effect. Names and, but for durability and
 * addresses, defaults are those of Kafka 4.3.
 */
export const brokerConfigs = {
  ...identity,
  ...network,
  ...topics,
  ...log,
  ...topicDefaults,
  ...groups,
  ...engine,
}

export type BrokerConfigName = keyof typeof brokerConfigs

/**
 * Broker configs as the code reads them: milliseconds, bytes and counts are numbers, unset is null.
 */
export type BrokerSettings = {
  readonly [K in BrokerConfigName as CamelCase<K>]: ValueOf<(typeof brokerConfigs)[K]>
}

/** Kafka settings that are not built in yet; a file that has them is understood, not obeyed. */
export const unsupportedPrefixes: readonly string[] = [
  'alter.config.policy.',
  'authorizer.',
  'broker.heartbeat.',
  'broker.session.',
  'client.quota.',
  'confluent.',
  'controlled.shutdown.',
  'controller.',
  'create.topic.policy.',
  'delegation.token.',
  'fetch.purgatory.',
  'group.coordinator.',
  'group.share.',
  'group.streams.',
  'inter.broker.protocol.',
  'kafka.metrics.',
  'leader.imbalance.',
  'listener.name.',
  'log.cleaner.',
  'log.flush.',
  'log.message.',
  'metadata.',
  'metric.',
  'metrics.',
  'principal.builder.',
  'producer.purgatory.',
  'queued.max.request.',
  'quota.',
  'remote.',
  'replica.',
  'replication.quota.',
  'request.timeout.',
  'sasl.',
  'security.',
  'share.',
  'socket.connection.',
  'ssl.',
  'super.users',
  'telemetry.',
  'transaction.',
  'transactional.',
  'unstable.',
  'zookeeper.',
]
