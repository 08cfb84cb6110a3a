import { INT_MAX, int, list, short } from '../definition.ts'
import { noShare, noStreams } from './reasons.ts'

/** Share groups, which are not built in. */
export const shareGroups = () => ({
  'group.share.assignment.interval.ms': int(
    1000,
    { min: 0 },
    noShare('Least time between two assignments of a share group, in ms.'),
    'cluster-wide',
  ),
  'group.share.assignors': list('simple', noShare('Assignor of share groups.')),
  'group.share.delivery.count.limit': int(
    5,
    { min: 2, max: 10 },
    noShare('Times that a record is delivered before it is given up.'),
  ),
  'group.share.heartbeat.interval.ms': int(
    5000,
    { min: 1 },
    noShare('Heartbeat interval of a share group, in ms.'),
  ),
  'group.share.max.assignment.interval.ms': int(
    15_000,
    { min: 0 },
    noShare('Largest assignment interval that a share group may have, in ms.'),
  ),
  'group.share.max.delivery.count.limit': int(
    10,
    { min: 5, max: 25 },
    noShare('Largest delivery count limit that a share group may have.'),
  ),
  'group.share.max.heartbeat.interval.ms': int(
    15_000,
    { min: 1 },
    noShare('Largest heartbeat interval that a share group may have, in ms.'),
  ),
  'group.share.max.partition.max.record.locks': int(
    4000,
    { min: 2000, max: 10_000 },
    noShare('Largest number of record locks for each partition that a share group may have.'),
  ),
  'group.share.max.record.lock.duration.ms': int(
    60_000,
    { min: 30_000, max: 3_600_000 },
    noShare('Longest record lock that a share group may have, in ms.'),
  ),
  'group.share.max.session.timeout.ms': int(
    60_000,
    { min: 1 },
    noShare('Largest session timeout that a share group may have, in ms.'),
  ),
  'group.share.max.share.sessions': int(
    2000,
    { min: 1 },
    noShare('Sessions of share groups on one broker.'),
  ),
  'group.share.max.size': int(
    200,
    { min: 1, max: 1000 },
    noShare('Members that a share group may have.'),
  ),
  'group.share.min.assignment.interval.ms': int(
    0,
    { min: 0 },
    noShare('Least assignment interval that a share group may have, in ms.'),
  ),
  'group.share.min.delivery.count.limit': int(
    2,
    { min: 2, max: 5 },
    noShare('Least delivery count limit that a share group may have.'),
  ),
  'group.share.min.heartbeat.interval.ms': int(
    5000,
    { min: 1 },
    noShare('Least heartbeat interval that a share group may have, in ms.'),
  ),
  'group.share.min.partition.max.record.locks': int(
    100,
    { min: 100, max: 2000 },
    noShare('Least number of record locks for each partition that a share group may have.'),
  ),
  'group.share.min.record.lock.duration.ms': int(
    15_000,
    { min: 1000, max: 30_000 },
    noShare('Shortest record lock that a share group may have, in ms.'),
  ),
  'group.share.min.session.timeout.ms': int(
    45_000,
    { min: 1 },
    noShare('Least session timeout that a share group may have, in ms.'),
  ),
  'group.share.partition.max.record.locks': int(
    2000,
    { min: 100, max: 10_000 },
    noShare('Records of one partition that a share group may hold at once.'),
  ),
  'group.share.record.lock.duration.ms': int(
    30_000,
    { min: 1000, max: 3_600_000 },
    noShare('Milliseconds for which a record is held by the member that it was delivered to.'),
  ),
  'group.share.session.timeout.ms': int(
    45_000,
    { min: 1 },
    noShare('Session timeout of a share group, in ms.'),
  ),
  'share.coordinator.append.linger.ms': int(
    -1,
    { min: -1 },
    noShare(
      'Milliseconds that the state of share groups waits for more before it is written; -1: as the load asks for.',
    ),
  ),
  'share.coordinator.cached.buffer.max.bytes': int(
    1_048_588,
    { min: 524_288 },
    noShare('Bytes of a buffer that is kept for the next write of a share group.'),
    'cluster-wide',
  ),
  'share.coordinator.load.buffer.size': int(
    5_242_880,
    { min: 1 },
    noShare('Bytes of the state of share groups that are read at once while it is loaded.'),
  ),
  'share.coordinator.snapshot.update.records.per.snapshot': int(
    500,
    { min: 0, max: 500 },
    noShare("Changes of a share group's state between two snapshots of it."),
  ),
  'share.coordinator.state.topic.compression.codec': int(
    0,
    {},
    noShare('Compression of __share_group_state.'),
  ),
  'share.coordinator.state.topic.min.isr': short(
    2,
    { min: 1 },
    noShare('Replicas of __share_group_state that must have a write.'),
  ),
  'share.coordinator.state.topic.num.partitions': int(
    50,
    { min: 1 },
    noShare('Partitions of __share_group_state.'),
  ),
  'share.coordinator.state.topic.replication.factor': short(
    3,
    { min: 1 },
    noShare('Replicas of __share_group_state.'),
  ),
  'share.coordinator.state.topic.segment.bytes': int(
    104_857_600,
    { min: 1 },
    noShare('Bytes after which __share_group_state starts a new segment file.'),
  ),
  'share.coordinator.threads': int(
    1,
    { min: 1 },
    noShare("Threads of the share groups' coordinator."),
  ),
  'share.coordinator.write.timeout.ms': int(
    5000,
    { min: 1 },
    noShare("Milliseconds that a write of share groups' state waits for its replicas."),
  ),
})

/** Streams groups, which are not built in. */
export const streamsGroups = () => ({
  'group.streams.assignment.interval.ms': int(
    1000,
    { min: 0 },
    noStreams('Least time between two assignments of a streams group, in ms.'),
    'cluster-wide',
  ),
  'group.streams.heartbeat.interval.ms': int(
    5000,
    { min: 1 },
    noStreams('Heartbeat interval of a streams group, in ms.'),
  ),
  'group.streams.initial.rebalance.delay.ms': int(
    3000,
    { min: 0 },
    noStreams('Milliseconds that a new streams group waits for more members.'),
  ),
  'group.streams.max.assignment.interval.ms': int(
    15_000,
    { min: 0 },
    noStreams('Largest assignment interval that a streams group may have, in ms.'),
  ),
  'group.streams.max.heartbeat.interval.ms': int(
    15_000,
    { min: 1 },
    noStreams('Largest heartbeat interval that a streams group may have, in ms.'),
  ),
  'group.streams.max.session.timeout.ms': int(
    60_000,
    { min: 1 },
    noStreams('Largest session timeout that a streams group may have, in ms.'),
  ),
  'group.streams.max.size': int(
    INT_MAX,
    { min: 1 },
    noStreams('Members that a streams group may have.'),
  ),
  'group.streams.max.standby.replicas': int(
    2,
    { min: 0 },
    noStreams('Most standby copies of a task that a streams group may have.'),
  ),
  'group.streams.min.assignment.interval.ms': int(
    0,
    { min: 0 },
    noStreams('Least assignment interval that a streams group may have, in ms.'),
  ),
  'group.streams.min.heartbeat.interval.ms': int(
    5000,
    { min: 1 },
    noStreams('Least heartbeat interval that a streams group may have, in ms.'),
  ),
  'group.streams.min.session.timeout.ms': int(
    45_000,
    { min: 1 },
    noStreams('Least session timeout that a streams group may have, in ms.'),
  ),
  'group.streams.num.standby.replicas': int(
    0,
    { min: 0 },
    noStreams('Standby copies of each task of a streams group.'),
  ),
  'group.streams.session.timeout.ms': int(
    45_000,
    { min: 1 },
    noStreams('Session timeout of a streams group, in ms.'),
  ),
})
