import type { Entry } from './program.ts'

type Record = Pick<Entry, 'value' | 'partition' | 'offset'>

const placeOf = ({ partition, offset }: Record): string => `${partition}@${offset}`
const numberOf = ({ value }: Record): number => Number(value.slice(value.lastIndexOf('-') + 1))

/** What a topic holds at the end: the value of each place. */
export type Log = ReadonlyMap<string, Record>

export function logOf(records: readonly Record[]): Log {
  const places = records.map(record => [placeOf(record), record] as const)
  return new Map(places.sort(([, a], [, b]) => a.offset - b.offset))
}

export interface ProducerVerdict {
  /** Acknowledged, and not where it was said to be. */
  readonly lost: number
  /** Of its records, those that are there once more. */
  readonly doubled: number
  /** Of its records, those behind one of the same partition that was sent later. */
  readonly outOfOrder: number
}

export function judgeProducer(name: string, acknowledged: readonly Record[], log: Log) {
  const own = [...log.values()].filter(({ value }) => value.startsWith(`${name}-`))
  const isThere = (record: Record): boolean => log.get(placeOf(record))?.value === record.value
  const newest: number[] = []
  let outOfOrder = 0
  for (const record of own) {
    const before = newest[record.partition] ?? -1
    if (numberOf(record) < before) outOfOrder++
    newest[record.partition] = Math.max(before, numberOf(record))
  }
  return {
    lost: acknowledged.filter(record => !isThere(record)).length,
    doubled: own.length - new Set(own.map(({ value }) => value)).size,
    outOfOrder,
  } satisfies ProducerVerdict
}

export interface ConsumerVerdict {
  /** In the log, and never read. */
  readonly missed: number
  /** Read before what stands in front of it in its partition. */
  readonly skippedTo: number
  /** Read with another value than the log has at its place. */
  readonly wrong: number
  /** Read again, which a group may do. */
  readonly again: number
}

export function judgeConsumer(read: readonly Record[], log: Log) {
  const seen = new Set<string>()
  const ends: number[] = []
  const count = { skippedTo: 0, wrong: 0 }
  for (const record of read) {
    const end = ends[record.partition] ?? 0
    if (record.offset > end) count.skippedTo++
    ends[record.partition] = Math.max(end, record.offset + 1)
    if (log.get(placeOf(record))?.value !== record.value) count.wrong++
    seen.add(placeOf(record))
  }
  const missed = [...log.keys()].filter(place => !seen.has(place)).length
  return { ...count, missed, again: read.length - seen.size } satisfies ConsumerVerdict
}
