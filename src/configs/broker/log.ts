import { boolean, double, int, LONG_MAX, list, long, onlyDefault } from '../definition.ts'
import { oneProcess, threads } from './reasons.ts'

const ONE_DIRECTORY = {
  allowed: 'exactly one directory',
  check: (dirs: readonly string[]) => dirs.length === 1,
}

/** What Kafka's times of retention have in common. */
const NO_LIMIT = { min: -1, meaning: '-1: no limit' }

const chained = (topicName: string, unit: string) =>
  `Default of ${topicName} for topics that do not set it, in ${unit}.`

/** Logs on disk: retention, rolling, compaction. */
export const log = {
  'log.dir': list('./data', 'Data directory when log.dirs is not set; exactly one.', ONE_DIRECTORY),
  'log.dirs': list(null, 'Data directory; exactly one.', ONE_DIRECTORY),
  'log.retention.ms': long(null, NO_LIMIT, chained('retention.ms', 'ms'), 'cluster-wide'),
  'log.retention.minutes': int(
    null,
    NO_LIMIT,
    `${chained('retention.ms', 'minutes')} log.retention.ms goes before it.`,
  ),
  'log.retention.hours': int(
    168,
    NO_LIMIT,
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
    'Bytes of the buffers that compaction reads into. No effect here: compaction reads 128 KiB at a time.',
    'cluster-wide',
  ),
  'log.cleaner.io.buffer.load.factor': double(
    0.9,
    {},
    'How full the table of keys may become. No effect here: the table of keys grows as it fills.',
    'cluster-wide',
  ),
  'num.recovery.threads.per.data.dir': int(
    2,
    { min: 1 },
    threads('Threads that open the logs of a directory at start.'),
    'cluster-wide',
  ),
  'cordoned.log.dirs': onlyDefault(
    list(
      '',
      'Directories that get no new partitions. Must stay empty: there is one directory, and it gets them all.',
      { update: 'per-broker' },
    ),
    'empty: there is one directory here, and it gets all partitions',
  ),
  'log.dir.failure.timeout.ms': long(
    30_000,
    { min: 1 },
    oneProcess(
      'Milliseconds after which a broker stops that cannot tell the controller of a failed directory.',
    ),
  ),
  'log.flush.offset.checkpoint.interval.ms': int(
    60_000,
    { min: 0 },
    'Milliseconds between two notes of what is flushed. No effect here: the journals tell what has to be read again.',
  ),
  'log.flush.start.offset.checkpoint.interval.ms': int(
    60_000,
    { min: 0 },
    "Milliseconds between two notes of where the logs start. No effect here: the workers' checkpoints say it.",
  ),
  'num.replica.alter.log.dirs.threads': int(
    null,
    {},
    'Threads that move logs from one directory to another. No effect here: there is one directory.',
  ),
}
