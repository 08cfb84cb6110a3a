import { boolean, int, short } from '../definition.ts'
import { noTransactions } from './reasons.ts'

/** Transactions, which are not built in. */
export const transactions = () => ({
  'add.partitions.to.txn.retry.backoff.max.ms': int(
    100,
    { min: 0 },
    noTransactions('Longest wait between two tries to add a partition to a transaction, in ms.'),
  ),
  'add.partitions.to.txn.retry.backoff.ms': int(
    20,
    { min: 1 },
    noTransactions('First wait between two tries to add a partition to a transaction, in ms.'),
  ),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': int(
    10_000,
    { min: 1 },
    noTransactions('Milliseconds between two looks for transactions that have timed out.'),
  ),
  'transaction.max.timeout.ms': int(
    900_000,
    { min: 1 },
    noTransactions('Longest timeout that a producer may ask for its transactions, in ms.'),
  ),
  'transaction.partition.verification.enable': boolean(
    true,
    noTransactions(
      'Whether a transactional write is checked to belong to a transaction that has begun.',
    ),
    'cluster-wide',
  ),
  'transaction.remove.expired.transaction.cleanup.interval.ms': int(
    3_600_000,
    { min: 1 },
    noTransactions('Milliseconds between two looks for transactional ids that have run out.'),
  ),
  'transaction.state.log.load.buffer.size': int(
    5_242_880,
    { min: 1 },
    noTransactions('Bytes of __transaction_state that are read at once while it is loaded.'),
  ),
  'transaction.state.log.min.isr': int(
    2,
    { min: 1 },
    noTransactions('Replicas of __transaction_state that must have a write.'),
  ),
  'transaction.state.log.num.partitions': int(
    50,
    { min: 1 },
    noTransactions('Partitions of __transaction_state.'),
  ),
  'transaction.state.log.replication.factor': short(
    3,
    { min: 1 },
    noTransactions('Replicas of __transaction_state.'),
  ),
  'transaction.state.log.segment.bytes': int(
    104_857_600,
    { min: 1 },
    noTransactions('Bytes after which __transaction_state starts a new segment file.'),
  ),
  'transaction.two.phase.commit.enable': boolean(
    false,
    noTransactions('Whether transactions may be part of those of another system.'),
  ),
  'transactional.id.expiration.ms': int(
    604_800_000,
    { min: 1 },
    noTransactions('Milliseconds for which an idle transactional id is remembered.'),
  ),
})
