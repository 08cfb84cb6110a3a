/**
 * What clients did and were told: one event when an operation is invoked, one when it completes. Each process has one
 * operation at a time. A file of it has an event in JSON a line.
 */

/** `send` of a value to a key, with its offset if that is known; `poll` with what it brought, in its order. */
export type Micro =
  | readonly ['send', number, readonly [number | null, number]]
  | readonly ['poll', Readonly<Record<string, readonly Read[]>>]

/** An offset and the value there. */
export type Read = readonly [number, number]

/** `fail`: it did not happen, for certain. `info`: it may have happened, or may yet. */
export type Completed = 'ok' | 'fail' | 'info'

interface EventBase {
  readonly index: number
  /** Nanoseconds of one clock that only goes forward. */
  readonly time: number
  readonly process: number
  readonly type: 'invoke' | Completed
  readonly error?: string
  /** Keys that a group has taken or given during the operation. */
  readonly rebalanced?: readonly number[]
}

/** Operations of one micro-op outside of transactions, and transactions of some. */
export interface WorkEvent extends EventBase {
  readonly f: 'send' | 'poll' | 'txn'
  readonly value: readonly Micro[]
}

/** What the process reads from now on: these keys, and no others. */
export interface ChoiceEvent extends EventBase {
  readonly f: 'assign' | 'subscribe'
  readonly value: readonly number[]
  readonly seekToBeginning?: boolean
}

/** The process is gone; or what is known of ends and leaders, as evidence only. */
export interface OtherEvent extends EventBase {
  readonly f: 'crash' | 'debug'
  readonly value: unknown
}

export type HistoryEvent = WorkEvent | ChoiceEvent | OtherEvent
export type History = readonly HistoryEvent[]

/** An operation from its invocation to its end, if it has one. */
export interface Op {
  /** Of its completion; of its invocation if there is none. */
  readonly index: number
  readonly process: number
  readonly type: Completed
  readonly invoked: number
  /** Infinity if it may still be under way. */
  readonly completed: number
  readonly event: HistoryEvent
}

/** In the order of their completions; those that never complete come last, as `info`. */
export function opsOf(history: History): Op[] {
  const open = new Map<number, HistoryEvent>()
  const ops: Op[] = []
  for (const event of history) {
    const { process, type, index, time } = event
    const invocation = open.get(process)
    if (type === 'invoke') {
      if (invocation !== undefined) throw new Error(`process ${process} does two things at once`)
      open.set(process, event)
      continue
    }
    if (invocation === undefined) throw new Error(`process ${process} completes nothing`)
    open.delete(process)
    const completed = type === 'info' ? Number.POSITIVE_INFINITY : time
    ops.push({ index, process, type, invoked: invocation.time, completed, event })
  }
  for (const event of open.values()) {
    const { index, process, time } = event
    const completed = Number.POSITIVE_INFINITY
    ops.push({ index, process, type: 'info', invoked: time, completed, event })
  }
  return ops
}

export const microsOf = ({ event }: Op): readonly Micro[] =>
  event.f === 'send' || event.f === 'poll' || event.f === 'txn' ? event.value : []

/** Values that it sends of each key, in order. */
export function writesOf(op: Op): Map<number, number[]> {
  const found = new Map<number, number[]>()
  for (const micro of microsOf(op)) {
    if (micro[0] === 'send') grow(found, micro[1], [micro[2][1]])
  }
  return found
}

/** Offsets and values that it has read of each key, in the order in which they came. */
export function readsOf(op: Op): Map<number, Read[]> {
  const found = new Map<number, Read[]>()
  for (const micro of microsOf(op)) {
    if (micro[0] !== 'poll') continue
    for (const [key, reads] of Object.entries(micro[1])) {
      if (reads.length > 0) grow(found, Number(key), reads)
    }
  }
  return found
}

function grow<T>(lists: Map<number, T[]>, key: number, more: readonly T[]): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [...more])
  else for (const one of more) list.push(one)
}
