import { boolean, int, LONG_MAX, long, onlyDefault, string } from '../definition.ts'
import { noTiers } from './reasons.ts'

const NOT_EMPTY = { allowed: 'text that is not empty', check: (text: string) => text !== '' }

/** Tiered storage, which is not built in. */
export const remote = () => ({
  'remote.fetch.max.wait.ms': int(
    500,
    { min: 1 },
    noTiers('Milliseconds that a fetch waits for remote storage.'),
    'cluster-wide',
  ),
  'remote.list.offsets.request.timeout.ms': long(
    30_000,
    { min: 1 },
    noTiers('Milliseconds that a search for offsets waits for remote storage.'),
    'cluster-wide',
  ),
  'remote.log.index.file.cache.total.size.bytes': long(
    1_073_741_824,
    { min: 1 },
    noTiers('Bytes of remote indexes that are kept on disk.'),
    'cluster-wide',
  ),
  'remote.log.manager.copier.thread.pool.size': int(
    10,
    { min: 1 },
    noTiers('Threads that copy segments to remote storage.'),
    'cluster-wide',
  ),
  'remote.log.manager.copy.max.bytes.per.second': long(
    LONG_MAX,
    { min: 1 },
    noTiers('Bytes that are copied to remote storage in a second.'),
    'cluster-wide',
  ),
  'remote.log.manager.copy.quota.window.num': int(
    11,
    { min: 1 },
    noTiers('Samples that the rate of copies is measured over.'),
  ),
  'remote.log.manager.copy.quota.window.size.seconds': int(
    1,
    { min: 1 },
    noTiers('Seconds of one sample of the rate of copies.'),
  ),
  'remote.log.manager.expiration.thread.pool.size': int(
    10,
    { min: 1 },
    noTiers('Threads that remove remote segments past their retention.'),
    'cluster-wide',
  ),
  'remote.log.manager.fetch.max.bytes.per.second': long(
    LONG_MAX,
    { min: 1 },
    noTiers('Bytes that are read from remote storage in a second.'),
    'cluster-wide',
  ),
  'remote.log.manager.fetch.quota.window.num': int(
    11,
    { min: 1 },
    noTiers('Samples that the rate of remote reads is measured over.'),
  ),
  'remote.log.manager.fetch.quota.window.size.seconds': int(
    1,
    { min: 1 },
    noTiers('Seconds of one sample of the rate of remote reads.'),
  ),
  'remote.log.manager.follower.thread.pool.size': int(
    2,
    { min: 1 },
    noTiers('Threads in which followers look up what is in remote storage.'),
    'cluster-wide',
  ),
  'remote.log.manager.task.interval.ms': long(
    30_000,
    { min: 1 },
    noTiers('Milliseconds between two rounds of copies and removals.'),
  ),
  'remote.log.manager.thread.pool.size': int(
    2,
    { min: 1 },
    noTiers('Older name of remote.log.manager.follower.thread.pool.size.'),
  ),
  'remote.log.metadata.custom.metadata.max.bytes': int(
    128,
    { min: 0 },
    noTiers('Bytes that a plugin may note for a remote segment.'),
  ),
  'remote.log.metadata.manager.class.name': string(
    'org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager',
    noTiers('Class that keeps account of remote segments.'),
    NOT_EMPTY,
  ),
  'remote.log.metadata.manager.class.path': string(
    null,
    noTiers('Where that class and its libraries are.'),
  ),
  'remote.log.metadata.manager.impl.prefix': string(
    'rlmm.config.',
    noTiers("Prefix of that class's own configs."),
    NOT_EMPTY,
  ),
  'remote.log.metadata.manager.listener.name': string(
    null,
    noTiers('Listener through which that class connects.'),
    NOT_EMPTY,
  ),
  'remote.log.reader.max.pending.tasks': int(
    100,
    { min: 1 },
    noTiers('Remote reads that may wait; further fetches fail.'),
  ),
  'remote.log.reader.threads': int(
    10,
    { min: 1 },
    noTiers('Threads that read from remote storage.'),
    'cluster-wide',
  ),
  'remote.log.storage.manager.class.name': string(
    null,
    noTiers('Class that reads and writes remote storage.'),
    NOT_EMPTY,
  ),
  'remote.log.storage.manager.class.path': string(
    null,
    noTiers('Where that class and its libraries are.'),
  ),
  'remote.log.storage.manager.impl.prefix': string(
    'rsm.config.',
    noTiers("Prefix of that class's own configs."),
    NOT_EMPTY,
  ),
  'remote.log.storage.system.enable': onlyDefault(
    boolean(
      false,
      'Whether topics may be tiered. Must stay false: there is no tiered storage here.',
    ),
    'false: there is no tiered storage here',
  ),
})
