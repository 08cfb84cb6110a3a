/** In which order values of a key are read and sent, inside of one operation and from one to the next of a process. */
import type { Derived } from '../derive.ts'
import { type Op, readsOf, writesOf } from '../history.ts'
import type { Case } from './log.ts'

/** A step from one value to another that are not neighbours in the log. */
export interface Steps {
  readonly skips: readonly Case[]
  readonly back: readonly Case[]
}

type Values = ReadonlyMap<number, readonly number[]>
const valuesRead = (op: Op): Values =>
  new Map([...readsOf(op)].map(([key, reads]) => [key, reads.map(([, value]) => value)]))

/** Inside of each operation, however it ended. A group may give and take keys amid one: these are left out. */
export const insideReads = (derived: Derived): Steps =>
  inside(derived, op => {
    const moved = op.event.rebalanced ?? []
    return new Map([...valuesRead(op)].filter(([key]) => !moved.includes(key)))
  })
export const insideSends = (derived: Derived): Steps => inside(derived, writesOf)

function inside({ ops, keys }: Derived, valuesOf: (op: Op) => Values): Steps {
  const skips: Case[] = []
  const back: Case[] = []
  for (const op of ops) {
    for (const [key, values] of valuesOf(op)) {
      const log = keys.get(key)!
      for (let i = 1; i < values.length; i++) {
        const step = { key, from: values[i - 1], to: values[i], by: op.index }
        const delta = log.delta(values[i - 1]!, values[i]!)
        if (delta > 1) skips.push({ ...step, delta })
        else if (delta < 1) back.push({ ...step, delta })
      }
    }
  }
  return { skips, back }
}

/** From one poll of a process to its next of the same key; of those who subscribe, or of the others. */
export function betweenPolls(derived: Derived, ofSubscribers: boolean): Steps {
  const skips: Case[] = []
  const back: Case[] = []
  /** The last value of each key that each process has got, and from which operation. */
  const before = new Map<number, Map<number, { value: number; op: Op }>>()
  for (const op of derived.ops) {
    if (derived.subscribers.has(op.process) !== ofSubscribers) continue
    const own = before.get(op.process) ?? new Map<number, { value: number; op: Op }>()
    before.set(op.process, own)
    forget(op, own)
    for (const [key, values] of valuesRead(op)) {
      const was = own.get(key)
      if (was !== undefined) {
        const delta = derived.key(key).delta(was.value, values[0]!)
        const step = { key, from: was.value, to: values[0], after: was.op.index, by: op.index }
        if (delta > 1) skips.push({ ...step, delta })
        else if (delta < 1) back.push({ ...step, delta })
      }
      if (op.type === 'ok') own.set(key, { value: values.at(-1)!, op })
    }
  }
  return { skips, back }
}

/** Who reads a key anew may begin elsewhere. */
function forget({ event, type }: Op, last: Map<number, unknown>): void {
  if ((event.f !== 'assign' && event.f !== 'subscribe') || type === 'fail') return
  for (const key of last.keys()) {
    if (event.seekToBeginning === true || !event.value.includes(key)) last.delete(key)
  }
}

/** What a process sends of a key is behind what it has sent before. */
export function backwardSends({ ops, keys }: Derived): Case[] {
  const found: Case[] = []
  const before = new Map<number, Map<number, { value: number; op: Op }>>()
  for (const op of ops) {
    if (op.type === 'fail') continue
    const own = before.get(op.process) ?? new Map<number, { value: number; op: Op }>()
    before.set(op.process, own)
    for (const [key, values] of writesOf(op)) {
      const was = own.get(key)
      const delta = was === undefined ? 1 : keys.get(key)!.delta(was.value, values[0]!)
      if (delta < 1) {
        found.push({ key, from: was!.value, to: values[0], after: was!.op.index, by: op.index })
      }
      own.set(key, { value: values.at(-1)!, op })
    }
  }
  return found
}
