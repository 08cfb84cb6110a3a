import { InvalidArgumentError } from 'commander'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import type { Range } from '../base/fetch.ts'
import { EARLIEST, type FoundOffset, LATEST, listOffsets } from '../base/offsets.ts'
import { note } from '../base/progress.ts'

/** A place in a partition: an offset, so many before the end (below 0), or a name. */
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

/** From a place on, or, with a colon, up to and without another one. */
export interface Span {
  readonly start: Start
  readonly stop?: Start
}

/** START or START:STOP; what is left out before the colon is the beginning. */
export function parseSpan(text: string, more = ''): Span {
  const allowed = `, FROM:TO for what is from one of these up to, and without, another${more}`
  const colon = text.indexOf(':')
  if (colon < 0) return { start: parseStart(text, allowed) }
  const start = colon === 0 ? 'beginning' : parseStart(text.slice(0, colon), allowed)
  const stop = parseStart(text.slice(colon + 1), allowed)
  const isBackwards = typeof start === 'number' && typeof stop === 'number' && stop < start
  if (isBackwards && start < 0 === stop < 0) {
    throw new InvalidArgumentError(`It goes backwards: ${start} is behind ${stop}.`)
  }
  return { start, stop }
}

/** Offsets by partition, such as a group has committed. */
export type Stored = ReadonlyMap<number, number>

export interface Asked extends Span {
  /** Goes before `start` where there is an offset. */
  readonly stored?: Stored
  /** ms: from the first record at or after it. Then neither counts. */
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
  { start, stop, stored, from, to, exitAtEnd }: Asked,
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
    const known = stored?.get(partition)
    const startHere = (): number => {
      if (known !== undefined) return storedOffset(known, high, name)
      return stop === undefined ? placeOf(start, low, high, name) : within(start, low, high, name)
    }
    const offset = froms === null ? startHere() : found(froms)
    const bounds = [
      exitAtEnd || tos !== null ? high : Number.POSITIVE_INFINITY,
      tos === null ? Number.POSITIVE_INFINITY : found(tos),
      stop === undefined ? Number.POSITIVE_INFINITY : stopAt(stop, low, high),
    ]
    return { topic: topic.name!, partition, leaderId, offset, end: Math.min(...bounds) }
  })
}

function placeOf(start: Start, low: number, high: number, name: string): number {
  if (typeof start !== 'number' || start < 0) return stopAt(start, low, high)
  if (start >= low && start <= high) return start
  throw new CliError(`${name} has offsets ${low} to ${high}, not ${start}`)
}

/** Of a range there may be less than is asked for: partitions are not of one length. */
function within(start: Start, low: number, high: number, name: string): number {
  const place = stopAt(start, low, high)
  if (place < low) note(`${name} begins at offset ${low}: what was before is deleted`)
  return Math.min(Math.max(place, low), high)
}

/** May be an offset that is still to come. */
function stopAt(place: Start, low: number, high: number): number {
  if (place === 'beginning') return low
  if (place === 'end') return high
  return place < 0 ? Math.max(low, high + place) : place
}

/** May be before what is left of the partition: then the consumer says what was deleted. */
function storedOffset(offset: number, high: number, name: string): number {
  if (offset <= high) return offset
  throw new CliError(
    `${name} ends at ${high}, before the committed offset ${offset}: is it a new topic of that name?`,
  )
}
