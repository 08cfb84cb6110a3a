import { CODEC_NONE } from '../../compression/codec.ts'
import { partitionOf } from '../../embedded/partitioner.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { type ProduceResponse, produceApi } from '../../protocol/messages/00-produce.ts'
import { initProducerIdApi } from '../../protocol/messages/22-init-producer-id.ts'
import { addSequence } from '../../protocol/record-batch.ts'
import { encodeBatch, type NewRecord } from '../../protocol/records.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError, expectNone, isPassing } from '../base/failure.ts'
import { plural } from '../base/output.ts'
import type { Patience } from '../base/patience.ts'

/** Bytes of records in a batch, if the topic takes as many. */
const BATCH_BYTES = 256 * 1024
/** About what a record takes beside its key, value and headers. */
const RECORD_OVERHEAD_BYTES = 32
/** Bytes gathered for all partitions together. */
const GATHERED_BYTES_MAX = 4 * 1024 * 1024
/** How long a record waits for others to share its batch. */
const LINGER_MS = 10
/** Brokers know five batches of a producer and partition again. */
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

type Answer = ProduceResponse['responses'][number]['partitionResponses'][number]

interface Batch {
  readonly records: NewRecord[]
  bytes: number
}

/** A batch as it is sent, the first time and again. */
interface Sealed {
  readonly partition: number
  /** Batches of a producer in the order in which they were sealed. */
  readonly number: number
  readonly bytes: Buffer
  readonly count: number
}

/**
 * Sends records to one topic, in order for each partition. It is idempotent (KIP-98), as producers are by default: what is
 * sent again after a failure is not written twice.
 */
export class Producer {
  readonly #cluster: Cluster
  readonly #patience: Patience
  readonly #topic: TopicMetadata
  readonly #options: ProducerOptions
  readonly #leaders: Map<number, number>
  readonly #inFlight = new Set<Promise<void>>()
  readonly #sequences = new Map<number, number>()
  /** Partitions whose leader knows this producer. */
  readonly #known = new Set<number>()
  #identity: Promise<{ producerId: number; producerEpoch: number }> | undefined
  #batches = new Map<number, Batch>()
  #gatheredBytes = 0
  #sealed = 0
  /** What has to be sent again before anything new is. */
  #late: Sealed[] = []
  #sending: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #failure: Error | undefined
  /** Where records without a key go until the next batch. */
  #sticky = 0
  /** Records that the broker has acknowledged. */
  acknowledged = 0

  constructor(
    cluster: Cluster,
    patience: Patience,
    topic: TopicMetadata,
    options: ProducerOptions,
  ) {
    this.#cluster = cluster
    this.#patience = patience
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
    while (this.#inFlight.size > 0) {
      await Promise.all(this.#inFlight)
      await this.#sending
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #partitionFor(key: Uint8Array | null | undefined): number {
    const { partitions } = this.#topic
    if (key) return partitionOf(key, partitions.length)
    return partitions[this.#sticky % partitions.length]!.partitionIndex
  }

  async #send(batches: ReadonlyMap<number, Batch>): Promise<void> {
    const sealed: Sealed[] = []
    for (const [partition, { records }] of batches)
      sealed.push(await this.#seal(partition, records))
    const byLeader = new Map<number, Sealed[]>()
    // A broker takes any first sequence of a producer: what comes behind one that failed would be taken for the first.
    if (sealed.some(({ partition }) => !this.#known.has(partition))) {
      await Promise.all(this.#inFlight)
    }
    while (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight)
    await this.#sendLate()
    for (const batch of sealed) {
      const leader = this.#leaders.get(batch.partition)!
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), batch])
    }
    for (const [leader, ofLeader] of byLeader) {
      while (this.#inFlight.size >= IN_FLIGHT_MAX) await Promise.race(this.#inFlight)
      if (this.#failure !== undefined) throw this.#failure
      const done = this.#request(leader, ofLeader)
        .catch(error => this.#takeFailure(error, ofLeader))
        .finally(() => this.#inFlight.delete(done))
      this.#inFlight.add(done)
    }
  }

  async #seal(partition: number, records: readonly NewRecord[]): Promise<Sealed> {
    this.#identity ??= this.#patience.through(() => this.#identify())
    const baseSequence = this.#sequences.get(partition) ?? 0
    const codec = this.#options.codec ?? CODEC_NONE
    const bytes = await encodeBatch(records, { codec, baseSequence, ...(await this.#identity) })
    this.#sequences.set(partition, addSequence(baseSequence, records.length))
    return { partition, number: this.#sealed++, bytes, count: records.length }
  }

  async #identify(): Promise<{ producerId: number; producerEpoch: number }> {
    const request = { transactionalId: null, transactionTimeoutMs: this.#cluster.timeoutMs }
    const answer = await this.#cluster.send(this.#cluster.any, initProducerIdApi, request)
    expectNone(answer.errorCode, 'producer id')
    return answer
  }

  async #request(leader: number, batches: readonly Sealed[]): Promise<void> {
    const byPartition = new Map(batches.map(batch => [batch.partition, batch]))
    for (const answer of await this.#exchange(leader, batches)) {
      const batch = byPartition.get(answer.index)!
      try {
        this.#take(answer, batch)
      } catch (error) {
        const isBehind = this.#late.some(late => late.partition === batch.partition)
        const isOutOfOrder = answer.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        // The one in front of it has failed: both are sent again.
        if (isOutOfOrder && isBehind) this.#late.push(batch)
        else this.#takeFailure(error, [batch])
      }
    }
  }

  async #exchange(leader: number, batches: readonly Sealed[]): Promise<Answer[]> {
    const client = await this.#cluster.broker(leader)
    const partitionData = batches.map(({ partition, bytes }) => {
      return { index: partition, records: bytes }
    })
    const request = {
      acks: ALL,
      timeoutMs: this.#cluster.timeoutMs,
      topicData: [{ name: this.#topic.name!, partitionData }],
    }
    const answer = await this.#cluster.send(client, produceApi, request, NAMES_VERSION_MAX)
    return answer.responses[0]!.partitionResponses
  }

  /** @throws CliError */
  #take({ index, errorCode, errorMessage }: Answer, { count }: Sealed): void {
    // What was sent again was there already.
    if (errorCode !== ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
      expectNone(errorCode, `topic ${this.#topic.name} partition ${index}`, errorMessage)
    }
    this.#known.add(index)
    this.acknowledged += count
    this.#patience.goesOn()
  }

  /** What may succeed later is sent again; anything else ends it. */
  #takeFailure(error: unknown, batches: readonly Sealed[]): void {
    if (!isPassing(error)) {
      this.#fail(error as Error)
      return
    }
    this.#late.push(...batches)
    // At once: a person may have nothing more to type for long.
    this.#sending = this.#sending.then(() => this.#sendLate())
    this.#sending.catch(this.#fail)
  }

  /** One batch at a time, in order, when nothing else is under way: so none comes before the one in front of it. */
  async #sendLate(): Promise<void> {
    if (this.#late.length === 0) return
    await Promise.all(this.#inFlight)
    const late = this.#late.sort((a, b) => a.number - b.number)
    this.#late = []
    for (const batch of late) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#patience.through(() => this.#sendAgain(batch))
    }
  }

  async #sendAgain(batch: Sealed): Promise<void> {
    const { partitions } = await this.#cluster.topic(this.#topic.name!, [batch.partition])
    const { leaderId } = partitions[0]!
    this.#leaders.set(batch.partition, leaderId)
    const [answer] = await this.#exchange(leaderId, [batch])
    this.#take(answer!, batch)
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
