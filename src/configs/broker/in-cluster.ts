import { boolean, int, long, string } from '../definition.ts'

/** Sends consumers to an in-sync replica of their rack (KIP-392). The other class of Kafka's is what null is too. */
export const RACK_AWARE = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'
const SELECTORS = [RACK_AWARE, 'org.apache.kafka.common.replica.LeaderSelector']

/** Kafka takes these while it runs only, from kafka-reassign-partitions. */
const throttle = (what: string) =>
  long(
    null,
    { min: 0 },
    `Bytes a second that ${what}, for partitions named in their topic's config of the same kind and replicas not in sync. Unset: no bound.`,
    'cluster-wide',
  )

/** What brokers of one cluster do for each other; a broker alone does none of it. */
export const inCluster = {
  'auto.leader.rebalance.enable': boolean(
    true,
    'Whether leaderships go back to first replicas by themselves.',
  ),
  'broker.session.timeout.ms': int(
    9000,
    { min: 1000 },
    'Milliseconds without a sign of life after which a broker of a cluster is taken for dead; 6000 where nothing is set.',
  ),
  'follower.replication.throttled.rate': throttle('followers of a broker fetch'),
  'leader.imbalance.check.interval.seconds': long(
    300,
    { min: 1 },
    'Seconds between two looks for partitions that are not led by their first replica.',
  ),
  'leader.replication.throttled.rate': throttle('leaders of a broker send'),
  'odradek.scrub.bytes.per.second': long(
    4_194_304,
    { min: 65_536 },
    'Bytes a second that are read to find what a disk has damaged.',
  ),
  'odradek.scrub.interval.ms': long(
    604_800_000,
    { min: 0 },
    'Milliseconds between two looks at all that replicas on this broker have in their files: what is damaged is filled anew by other replicas. 0: never.',
  ),
  'replica.lag.time.max.ms': long(
    30_000,
    {},
    'Milliseconds by which a follower may lag and still count as in sync.',
  ),
  'replica.selector.class': string(
    null,
    'Who chooses the replica that a consumer reads from: the one for racks sends consumers that name theirs (client.rack) to an in-sync replica of the same broker.rack. Unset: all read from leaders.',
    { allowed: `one of ${SELECTORS.join(', ')}`, check: name => SELECTORS.includes(name) },
  ),
}
