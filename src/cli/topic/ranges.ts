import { InvalidArgumentError } from 'commander'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import type { Range } from '../base/fetch.ts'
import { EARLIEST, type FoundOffset, LATEST, listOffsets } from '../base/offsets.ts'

/** Where to start: an offset, so many before the end (below 0), or a name. */
export type Start = 'beginning' | 'end' | number

/** @param more what else the option takes */
export function parseStart(text: string, more = ''): Start {
  if (text === 'beginning' || text === 'end') return text
  const offset = Number(text)
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(offset)) return offset
  throw new InvalidArgumentError(
    `It must be beginning, end, an offset, or -N for the last N${more}.`,
  )
}

/** Offsets by partition, such as a group has committed: a partition that has none is read from its beginning. */
export type Stored = ReadonlyMap<number, number>

export interface Asked {
  readonly start: Start | Stored
  /** ms: from the first record at or after it. Then `start` does not count. */
  readonly from?: number
  /** ms: up to the first record at or after it. */
  readonly to?: number
  /** Stop at what is the end now. */
  readonly exitAtEnd: boolean
}

type Offsets = ReadonlyMap<number, FoundOffset>

/** What that is in offsets, for each partition. @throws CliError for an offset that is not there */
export async function rangesOf(
  cluster: Cluster,
  topic: TopicMetadata,
  { start, from, to, exitAtEnd }: Asked,
): Promise<Range[]> {
  const at = (time: number | undefined): Promise<Offsets | null> =>
    time === undefined ? Promise.resolve(null) : listOffsets(cluster, topic, time)
  const [starts, ends, froms, tos] = await Promise.all([
    listOffsets(cluster, topic, EARLIEST),
    listOffsets(cluster, topic, LATEST),
    at(from),
    at(to),
  ])
  return topic.partitions.map(({ partitionIndex: partition, leaderId }) => {
    const low = starts.get(partition)!.offset
    const high = ends.get(partition)!.offset
    // Where no record is that late, the offset is -1.
    const found = (offsets: Offsets): number => {
      const { offset } = offsets.get(partition)!
      return offset < 0 ? high : offset
    }
    const name = `${topic.name} partition ${partition}`
    const startHere = (): number =>
      typeof start === 'object'
        ? storedOffset(start.get(partition) ?? low, high, name)
        : startOffset(start, low, high, name)
    const offset = froms === null ? startHere() : found(froms)
    const bound = exitAtEnd || tos !== null ? high : Number.POSITIVE_INFINITY
    return { partition, leaderId, offset, end: tos === null ? bound : Math.min(bound, found(tos)) }
  })
}

function startOffset(start: Start, low: number, high: number, name: string): number {
  if (start === 'beginning') return low
  if (start === 'end') return high
  if (start < 0) return Math.max(low, high + start)
  if (start >= low && start <= high) return start
  throw new CliError(`${name} has offsets ${low} to ${high}, not ${start}`)
}

/** May be before what is left of the partition: then the consumer says what was deleted. */
function storedOffset(offset: number, high: number, name: string): number {
  if (offset <= high) return offset
  throw new CliError(
    `${name} ends at ${high}, before the committed offset ${offset}: is it a new topic of that name?`,
  )
}
