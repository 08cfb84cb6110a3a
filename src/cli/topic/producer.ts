import { CODEC_NONE } from '../../compression/codec.ts'
import { partitionOf } from '../../embedded/partitioner.ts'
import { produceApi } from '../../protocol/messages/00-produce.ts'
import { encodeBatch, type NewRecord } from '../../protocol/records.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { plural } from '../base/output.ts'

/** Bytes of records in a batch, if the topic takes as many. */
const BATCH_BYTES = 256 * 1024
/** About what a record takes beside its key, value and headers. */
const RECORD_OVERHEAD_BYTES = 32
/** Bytes gathered for all partitions together. */
const GATHERED_BYTES_MAX = 4 * 1024 * 1024
/** How long a record waits for others to share its batch. */
const LINGER_MS = 10
const IN_FLIGHT_MAX = 4
/** Produce's last version for names; later ones want ids. */
const NAMES_VERSION_MAX = 12
const ALL = -1

export interface ProducerOptions {
  readonly codec?: number
  /** max.message.bytes of the topic. */
  readonly messageBytesMax: number
  /** Called with the first failure as soon as it is known; every later call rejects with it. */
  readonly onFailure: (error: Error) => void
}

interface Batch {
  readonly records: NewRecord[]
  bytes: number
}

/** Sends records to one topic, in order for each partition. Nothing is sent twice: a failure ends it. */
export class Producer {
  readonly #cluster: Cluster
  readonly #topic: TopicMetadata
  readonly #options: ProducerOptions
  readonly #leaders: ReadonlyMap<number, number>
  readonly #inFlight = new Set<Promise<void>>()
  #batches = new Map<number, Batch>()
  #gatheredBytes = 0
  #sending: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #failure: Error | undefined
  /** Where records without a key go until the next batch. */
  #sticky = 0
  /** Records that the broker has acknowledged. */
  acknowledged = 0

  constructor(cluster: Cluster, topic: TopicMetadata, options: ProducerOptions) {
    this.#cluster = cluster
    this.#topic = topic
    this.#options = options
    this.#leaders = new Map(topic.partitions.map(p => [p.partitionIndex, p.leaderId]))
  }

  /** Resolves when there is room for more. @param asked the partition, if it is not for the key to decide */
  async add(record: NewRecord, asked?: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const partition = asked ?? this.#partitionFor(record.key)
    if (!this.#leaders.has(partition)) {
      const count = this.#topic.partitions.length
      throw new CliError(
        `topic ${this.#topic.name} has ${plural(count, 'partition')}, no ${partition}`,
      )
    }
    const bytes = bytesOf(record)
    const max = Math.min(BATCH_BYTES, this.#options.messageBytesMax)
    const gathered = this.#batches.get(partition)
    const isFull = gathered !== undefined && gathered.bytes + bytes > max
    if (isFull || this.#gatheredBytes + bytes > GATHERED_BYTES_MAX) await this.flush()
    const batch = this.#batches.get(partition) ?? { records: [], bytes: 0 }
    this.#batches.set(partition, batch)
    batch.records.push(record)
    batch.bytes += bytes
    this.#gatheredBytes += bytes
    this.#timer ??= setTimeout(() => void this.flush().catch(this.#fail), LINGER_MS)
  }

  /** Resolves when all that was added has been handed to the connections. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batches = this.#batches
    this.#batches = new Map()
    this.#gatheredBytes = 0
    this.#sticky++
    if (batches.size > 0) this.#sending = this.#sending.then(() => this.#send(batches))
    return this.#sending
  }

  /** Resolves when all is acknowledged. */
  async close(): Promise<void> {
    await this.flush()
    await Promise.all(this.#inFlight)
    if (this.#failure !== undefined) throw this.#failure
  }

  #partitionFor(key: Uint8Array | null | undefined): number {
    const { partitions } = this.#topic
    if (key) return partitionOf(key, partitions.length)
    return partitions[this.#sticky % partitions.length]!.partitionIndex
  }

  async #send(batches: ReadonlyMap<number, Batch>): Promise<void> {
    const byLeader = new Map<number, { index: number; records: Buffer; count: number }[]>()
    for (const [index, { records }] of batches) {
      const leader = this.#leaders.get(index)!
      const encoded = await encodeBatch(records, { codec: this.#options.codec ?? CODEC_NONE })
      const ofLeader = byLeader.get(leader) ?? []
      ofLeader.push({ index, records: encoded, count: records.length })
      byLeader.set(leader, ofLeader)
    }
    for (const [leader, partitions] of byLeader) {
      while (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight)
      if (this.#failure !== undefined) throw this.#failure
      const client = await this.#cluster.broker(leader)
      const partitionData = partitions.map(({ index, records }) => ({ index, records }))
      const request = {
        acks: ALL,
        timeoutMs: this.#cluster.timeoutMs,
        topicData: [{ name: this.#topic.name!, partitionData }],
      }
      const counts = new Map(partitions.map(p => [p.index, p.count]))
      const sent = this.#cluster.send(client, produceApi, request, NAMES_VERSION_MAX)
      const done = sent
        .then(answer => this.#take(answer.responses[0]!.partitionResponses, counts))
        .catch(this.#fail)
        .finally(() => this.#inFlight.delete(done))
      this.#inFlight.add(done)
    }
  }

  #take(
    answers: readonly { index: number; errorCode: number; errorMessage: string | null }[],
    counts: ReadonlyMap<number, number>,
  ): void {
    for (const { index, errorCode } of answers) {
      if (errorCode === 0) this.acknowledged += counts.get(index) ?? 0
    }
    for (const { index, errorCode, errorMessage } of answers) {
      expectNone(errorCode, `topic ${this.#topic.name} partition ${index}`, errorMessage)
    }
  }

  readonly #fail = (error: Error): void => {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#options.onFailure(error)
  }
}

function bytesOf({ key, value, headers = [] }: NewRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) {
    bytes += RECORD_OVERHEAD_BYTES + header.key.length + (header.value?.length ?? 0)
  }
  return bytes
}
