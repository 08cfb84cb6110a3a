import type { BrokerContext } from '../broker-context.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import * as batch from '../protocol/record-batch.ts'
import { readRecords } from '../protocol/records.ts'
import type { Partition, PartitionListener } from '../topics/partition.ts'

/** Bytes read from a partition at a time. */
const READ_BYTES = 1024 * 1024
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

/** How far a partition has been read, and up to where it is to be. */
export interface Position {
  readonly partition: Partition
  offset: number
  readonly end: number
}

/** Reads a topic from inside the process: offsets in order within a partition, partitions in turn. */
export async function* read(
  broker: BrokerContext,
  topic: string,
  options: ReadOptions,
  closed: AbortSignal,
): AsyncGenerator<ReadRecord, void, undefined> {
  const stop = options.signal === undefined ? closed : AbortSignal.any([closed, options.signal])
  const positions = positionsOf(broker, topic, options)
  while (!stop.aborted) {
    let hadRecords = false
    for (const position of positions) {
      for (const record of await readSome(broker, position)) {
        if (stop.aborted) return
        hadRecords = true
        yield record
      }
      if (stop.aborted) return
    }
    if (hadRecords) continue
    if (options.until === 'end') return
    await somethingNew(positions, stop)
  }
}

function positionsOf(broker: BrokerContext, name: string, options: ReadOptions): Position[] {
  const topic = broker.registry.topic(name)
  const unknown = (what: string): BrokerError =>
    new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `${what} does not exist.`)
  if (topic === undefined) throw unknown(`Topic '${name}'`)
  const { partition: index, from = 'earliest', until } = options
  const partitions = index === undefined ? topic.partitions : [topic.partitions[index]]
  return partitions.map(partition => {
    if (partition === undefined) throw unknown(`Partition ${name}-${index}`)
    const { logStartOffset, highWatermark } = partition
    const offset = from === 'earliest' ? logStartOffset : from === 'latest' ? highWatermark : from
    if (!(offset >= logStartOffset && offset <= highWatermark)) {
      throw new BrokerError(
        ErrorCode.OFFSET_OUT_OF_RANGE,
        `${partition.name} has offsets ${logStartOffset} to ${highWatermark}, not ${from}.`,
      )
    }
    return { partition, offset, end: until === 'end' ? highWatermark : Number.POSITIVE_INFINITY }
  })
}

/** The next records of a partition that are there; moves its position behind them. @throws BrokerError */
export async function readSome(broker: BrokerContext, position: Position): Promise<ReadRecord[]> {
  const { partition } = position
  if (partition.isDeleted || partition.offline !== null) {
    const code = partition.isDeleted
      ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      : ErrorCode.KAFKA_STORAGE_ERROR
    throw new BrokerError(code, `${partition.name} is ${partition.offline ?? 'deleted'}.`)
  }
  position.offset = Math.max(position.offset, partition.logStartOffset)
  const end = Math.min(partition.lastStableOffset, position.end)
  if (position.offset >= end) return []
  const result = await partition.reader.read(position.offset, end, READ_BYTES, true)
  if (result === null) return []
  try {
    return await decode(result.records, position)
  } finally {
    broker.registry.pool.release(result.buffer)
  }
}

async function decode(records: Buffer, position: Position): Promise<ReadRecord[]> {
  const { partition } = position
  const found: ReadRecord[] = []
  for (let at = 0; at < records.length; ) {
    const bytes = batch.batchBytes(records, at)
    // A copy: what is handed out must not change when the buffer is used again.
    const own = Buffer.from(records.subarray(at, at + bytes))
    at += bytes
    const next = batch.lastOffset(own) + 1
    if (!batch.isControl(batch.attributes(own))) {
      for (const record of await readRecords(own, DECOMPRESSED_BYTES_MAX)) {
        if (record.offset < position.offset || record.offset >= position.end) continue
        const headers = Object.fromEntries(record.headers.map(h => [h.key, h.value]))
        const { offset, timestamp, key, value } = record
        const { topic, index } = partition
        found.push({ topic, partition: index, offset, timestamp, key, value, headers })
      }
    }
    position.offset = Math.max(position.offset, next)
  }
  return found
}

/** Resolves when a partition has more than was read, or reading is to stop. */
export function somethingNew(positions: readonly Position[], stop: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const finish = (): void => {
      stop.removeEventListener('abort', finish)
      for (const { partition } of positions) partition.unlisten(listener)
      resolve()
    }
    const listener: PartitionListener = { onAdvance: finish }
    stop.addEventListener('abort', finish)
    for (const { partition } of positions) partition.listen(listener)
    const isBehind = positions.some(p => p.offset < p.partition.lastStableOffset)
    if (isBehind || stop.aborted) finish()
  })
}
