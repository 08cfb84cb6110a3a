import { cycles } from './checks/cycles.ts'
import {
  abortedReads,
  type Case,
  duplicates,
  inconsistentOffsets,
  lostWrites,
  precommittedReads,
  unseen,
} from './checks/log.ts'
import { type Metrics, metricsOf } from './checks/metrics.ts'
import { backwardSends, betweenPolls, insideReads, insideSends } from './checks/order.ts'
import { Derived } from './derive.ts'
import type { History } from './history.ts'

/** Where no case may be. The three of G1c are found by one search. */
export const FAILING = [
  ...['inconsistent-offsets', 'duplicate', 'lost-write', 'unseen', 'G1a', 'precommitted-read'],
  ...['int-poll-skip', 'int-nonmonotonic-poll', 'poll-skip', 'nonmonotonic-poll'],
  ...['nonmonotonic-send', 'int-nonmonotonic-send', 'G1c', 'G1c-process', 'G1c-realtime'],
] as const
export type Anomaly = (typeof FAILING)[number]

export interface Verdict {
  readonly isValid: boolean
  /** What is wrong. */
  readonly failing: Readonly<Partial<Record<Anomaly, readonly Case[]>>>
  /** What other clients of other systems would mind: groups may move on or back, and writes are not isolated. */
  readonly allowed: Readonly<Record<string, readonly Case[]>>
  readonly metrics: Metrics
}

export function check(history: History): Verdict {
  const derived = new Derived(history)
  const reads = insideReads(derived)
  const sends = insideSends(derived)
  const assigned = betweenPolls(derived, false)
  const subscribed = betweenPolls(derived, true)
  const failing: Record<string, readonly Case[]> = {
    'inconsistent-offsets': inconsistentOffsets(derived),
    duplicate: duplicates(derived),
    'lost-write': lostWrites(derived),
    unseen: unseen(derived),
    G1a: abortedReads(derived),
    'precommitted-read': precommittedReads(derived),
    'int-poll-skip': reads.skips,
    'int-nonmonotonic-poll': reads.back,
    'poll-skip': assigned.skips,
    'nonmonotonic-poll': assigned.back,
    'nonmonotonic-send': backwardSends(derived),
    'int-nonmonotonic-send': sends.back,
    ...Object.fromEntries(cycles(derived, false)),
  }
  const allowed: Record<string, readonly Case[]> = {
    'int-send-skip': sends.skips,
    'poll-skip of subscribers': subscribed.skips,
    'nonmonotonic-poll of subscribers': subscribed.back,
    ...ofWrites(derived),
  }
  for (const rows of [failing, allowed]) {
    for (const [name, cases] of Object.entries(rows)) if (cases.length === 0) delete rows[name]
  }
  const isValid = Object.keys(failing).length === 0
  return { isValid, failing, allowed, metrics: metricsOf(derived) }
}

/** Cycles for which the order of writes is needed. */
function ofWrites(derived: Derived): Record<string, readonly Case[]> {
  const rows = [...cycles(derived, true)].filter(([name]) => name.startsWith('G0'))
  return Object.fromEntries(rows)
}
