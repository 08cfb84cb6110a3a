import { boolean, int, long } from '../definition.ts'

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
  'leader.imbalance.check.interval.seconds': long(
    300,
    { min: 1 },
    'Seconds between two looks for partitions that are not led by their first replica.',
  ),
  'replica.lag.time.max.ms': long(
    30_000,
    {},
    'Milliseconds by which a follower may lag and still count as in sync.',
  ),
}
