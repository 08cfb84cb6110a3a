import type { Random } from '../../lib/random.ts'
import type { Anomaly } from '../check.ts'
import { type HistoryEvent, type Micro, microsOf, type Op, opsOf, type Read } from '../history.ts'

/** Changes a history so that it has the anomaly; null if it has no place for that. */
export type Plant = (events: readonly HistoryEvent[], random: Random) => HistoryEvent[] | null

const UNKNOWN_VALUE = 1_000_000

interface Sent {
  readonly op: Op
  readonly key: number
  readonly offset: number | null
  readonly value: number
}

interface Polled {
  readonly op: Op
  readonly key: number
  readonly reads: readonly Read[]
}

const sentIn = (ops: readonly Op[]): Sent[] =>
  ops.flatMap(op =>
    microsOf(op).flatMap(micro =>
      micro[0] === 'send' ? [{ op, key: micro[1], offset: micro[2][0], value: micro[2][1] }] : [],
    ),
  )

const polledIn = (ops: readonly Op[]): Polled[] =>
  ops.flatMap(op =>
    microsOf(op).flatMap(micro =>
      micro[0] === 'poll'
        ? Object.entries(micro[1]).map(([key, reads]) => ({ op, key: Number(key), reads }))
        : [],
    ),
  )

/** Of the reader at the end, who has everything. */
const lastProcess = (events: readonly HistoryEvent[]): number => events.at(-1)!.process

function changeMicros(
  events: readonly HistoryEvent[],
  change: (micro: Micro, event: HistoryEvent) => Micro,
): HistoryEvent[] {
  return events.map(event =>
    event.f === 'send' || event.f === 'poll' || event.f === 'txn'
      ? { ...event, value: event.value.map(micro => change(micro, event)) }
      : event,
  )
}

const changeReads = (
  events: readonly HistoryEvent[],
  of: number,
  change: (reads: readonly Read[], event: HistoryEvent) => readonly Read[],
): HistoryEvent[] =>
  changeMicros(events, (micro, event) =>
    micro[0] === 'poll' && micro[1][of] !== undefined
      ? ['poll', { ...micro[1], [of]: change(micro[1][of], event) }]
      : micro,
  )

/** In the completion of one operation only. */
const changeOne = (
  events: readonly HistoryEvent[],
  { op, key, reads: old }: Polled,
  change: (reads: readonly Read[]) => readonly Read[],
): HistoryEvent[] =>
  changeReads(events, key, (reads, { index }) =>
    index === op.index && reads === old ? change(reads) : reads,
  )

const withoutValue = (events: readonly HistoryEvent[], { key, value }: Sent): HistoryEvent[] =>
  changeReads(events, key, reads => reads.filter(([, one]) => one !== value))

/** The places of two values of a key are swapped, for all. */
function swapped(events: readonly HistoryEvent[], a: Sent, b: Sent): HistoryEvent[] {
  const other = (value: number): number =>
    value === a.value ? b.value : value === b.value ? a.value : value
  const places = new Map([
    [a.value, b.offset],
    [b.value, a.offset],
  ])
  const inReads = changeReads(events, a.key, reads => reads.map(([at, v]) => [at, other(v)]))
  return changeMicros(inReads, micro => {
    if (micro[0] !== 'send' || micro[1] !== a.key) return micro
    const [offset, value] = micro[2]
    return ['send', a.key, [places.has(value) ? places.get(value)! : offset, value]]
  })
}

/** The operation has read the value, too. */
const alsoReads = (events: readonly HistoryEvent[], op: Op, { key, value, offset }: Sent) =>
  events.map(event =>
    event.index === op.index
      ? ({
          ...event,
          f: 'txn',
          value: [...microsOf(op), ['poll', { [key]: [[offset!, value]] }]],
        } as HistoryEvent)
      : event,
  )

function pick<T>(random: Random, all: readonly T[]): T | null {
  return all.length === 0 ? null : random.pick(all)
}

/** Two polls of a key by a process that chooses its keys, one right behind the other, in operations of their own. */
function neighbours(ops: readonly Op[]): [Polled, Polled][] {
  const found: [Polled, Polled][] = []
  const last = new Map<number, Map<number, Polled>>()
  for (const op of ops) {
    const own = last.get(op.process) ?? new Map<number, Polled>()
    last.set(op.process, own)
    const { f } = op.event
    if (f === 'assign' || f === 'subscribe') own.clear()
    for (const polled of polledIn([op])) {
      const before = own.get(polled.key)
      if (before !== undefined && before.op !== op) found.push([before, polled])
      if (op.type === 'ok') own.set(polled.key, polled)
    }
  }
  const subscribers = new Set(ops.filter(o => o.event.f === 'subscribe').map(o => o.process))
  return found.filter(([{ op }]) => !subscribers.has(op.process))
}

/** Two sends of a key, one right behind the other, that are both there. */
function pairs(sent: readonly Sent[], inOne: boolean): [Sent, Sent][] {
  const found: [Sent, Sent][] = []
  const last = new Map<string, Sent>()
  for (const one of sent) {
    if (one.op.type !== 'ok') continue
    const name = `${one.op.process} ${one.key}`
    const before = last.get(name)
    if (before !== undefined && (before.op === one.op) === inOne) found.push([before, one])
    last.set(name, one)
  }
  return found
}

const isPlaced = ({ op, offset }: Sent): boolean => op.type === 'ok' && offset !== null
const isOkPoll = ({ type, event }: Op): boolean => type === 'ok' && event.f === 'poll'

export const PLANTS: Readonly<Record<Anomaly, Plant>> = {
  'inconsistent-offsets': (events, r) => {
    const early = polledIn(opsOf(events)).filter(p => p.op.process !== lastProcess(events))
    const at = pick(r, early)
    return (
      at &&
      changeOne(events, at, ([[offset], ...rest]) => [[offset, UNKNOWN_VALUE], ...rest] as Read[])
    )
  },
  duplicate: (events, r) => {
    const at = pick(r, polledIn(opsOf(events).filter(o => o.process === lastProcess(events))))
    return at && changeOne(events, at, reads => [...reads, [reads.at(-1)![0] + 0.5, reads[0]![1]]])
  },
  'lost-write': (events, r) => {
    const sent = sentIn(opsOf(events)).filter(isPlaced)
    const isBehind = (a: Sent, b: Sent): boolean => a.key === b.key && b.offset! > a.offset!
    const at = pick(
      r,
      sent.filter(one => sent.some(other => isBehind(one, other))),
    )
    return at && withoutValue(events, at)
  },
  unseen: (events, r) => {
    const at = pick(
      r,
      sentIn(opsOf(events)).filter(({ op }) => op.type === 'ok'),
    )
    return at && withoutValue(events, at)
  },
  G1a: (events, r) => {
    const at = pick(r, sentIn(opsOf(events)).filter(isPlaced))
    return at && events.map(e => (e.index === at.op.index ? { ...e, type: 'fail' } : e))
  },
  'precommitted-read': (events, r) => {
    const at = pick(r, sentIn(opsOf(events)).filter(isPlaced))
    return at && alsoReads(events, at.op, at)
  },
  'int-poll-skip': (events, r) => {
    const early = polledIn(opsOf(events)).filter(p => p.op.process !== lastProcess(events))
    const fits = early.filter(({ op, key, reads }) => {
      return reads.length > 2 && op.event.rebalanced?.includes(key) !== true
    })
    const at = pick(r, fits)
    return at && changeOne(events, at, ([first, , ...rest]) => [first!, ...rest])
  },
  'int-nonmonotonic-poll': (events, r) => {
    const fits = polledIn(opsOf(events)).filter(({ op, key, reads }) => {
      return reads.length > 1 && op.event.rebalanced?.includes(key) !== true
    })
    const at = pick(r, fits)
    return at && changeOne(events, at, ([first, second, ...rest]) => [second!, first!, ...rest])
  },
  'poll-skip': (events, r) => {
    const early = neighbours(opsOf(events)).filter(([, { op }]) => {
      return op.process !== lastProcess(events)
    })
    const at = pick(
      r,
      early.filter(([, { reads }]) => reads.length > 1),
    )
    return at && changeOne(events, at[1], ([, ...rest]) => rest)
  },
  'nonmonotonic-poll': (events, r) => {
    const at = pick(r, neighbours(opsOf(events)))
    return at && changeOne(events, at[1], reads => [at[0].reads.at(-1)!, ...reads])
  },
  'nonmonotonic-send': (events, r) => {
    const at = pick(r, pairs(sentIn(opsOf(events)), false))
    return at && swapped(events, ...at)
  },
  'int-nonmonotonic-send': (events, r) => {
    const at = pick(r, pairs(sentIn(opsOf(events)), true))
    return at && swapped(events, ...at)
  },
  G1c: (events, r) => {
    const sent = sentIn(opsOf(events)).filter(isPlaced)
    const a = pick(r, sent)
    const b = pick(
      r,
      sent.filter(({ op }) => op.process !== a?.op.process),
    )
    return a && b && alsoReads(alsoReads(events, a.op, b), b.op, a)
  },
  'G1c-process': (events, r) => {
    const ops = opsOf(events)
    const at = pick(r, sentIn(ops).filter(isPlaced))
    const isBefore = (op: Op): boolean =>
      isOkPoll(op) && op.process === at!.op.process && op.index < at!.op.index
    const op = at && pick(r, ops.filter(isBefore))
    return op && alsoReads(events, op, at)
  },
  'G1c-realtime': (events, r) => {
    const ops = opsOf(events)
    const at = pick(r, sentIn(ops).filter(isPlaced))
    const isSilent = (op: Op): boolean =>
      !sentIn(ops).some(sent => sent.op.process === op.process && sent.op.index > op.index)
    const isBefore = (op: Op): boolean => isOkPoll(op) && op.completed < at!.op.invoked
    const op = at && pick(r, ops.filter(isBefore).filter(isSilent))
    return op && alsoReads(events, op, at)
  },
}
