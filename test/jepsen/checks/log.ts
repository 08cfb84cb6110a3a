/** What the logs of keys must be, whoever looks. */
import type { Derived } from '../derive.ts'
import { readsOf, writesOf } from '../history.ts'

/** One thing that is wrong, as plain data. */
export type Case = Readonly<Record<string, unknown>>

/** An offset holds one value. */
export function inconsistentOffsets({ keys }: Derived): Case[] {
  const found: Case[] = []
  for (const [key, log] of keys) {
    for (const [offset, values] of log.at) {
      if (values.size > 1) found.push({ key, offset, values: [...values] })
    }
  }
  return found
}

/** A value is at one offset. */
export function duplicates({ keys }: Derived): Case[] {
  const found: Case[] = []
  for (const [key, log] of keys) {
    for (const [value, first] of log.first) {
      const last = log.last.get(value)!
      if (first !== last) {
        found.push({ key, value, offsets: [log.offsets[first], log.offsets[last]] })
      }
    }
  }
  return found
}

/** Whoever has read a value could have read what stands in front of it: somebody must have. */
export function lostWrites(derived: Derived): Case[] {
  const found: Case[] = []
  for (const [key, log] of derived.keys) {
    let bound = -1
    for (const value of log.readers.keys()) bound = Math.max(bound, log.first.get(value)!)
    for (const [value, last] of log.last) {
      if (last > bound || log.readers.has(value)) continue
      const writer = log.writer.get(value)
      if (writer !== undefined && derived.mustHaveCommitted(writer)) {
        found.push({ key, value, offset: log.offsets[last], sentBy: writer.index })
      }
    }
  }
  return found
}

/** What was acknowledged is read at the end of the run. */
export function unseen({ ops, keys }: Derived): Case[] {
  const found: Case[] = []
  for (const op of ops) {
    if (op.type !== 'ok') continue
    for (const [key, values] of writesOf(op)) {
      const { readers } = keys.get(key)!
      for (const value of values) {
        if (!readers.has(value)) found.push({ key, value, sentBy: op.index })
      }
    }
  }
  return found
}

/** Nobody reads what has failed for certain. */
export function abortedReads({ keys }: Derived): Case[] {
  const found: Case[] = []
  for (const [key, log] of keys) {
    for (const [value, readers] of log.readers) {
      const writer = log.writer.get(value)
      if (writer?.type !== 'fail') continue
      found.push({ key, value, sentBy: writer.index, readBy: readers.map(({ index }) => index) })
    }
  }
  return found
}

/** Nobody reads what he has not committed yet. */
export function precommittedReads({ ops }: Derived): Case[] {
  const found: Case[] = []
  for (const op of ops) {
    const reads = readsOf(op)
    for (const [key, sent] of writesOf(op)) {
      const own = new Set(sent)
      for (const [offset, value] of reads.get(key) ?? []) {
        if (own.has(value)) found.push({ key, value, offset, by: op.index })
      }
    }
  }
  return found
}
