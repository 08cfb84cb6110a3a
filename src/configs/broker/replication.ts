import { boolean, int, long } from '../definition.ts'
import { noTiers, oneNode } from './reasons.ts'

/** Kafka's configs of replication that mean nothing here. */
export const replication = () => ({
  'num.replica.fetchers': int(
    1,
    { min: 1 },
    oneNode('Connections through which a follower fetches from each leader.'),
    'cluster-wide',
  ),
  'alter.log.dirs.replication.quota.window.num': int(
    11,
    { min: 1 },
    'Samples that the rate of moves between directories is measured over. No effect here: there is one directory.',
  ),
  'alter.log.dirs.replication.quota.window.size.seconds': int(
    1,
    { min: 1 },
    'Seconds of one sample of the rate of moves between directories. No effect here: there is one directory.',
  ),
  'replica.fetch.backoff.ms': int(
    1000,
    { min: 0 },
    oneNode('Milliseconds before a follower fetches a partition again after an error.'),
  ),
  'replica.fetch.max.bytes': int(
    1_048_576,
    { min: 0 },
    oneNode('Bytes of one partition that a follower fetches at once.'),
  ),
  'replica.fetch.min.bytes': int(
    1,
    {},
    oneNode('Bytes that a leader waits for before it answers a follower.'),
  ),
  'replica.fetch.response.max.bytes': int(
    10_485_760,
    { min: 0 },
    oneNode('Bytes of all partitions that a follower fetches at once.'),
  ),
  'replica.fetch.wait.max.ms': int(
    500,
    {},
    oneNode('Milliseconds that a leader lets a follower wait for more.'),
  ),
  'replica.high.watermark.checkpoint.interval.ms': long(
    5000,
    {},
    oneNode('Milliseconds between two notes of the high watermarks.'),
  ),
  'replica.socket.receive.buffer.bytes': int(
    65_536,
    {},
    oneNode("Receive buffer of a follower's connection, in bytes."),
  ),
  'replica.socket.timeout.ms': int(
    30_000,
    {},
    oneNode('Milliseconds without traffic that a follower bears on its connection.'),
  ),
  'replication.quota.window.num': int(
    11,
    { min: 1 },
    oneNode('Samples that the rate of replication is measured over.'),
  ),
  'replication.quota.window.size.seconds': int(
    1,
    { min: 1 },
    oneNode('Seconds of one sample of the rate of replication.'),
  ),
  'follower.fetch.last.tiered.offset.enable': boolean(
    false,
    noTiers('Whether an empty follower starts behind what is in remote storage.'),
    'cluster-wide',
  ),
  'replica.alter.log.dirs.io.max.bytes.per.second': long(
    null,
    { min: 0 },
    'Bytes that are moved from one directory to another in a second. No effect here: there is one directory.',
    'cluster-wide',
  ),
})
