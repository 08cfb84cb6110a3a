import { appendRefusal, keysRefusal } from '../apis/append-checks.ts'
import type { BrokerContext } from '../broker-context.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode, errorName } from '../protocol/error-codes.ts'
import { type BatchOptions, encodeBatch, type NewRecord } from '../protocol/records.ts'
import { ENTRY_BASE_OFFSET_F64, ENTRY_ERROR } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { Partition } from '../topics/partition.ts'
import type { Topic } from '../topics/registry.ts'
import type { Found, PartitionAccess, Range } from './access.ts'
import { WAIT_MS_MAX } from './patience.ts'

/** The newest Produce version: what embedded appends may use. */
export const PRODUCE_VERSION = 13
/** Bytes read from a partition at a time. */
export const READ_BYTES = 1024 * 1024

const NOTHING = Buffer.alloc(0)

/** A partition of this broker, which has all there is of it. */
export class PartitionHere implements PartitionAccess {
  readonly #broker: BrokerContext
  readonly #partition: Partition
  readonly tellsAll = true

  constructor(broker: BrokerContext, topic: Topic, index: number) {
    this.#broker = broker
    const found = broker.registry.led(topic, index)
    if (typeof found === 'number') {
      throw new BrokerError(found, `${topic.name}-${index} is not here: ${errorName(found)}.`)
    }
    this.#partition = found
  }

  get topic(): string {
    return this.#partition.topic
  }

  get topicId(): string {
    return this.#partition.topicId
  }

  get index(): number {
    return this.#partition.index
  }

  get name(): string {
    return this.#partition.name
  }

  get isDeleted(): boolean {
    return this.#partition.isDeleted
  }

  async append(records: readonly NewRecord[]): Promise<number> {
    const batch = await encode(records, this.name)
    return appendHere(this.#broker, this.#partition, batch, WAIT_MS_MAX)
  }

  async range(): Promise<Range> {
    return rangeOf(this.#partition)
  }

  async read(offset: number, end: number): Promise<Found> {
    throwIfGone(this.#partition)
    return readHere(this.#broker, this.#partition, offset, end)
  }

  isBehind(offset: number): boolean {
    return offset < this.#partition.lastStableOffset
  }

  listen(onNews: () => void): { end(): void } {
    return this.#partition.listen(onNews)
  }

  epochAt(offset: number): number {
    return this.#partition.epochAt(offset)
  }
}

/** @throws BrokerError */
function throwIfGone(partition: Partition): void {
  if (!partition.isDeleted && partition.offline === null) return
  const code = partition.isDeleted
    ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    : ErrorCode.KAFKA_STORAGE_ERROR
  throw new BrokerError(code, `${partition.name} is ${partition.offline ?? 'deleted'}.`)
}

export const rangeOf = ({ logStartOffset, highWatermark }: Partition): Range => {
  return { start: logStartOffset, end: highWatermark }
}

export const nothingAt = (offset: number): Found => ({
  offset,
  records: NOTHING,
  release: () => {},
})

/** What this broker has of it below `end` and is committed. */
export async function readHere(
  broker: BrokerContext,
  partition: Partition,
  offset: number,
  end: number,
): Promise<Found> {
  const from = Math.max(offset, partition.logStartOffset)
  const until = Math.min(partition.lastStableOffset, end)
  if (from >= until) return nothingAt(from)
  const result = await partition.reader.read(from, until, READ_BYTES, true)
  if (result === null) return nothingAt(from)
  const release = (): void => broker.registry.replicas.pool.release(result.buffer)
  return { offset: from, records: result.records, release }
}

/** @throws BrokerError MESSAGE_TOO_LARGE */
export async function encode(
  records: readonly NewRecord[],
  name: string,
  options: BatchOptions = {},
): Promise<Buffer> {
  try {
    return await encodeBatch(records, options)
  } catch (cause) {
    // More than a batch can hold: all else has been checked.
    if (!(cause instanceof RangeError)) throw cause
    const message = `${name}: ${cause.message}, which is too large.`
    throw new BrokerError(ErrorCode.MESSAGE_TOO_LARGE, message, { cause })
  }
}

/**
 * Appends a batch where it is led; resolves when it is committed.
 * @param commitMs the most that this waits for the other replicas @throws BrokerError
 */
export async function appendHere(
  broker: BrokerContext,
  partition: Partition,
  batch: Buffer,
  commitMs: number,
): Promise<number> {
  const refusal =
    appendRefusal(broker, partition, batch, PRODUCE_VERSION, Date.now()) ??
    keysRefusal(broker, partition, batch)
  if (refusal !== null) throw new BrokerError(refusal.errorCode, refusal.errorMessage)
  return submit(partition, batch, commitMs)
}

async function submit(partition: Partition, batch: Buffer, commitMs: number): Promise<number> {
  let settle: { resolve(offset: number): void; reject(error: Error): void }
  let offset = -1
  const done = new Promise<number>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const failed = (code: ErrorCode): BrokerError =>
    new BrokerError(code, `Append to ${partition.name} failed: ${errorName(code)}.`)
  const waiter = {
    onAppended(_slot: number, ring: Ring, at: number): void {
      const code = ring.words[(at >> 2) + ENTRY_ERROR] as ErrorCode
      offset = ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]!
      if (code === ErrorCode.NONE) partition.afterCommit(ring, at, waiter, 0, commitMs)
      else settle.reject(failed(code))
    },
    onCommitted(_slot: number, code: ErrorCode): void {
      if (code === ErrorCode.NONE) settle.resolve(offset)
      else settle.reject(failed(code))
    },
    onWorkerLost: (): void => settle.reject(failed(ErrorCode.KAFKA_STORAGE_ERROR)),
  }
  while (!partition.append(batch, waiter, 0)) {
    if (partition.worker.isLost) throw failed(ErrorCode.KAFKA_STORAGE_ERROR)
    await partition.worker.space()
  }
  return done
}
