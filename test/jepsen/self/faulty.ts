import type { Anomaly } from '../check.ts'
import type { HistoryEvent } from '../history.ts'
import { but, choose, historyOf, poll, polls, send, sends, txn } from './hand-made.ts'

const three = [send(0, 0, 0, 1), send(0, 0, 1, 2), send(0, 0, 2, 3)]
const readAll = poll(9, 0, [0, 1], [1, 2], [2, 3])

/** One history for each anomaly, with nothing else wrong. */
export const FAULTY: Readonly<Record<Anomaly, readonly HistoryEvent[]>> = {
  'inconsistent-offsets': historyOf(send(0, 0, 0, 1), poll(1, 0, [0, 1]), poll(2, 0, [0, 2])),
  duplicate: historyOf(send(0, 0, 0, 1), poll(1, 0, [0, 1]), poll(2, 0, [1, 1])),
  // That the transaction was committed is known from key 1; of key 0 only the second value is there.
  'lost-write': historyOf(
    txn(0, [sends(0, 0, 1), sends(1, 0, 1)], 'info'),
    send(1, 0, 1, 2),
    txn(2, [polls({ 0: [[1, 2]], 1: [[0, 1]] })], 'ok', 'poll'),
  ),
  unseen: historyOf(send(0, 0, 0, 1), send(0, 0, 1, 2), poll(1, 0, [0, 1])),
  G1a: historyOf(but(send(0, 0, null, 1), 'fail'), poll(1, 0, [0, 1])),
  'precommitted-read': historyOf(txn(0, [sends(0, 0, 1), polls({ 0: [[0, 1]] })])),
  'int-poll-skip': historyOf(...three, poll(1, 0, [0, 1], [2, 3]), readAll),
  'int-nonmonotonic-poll': historyOf(...three, poll(1, 0, [1, 2], [0, 1]), readAll),
  'poll-skip': historyOf(
    ...[...three, choose(1, 'assign', 0)],
    ...[poll(1, 0, [0, 1]), choose(1, 'assign', 0, 1), poll(1, 0, [2, 3]), readAll],
  ),
  'nonmonotonic-poll': historyOf(
    ...[...three, choose(1, 'assign', 0)],
    ...[poll(1, 0, [0, 1], [1, 2]), but(poll(1, 0, [1, 2]), 'fail'), readAll],
  ),
  'nonmonotonic-send': historyOf(
    ...[send(0, 0, 1, 1), send(0, 0, 0, 2)],
    poll(1, 0, [0, 2], [1, 1]),
  ),
  'int-nonmonotonic-send': historyOf(
    txn(0, [sends(0, 1, 1), sends(0, 0, 2)]),
    poll(1, 0, [0, 2], [1, 1]),
  ),
  G1c: historyOf([
    txn(0, [sends(0, 0, 1), polls({ 1: [[0, 1]] })]),
    txn(1, [sends(1, 0, 1), polls({ 0: [[0, 1]] })]),
  ]),
  'G1c-process': historyOf(poll(0, 0, [0, 1]), send(0, 0, 0, 1)),
  'G1c-realtime': historyOf(poll(0, 0, [0, 1]), send(1, 0, 0, 1)),
}

/** What looks like it, and may be. */
export const ALLOWED: Readonly<Record<string, readonly HistoryEvent[]>> = {
  'a group moves on and back': historyOf(
    ...[...three, choose(1, 'subscribe', 0), poll(1, 0, [0, 1]), poll(1, 0, [2, 3])],
    ...[poll(1, 0, [1, 2]), readAll],
  ),
  'keys come and go amid a poll': historyOf(
    ...three,
    { ...poll(1, 0, [1, 2], [0, 1]), rebalanced: [0] } as ReturnType<typeof poll>,
    readAll,
  ),
  'who assigns a key again begins anew': historyOf(
    ...[...three, choose(1, 'assign', 0), poll(1, 0, [0, 1], [1, 2]), choose(1, 'assign', 1)],
    ...[choose(1, 'assign', 0), poll(1, 0, [0, 1]), readAll],
  ),
  'a send without an outcome that is read, or never arrives': historyOf(
    ...[but(send(0, 0, null, 1), 'info'), but(send(1, 0, null, 2), 'info'), poll(2, 0, [0, 2])],
  ),
  'what has failed is not there': historyOf(
    but(send(0, 0, null, 1), 'fail'),
    send(0, 0, 0, 2),
    poll(1, 0, [0, 2]),
  ),
  'offsets without records': historyOf(
    ...[send(0, 0, 3, 1), send(0, 0, 8, 2), poll(1, 0, [3, 1], [8, 2])],
  ),
  'writes of two transactions between each other': historyOf(
    [txn(0, [sends(0, 0, 1), sends(0, 2, 3)]), txn(1, [sends(0, 1, 2), sends(0, 3, 4)])],
    poll(2, 0, [0, 1], [1, 2], [2, 3], [3, 4]),
  ),
  'a poll reads what is acknowledged later': historyOf(
    [send(0, 0, 0, 1), poll(1, 0, [0, 1])],
    poll(1, 0),
  ),
}
