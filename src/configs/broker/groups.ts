import { INT_MAX, int, list, long, oneOf, short } from '../definition.ts'
import { oneNode, threads } from './reasons.ts'

const NO_CLASS = 'Names of other assignors are refused: there are no classes to load here.'
const atOnce = (what: string) =>
  `${what} No effect here: assignments are computed at once, on the main thread.`
const groupMs = (standard: number, documentation: string) =>
  int(standard, { min: 1 }, `${documentation} In ms.`)

/** Classic and consumer groups. */
export const groups = {
  'offsets.topic.num.partitions': int(
    50,
    { min: 1 },
    'Partitions of __consumer_offsets when it is made; it cannot be changed afterwards.',
  ),
  'offsets.topic.replication.factor': short(
    3,
    { min: 1 },
    'Replicas of __consumer_offsets in a cluster. Until so many brokers are registered there is none, and no group has a coordinator.',
  ),
  'offsets.topic.segment.bytes': int(
    104_857_600,
    { min: 1_048_576 },
    'Bytes after which __consumer_offsets starts a new segment file, when it is made.',
  ),
  'offsets.topic.compression.codec': int(
    0,
    { min: 0, max: 4 },
    'Compression of __consumer_offsets. No effect here: what groups write is never compressed.',
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
  'offsets.commit.timeout.ms': int(
    5000,
    { min: 1 },
    oneNode('Milliseconds that a commit of offsets waits for its replicas.'),
  ),
  'offsets.load.buffer.size': int(
    5_242_880,
    { min: 1 },
    'Bytes of __consumer_offsets that are read at once while it is loaded. No effect here: groups are loaded before the listeners open, 4 MiB at a time.',
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
    'Protocols that groups may use. No effect here: the classic and the consumer protocol are always served.',
  ),
  'group.coordinator.threads': int(4, { min: 1 }, threads('Threads that groups are handled in.')),
  'group.coordinator.background.threads': int(
    2,
    { min: 1 },
    threads('Threads for slow work of groups.'),
  ),
  'group.coordinator.append.linger.ms': int(
    -1,
    { min: -1 },
    'Milliseconds that what groups write waits for more; -1: as the load asks for. No effect here: what groups write in one turn of the event loop goes into one batch.',
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
  'group.consumer.assignment.interval.ms': int(
    1000,
    { min: 0 },
    atOnce('Least time between two assignments of a group, in ms.'),
    'cluster-wide',
  ),
  'group.consumer.min.assignment.interval.ms': int(
    0,
    { min: 0 },
    atOnce('Least assignment interval that a group may have, in ms.'),
  ),
  'group.consumer.max.assignment.interval.ms': int(
    15_000,
    { min: 0 },
    atOnce('Largest assignment interval that a group may have, in ms.'),
  ),
  'group.coordinator.cached.buffer.max.bytes': int(
    1_048_588,
    { min: 524_288 },
    'Bytes of a buffer that is kept for the next write of a group. No effect here: buffers are not kept.',
    'cluster-wide',
  ),
}
