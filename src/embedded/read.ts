import type { BrokerContext } from '../broker-context.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import * as batch from '../protocol/record-batch.ts'
import { isUnreadable, readRecords } from '../protocol/records.ts'
import { indexesOf } from '../topics/topic-table.ts'
import type { Access, PartitionAccess } from './access.ts'
import { checkRead } from './arguments.ts'
import { patiently, WAIT_MS_MAX } from './patience.ts'

/** The most that one batch may take when decompressed. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024

export interface ReadOptions {
  /** Where to start: 'earliest' (the default), 'latest', or an offset (of the one partition that is read). */
  readonly from?: 'earliest' | 'latest' | number
  /** Only this partition; by default all of them. */
  readonly partition?: number
  /** 'end' stops at what is there now; by default reading goes on as records come. */
  readonly until?: 'end'
  /** Ends the reading when aborted, without an error. */
  readonly signal?: AbortSignal
  /** Called for what is passed over; the broker's log has a warning of it, too. */
  readonly onUnreadable?: (batch: UnreadableBatch) => void
}

/**
 * What of a batch cannot be read: it is as its producer sent it, and no records, or not those that it announces. As clients do, reading
 * goes on behind it.
 */
export interface UnreadableBatch {
  readonly topic: string
  readonly partition: number
  /** The first offset that is passed over: the records of the batch before it have been handed out. */
  readonly offset: number
  readonly lastOffset: number
  readonly reason: string
}

export interface ReadRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** ms since 1970, or -1. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | null>>
}

/**
 * How far a partition has been read, and up to where it is to be.
 * @internal
 */
export interface Position {
  readonly partition: PartitionAccess
  offset: number
  readonly end: number
  /** Passed over behind the records that were handed out last, and not told yet. */
  unreadable?: UnreadableBatch | null
  readonly onUnreadable?: ((batch: UnreadableBatch) => void) | undefined
}

/**
 * Reads a topic from inside the process: offsets in order within a partition, partitions in turn.
 * @throws TypeError at once for what is no topic or no options
 * @internal
 */
export function read(
  access: Access,
  topic: string,
  options: ReadOptions,
  closed: AbortSignal,
): AsyncGenerator<ReadRecord, void, undefined> {
  checkRead(topic, options)
  return readOn(access, topic, options, closed)
}

async function* readOn(
  access: Access,
  topic: string,
  options: ReadOptions,
  closed: AbortSignal,
): AsyncGenerator<ReadRecord, void, undefined> {
  const stop = options.signal === undefined ? closed : AbortSignal.any([closed, options.signal])
  const positions = await positionsOf(access, topic, options, stop)
  if (positions === null) return
  let patience = new Patience(stop)
  while (!stop.aborted) {
    let hadRecords = false
    for (const position of positions) {
      for (const record of await readSome(access.broker, position)) {
        if (stop.aborted) return
        hadRecords = true
        yield record
      }
      if (stop.aborted) return
    }
    if (hadRecords) {
      patience = new Patience(stop)
      continue
    }
    if (options.until !== 'end') await somethingNew(positions, stop)
    else if (positions.every(isAtEnd)) return
    else await patience.somethingNew(positions.filter(position => !isAtEnd(position)))
  }
}

/** Nothing has been found there; it may be that what is left is only on its way. */
const isAtEnd = ({ partition, offset, end }: Position): boolean =>
  offset >= end || partition.tellsAll

/** What is there is waited for, but not for ever. */
class Patience {
  readonly #stop: AbortSignal
  readonly #deadline = performance.now() + WAIT_MS_MAX

  constructor(stop: AbortSignal) {
    this.#stop = stop
  }

  /** @throws BrokerError LEADER_NOT_AVAILABLE when the time is over */
  async somethingNew(positions: readonly Position[]): Promise<void> {
    const left = this.#deadline - performance.now()
    if (left > 0) {
      return somethingNew(
        positions,
        AbortSignal.any([this.#stop, AbortSignal.timeout(Math.ceil(left))]),
      )
    }
    const { partition, offset, end } = positions[0]!
    const message = `${partition.name} has offsets up to ${end - 1}, and from ${offset} on they could not be read for ${WAIT_MS_MAX} ms.`
    throw new BrokerError(ErrorCode.LEADER_NOT_AVAILABLE, message)
  }
}

/** Null if it is to stop before they are known. */
async function positionsOf(
  access: Access,
  name: string,
  options: ReadOptions,
  stop: AbortSignal,
): Promise<Position[] | null> {
  const { registry } = access.broker
  const topic = registry.topic(name)
  const unknown = (what: string): BrokerError =>
    new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `${what} does not exist.`)
  if (topic === undefined) throw unknown(`Topic '${name}'`)
  const { partition: index, from = 'earliest', until, onUnreadable } = options
  if (index !== undefined && !registry.has(name, index)) {
    throw unknown(`Partition ${name}-${index}`)
  }
  const partitions = (index === undefined ? indexesOf(topic) : [index]).map(one =>
    access.partition(topic, one),
  )
  const asked = partitions.map(partition => patiently(() => partition.range(), WAIT_MS_MAX, stop))
  const ranges = await Promise.all(asked).catch(error => {
    if (stop.aborted) return null
    throw error
  })
  return (
    ranges &&
    partitions.map((partition, i) => {
      const { start, end: committed } = ranges[i]!
      const offset = from === 'earliest' ? start : from === 'latest' ? committed : from
      if (!(offset >= start && offset <= committed)) {
        throw new BrokerError(
          ErrorCode.OFFSET_OUT_OF_RANGE,
          `${partition.name} has offsets ${start} to ${committed}, not ${from}.`,
        )
      }
      const end = until === 'end' ? committed : Number.POSITIVE_INFINITY
      return { partition, offset, end, onUnreadable }
    })
  )
}

/**
 * The next records of a partition that are there, if any; moves its position behind them. @throws BrokerError
 * @internal
 */
export async function readSome(broker: BrokerContext, position: Position): Promise<ReadRecord[]> {
  const { partition, end } = position
  tellUnreadable(broker, position)
  for (;;) {
    const { offset, records, release } = await partition.read(position.offset, end)
    position.offset = Math.max(position.offset, offset)
    try {
      const found = await decode(broker, records, position)
      // What was read may hold none: markers, what compaction has emptied, what cannot be read.
      if (found.length > 0 || records.length === 0) return found
    } finally {
      release()
    }
  }
}

async function decode(
  broker: BrokerContext,
  records: Buffer,
  position: Position,
): Promise<ReadRecord[]> {
  const found: ReadRecord[] = []
  for (let at = 0; at < records.length; ) {
    const bytes = batch.batchBytes(records, at)
    // A copy: what is handed out must not change when the buffer is used again.
    const own = Buffer.from(records.subarray(at, at + bytes))
    at += bytes
    const next = batch.lastOffset(own) + 1
    if (!batch.isControl(batch.attributes(own))) {
      let reason: string | null
      try {
        reason = await decodeBatch(own, position, found)
      } catch (error) {
        // It is met again, with nothing before it.
        if (found.length > 0) return found
        throw error
      }
      if (reason !== null) {
        const { partition, offset } = position
        const { topic, index } = partition
        position.unreadable = { topic, partition: index, offset, lastOffset: next - 1, reason }
      }
    }
    position.offset = Math.max(position.offset, next)
    // What came before it is handed out first.
    if (position.unreadable && found.length > 0) return found
    tellUnreadable(broker, position)
  }
  return found
}

/**
 * Adds the records of a batch to what was found, and moves the position behind each.
 * @returns why what is left of it cannot be read, or null
 * @throws BrokerError CORRUPT_MESSAGE if it is not what was written: then nothing is passed over
 */
async function decodeBatch(
  own: Buffer,
  position: Position,
  found: ReadRecord[],
): Promise<string | null> {
  const { topic, index, name } = position.partition
  try {
    for (const record of await readRecords(own, DECOMPRESSED_BYTES_MAX)) {
      if (record.offset < position.offset || record.offset >= position.end) continue
      const headers = Object.fromEntries(record.headers.map(h => [h.key, h.value]))
      const { offset, timestamp, key, value } = record
      found.push({ topic, partition: index, offset, timestamp, key, value, headers })
      position.offset = offset + 1
    }
    return null
  } catch (error) {
    if (!isUnreadable(error)) throw error
    if (batch.computeCrc(own) === batch.storedCrc(own)) return error.message
    const where = `${name}, offset ${batch.baseOffset(own)}`
    const message = `${where}: the batch is damaged, its checksum does not fit.`
    throw new BrokerError(ErrorCode.CORRUPT_MESSAGE, message)
  }
}

function tellUnreadable(broker: BrokerContext, position: Position): void {
  const { unreadable } = position
  if (!unreadable) return
  position.unreadable = null
  broker.log.warn({ ...unreadable }, 'records that cannot be read are passed over')
  position.onUnreadable?.(unreadable)
}

/**
 * Resolves when a partition has more than was read, or reading is to stop.
 * @internal
 */
export function somethingNew(positions: readonly Position[], stop: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const finish = (): void => {
      stop.removeEventListener('abort', finish)
      for (const listening of listenings) listening.end()
      resolve()
    }
    stop.addEventListener('abort', finish)
    const listenings = positions.map(({ partition }) => partition.listen(finish))
    const isBehind = positions.some(({ partition, offset }) => partition.isBehind(offset))
    if (isBehind || stop.aborted) finish()
  })
}
