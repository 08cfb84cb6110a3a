import { brokerValue } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { NewRecord } from '../protocol/records.ts'
import type { Topic } from '../topics/registry.ts'
import { isInternalTopic } from '../topics/topic-names.ts'
import { type Access, CLOSED } from './access.ts'
import { checkRecords, checkTopicName } from './arguments.ts'
import { partitionOf } from './partitioner.ts'

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

/** Whether an append would have failed also in a broker that goes on. */
const isOfRecords = (error: unknown): boolean =>
  error instanceof TypeError ||
  (error instanceof BrokerError && error.errorCode !== ErrorCode.KAFKA_STORAGE_ERROR)

const bytesOf = (value: Bytes | null | undefined): Uint8Array | null =>
  typeof value === 'string' ? Buffer.from(value) : (value ?? null)

/**
 * Appends from inside the process: where the partition is led here without a socket, with the same checks, ring, journal and
 * durability as Produce.
 * @internal
 */
export class Appender {
  readonly #access: Access
  readonly #closed: AbortSignal
  readonly #turns = new Map<string, number>()

  /** @param closed aborted when the broker begins to stop */
  constructor(access: Access, closed: AbortSignal) {
    this.#access = access
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
    const now = Date.now()
    await Promise.all(
      [...byPartition].map(async ([index, which]) => {
        const batch = which.map(i => toNewRecord(records[i]!, now))
        const base = await this.#access.partition(topic, index).append(batch)
        which.forEach((i, n) => {
          results[i] = { partition: index, offset: base + n }
        })
      }),
    )
    return results
  }

  async #topic(name: string): Promise<Topic> {
    const { registry, configs } = this.#access.broker
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
