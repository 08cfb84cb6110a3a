/** Numbers that say how it went; none of them is a verdict. */
import type { Derived, KeyLog } from '../derive.ts'
import { microsOf, type Op, readsOf } from '../history.ts'

export interface Metrics {
  readonly keys: number
  readonly sends: Readonly<Record<Op['type'], number>>
  readonly polls: Readonly<Record<Op['type'], number>>
  readonly recordsRead: number
  /** How long there had been something for a poll that brought nothing of a key, when it began: the most, in ms. */
  readonly worstLagMs: number
  /** How many values a subscriber has read once, twice, ... */
  readonly readTimes: Readonly<Record<string, number>>
}

export function metricsOf(derived: Derived): Metrics {
  const sends = { ok: 0, fail: 0, info: 0 }
  const polls = { ok: 0, fail: 0, info: 0 }
  let recordsRead = 0
  for (const op of derived.ops) {
    for (const [kind] of microsOf(op)) (kind === 'send' ? sends : polls)[op.type]++
    for (const reads of readsOf(op).values()) recordsRead += reads.length
  }
  const { size: keys } = derived.keys
  const worstLagMs = Math.round(worstLag(derived) / 1e6)
  return { keys, sends, polls, recordsRead, worstLagMs, readTimes: readTimes(derived) }
}

interface Known {
  readonly time: number
  readonly index: number
}

/** From when on it was known that a key goes so far. */
function knownOf(log: KeyLog): Known[] {
  const known: Known[] = []
  for (const [value, index] of log.last) {
    const writer = log.writer.get(value)
    const times = (log.readers.get(value) ?? []).map(({ completed }) => completed)
    if (writer?.type === 'ok') times.push(writer.completed)
    if (times.length > 0) known.push({ time: Math.min(...times), index })
  }
  let most = -1
  return known
    .sort((a, b) => a.time - b.time)
    .filter(({ index }) => {
      const grows = index > most
      most = Math.max(most, index)
      return grows
    })
}

/** Of polls by those who choose their keys: where they stand is what they have read last. */
function worstLag(derived: Derived): number {
  const known = new Map([...derived.keys].map(([key, log]) => [key, knownOf(log)]))
  const places = new Map<number, Map<number, number>>()
  let worst = 0
  for (const op of derived.ops) {
    if (op.type !== 'ok' || derived.subscribers.has(op.process)) continue
    const own = places.get(op.process) ?? new Map<number, number>()
    places.set(op.process, own)
    const { event } = op
    if (event.f === 'assign') {
      for (const key of own.keys()) if (!event.value.includes(key)) own.delete(key)
    }
    const reads = readsOf(op)
    for (const [key, index] of event.f === 'poll' ? own : []) {
      if (reads.has(key)) continue
      const next = firstBeyond(known.get(key)!, index)
      if (next !== undefined) worst = Math.max(worst, op.invoked - next.time)
    }
    for (const [key, found] of reads) own.set(key, derived.key(key).last.get(found.at(-1)![1])!)
  }
  return worst
}

function firstBeyond(known: readonly Known[], index: number): Known | undefined {
  let low = 0
  let high = known.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (known[middle]!.index > index) high = middle
    else low = middle + 1
  }
  return known[low]
}

function readTimes(derived: Derived): Record<string, number> {
  const times = new Map<string, number>()
  for (const op of derived.ops) {
    if (op.type !== 'ok' || !derived.subscribers.has(op.process)) continue
    for (const [key, reads] of readsOf(op)) {
      for (const [, value] of reads) {
        const name = `${op.process} ${key} ${value}`
        times.set(name, (times.get(name) ?? 0) + 1)
      }
    }
  }
  const found: Record<string, number> = {}
  for (const count of times.values()) found[count] = (found[count] ?? 0) + 1
  return found
}
