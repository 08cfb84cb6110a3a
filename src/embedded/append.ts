import { appendRefusal, keysRefusal } from '../apis/append-checks.ts'
import type { BrokerContext } from '../broker-context.ts'
import { brokerValue } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode, errorName } from '../protocol/error-codes.ts'
import { encodeBatch, type NewRecord } from '../protocol/records.ts'
import { ENTRY_BASE_OFFSET_F64, ENTRY_ERROR } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { Partition } from '../topics/partition.ts'
import { ledHere, type Topic } from '../topics/registry.ts'
import { isInternalTopic } from '../topics/topic-names.ts'
import { checkRecords, checkTopicName } from './arguments.ts'
import { partitionOf } from './partitioner.ts'

/** The newest Produce version: what embedded appends may use. */
const PRODUCE_VERSION = 13

export type Bytes = string | Uint8Array

/** A record to append; texts are stored as UTF-8. */
export interface AppendRecord {
  readonly key?: Bytes | null
  readonly value?: Bytes | null
  readonly headers?: Readonly<Record<string, Bytes | null>>
  /** ms since 1970; now by default. */
  readonly timestamp?: number
  /** By default by the key's hash, as Java clients do, or the topic's partitions in turn. */
  readonly partition?: number
}

/** Where a record is. */
export interface Appended {
  readonly partition: number
  readonly offset: number
}

/** What is said to whoever asks for something after `close`. */
export const CLOSED = 'The broker is closed.'

/** Whether an append would have failed also in a broker that goes on. */
const isOfRecords = (error: unknown): boolean =>
  error instanceof TypeError ||
  (error instanceof BrokerError && error.errorCode !== ErrorCode.KAFKA_STORAGE_ERROR)

const bytesOf = (value: Bytes | null | undefined): Uint8Array | null =>
  typeof value === 'string' ? Buffer.from(value) : (value ?? null)

/**
 * Appends from inside the process: no socket, the same checks, ring, journal and durability as Produce.
 * @internal
 */
export class Appender {
  readonly #broker: BrokerContext
  readonly #closed: AbortSignal
  readonly #turns = new Map<string, number>()

  /** @param closed aborted when the broker begins to stop */
  constructor(broker: BrokerContext, closed: AbortSignal) {
    this.#broker = broker
    this.#closed = closed
  }

  /**
   * What is under way when the broker stops is done, or ends like what comes after it.
   * @throws TypeError for what is no record, BrokerError, Error if the broker is closed; of several partitions some may have been appended then
   */
  async append(topicName: string, records: readonly AppendRecord[]): Promise<Appended[]> {
    if (this.#closed.aborted) throw new Error(CLOSED)
    try {
      return await this.#append(topicName, records)
    } catch (error) {
      if (!this.#closed.aborted || isOfRecords(error)) throw error
      throw new Error(CLOSED, { cause: error })
    }
  }

  async #append(topicName: string, records: readonly AppendRecord[]): Promise<Appended[]> {
    checkTopicName(topicName)
    checkRecords(records)
    if (records.length === 0) return []
    const topic = await this.#topic(topicName)
    const turn = this.#turns.get(topicName) ?? 0
    this.#turns.set(topicName, turn + 1)
    const byPartition = new Map<number, number[]>()
    records.forEach((record, i) => {
      const partition = choosePartition(record, topic, turn)
      const list = byPartition.get(partition)
      if (list === undefined) byPartition.set(partition, [i])
      else list.push(i)
    })
    const results: Appended[] = new Array(records.length)
    await Promise.all(
      [...byPartition].map(async ([index, which]) => {
        const base = await this.#appendBatch(
          ledHere(this.#broker.registry, topic, index),
          which.map(i => records[i]!),
        )
        which.forEach((i, n) => {
          results[i] = { partition: index, offset: base + n }
        })
      }),
    )
    return results
  }

  async #topic(name: string): Promise<Topic> {
    const { registry, configs } = this.#broker
    if (isInternalTopic(name)) {
      throw new BrokerError(ErrorCode.INVALID_TOPIC_EXCEPTION, `Only brokers write to ${name}.`)
    }
    const known = registry.topic(name)
    if (known !== undefined) return known
    if (!brokerValue('auto.create.topics.enable', configs.view)) {
      throw new BrokerError(
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        `Topic '${name}' does not exist, and auto.create.topics.enable is false.`,
      )
    }
    try {
      return await registry.create(name, brokerValue('num.partitions', configs.view), {})
    } catch (error) {
      const created = registry.topic(name)
      if (created !== undefined) return created
      throw error
    }
  }

  async #encode(
    records: readonly AppendRecord[],
    partition: Partition,
    now: number,
  ): Promise<Buffer> {
    try {
      return await encodeBatch(records.map(record => toNewRecord(record, now)))
    } catch (cause) {
      // More than a batch can hold: all else has been checked.
      if (!(cause instanceof RangeError)) throw cause
      const message = `${partition.name}: ${cause.message}, which is too large.`
      throw new BrokerError(ErrorCode.MESSAGE_TOO_LARGE, message, { cause })
    }
  }

  async #appendBatch(partition: Partition, records: readonly AppendRecord[]): Promise<number> {
    const now = Date.now()
    const batch = await this.#encode(records, partition, now)
    const refusal =
      appendRefusal(this.#broker, partition, batch, PRODUCE_VERSION, now) ??
      keysRefusal(this.#broker, partition, batch)
    if (refusal !== null) throw new BrokerError(refusal.errorCode, refusal.errorMessage)
    return submit(partition, batch)
  }
}

/** What is not on all in-sync replicas by then may be or not: as request.timeout.ms of Kafka's producers. */
const COMMIT_MS_MAX = 30_000

async function submit(partition: Partition, batch: Buffer): Promise<number> {
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
      if (code === ErrorCode.NONE) partition.afterCommit(ring, at, waiter, 0, COMMIT_MS_MAX)
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

function toNewRecord(record: AppendRecord, now: number): NewRecord {
  const headers = Object.entries(record.headers ?? {}).map(([key, value]) => ({
    key,
    value: bytesOf(value),
  }))
  return {
    timestamp: record.timestamp ?? now,
    key: bytesOf(record.key),
    value: bytesOf(record.value),
    headers,
  }
}

function choosePartition(record: AppendRecord, topic: Topic, turn: number): number {
  const count = topic.partitionCount
  const { partition } = record
  if (partition !== undefined) {
    if (!Number.isInteger(partition) || partition < 0 || partition >= count) {
      const message = `Topic '${topic.name}' has partitions 0 to ${count - 1}, not ${partition}.`
      throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    }
    return partition
  }
  const key = bytesOf(record.key)
  return key === null ? turn % count : partitionOf(key, count)
}
