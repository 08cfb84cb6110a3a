import type { Producer } from 'kafkajs'
import type { logOf } from '../../cluster/clients/verdict.ts'
import { kafkaOf, rest } from '../../lib/cluster-ledger.ts'
import type { ProcessCluster } from '../../lib/process-cluster.ts'
import type { Random } from '../../lib/random.ts'

/** A record at its place. */
export type Placed = Parameters<typeof logOf>[0][number]

const RECORDS_MAX = 20
const KEY_BYTES_MAX = 1_000
/** Some batches are large: they go past the journal. */
const LARGE = 0.02
const LARGE_KEY_BYTES = 50_000
const AFTER_ERROR_MS = 100
/** KafkaJS sends nothing, and says so by telling of no partition, while it knows of no leader. */
const UNSENT_MS = 20

/** An idempotent producer of KafkaJS with acks=all, one batch after the other to each partition, over all cuts of a topic. */
export class CutProducer {
  readonly name: string
  readonly acknowledged: Placed[] = []
  /** Errors that brokers have answered and a caller of the producer has seen. */
  readonly errors: string[] = []
  /** Sends that ended in an error of KafkaJS itself, such as "Broker not connected": nothing is known of their records. */
  unknown = 0
  /** Partitions with such a send: KafkaJS would give its sequences, which may be in the log, to the next one. */
  readonly #left = new Set<number>()
  readonly #topic: string
  readonly #partitions: number
  readonly #producer: Producer
  readonly #random: Random
  #sent = 0
  #isOver = true
  #sending: Promise<unknown> = Promise.resolve()

  constructor(
    cluster: ProcessCluster,
    { topic, partitions }: { readonly topic: string; readonly partitions: number },
    name: string,
    random: Random,
  ) {
    this.name = name
    this.#topic = topic
    this.#partitions = partitions
    this.#random = random
    const retry = { initialRetryTime: 50, maxRetryTime: 200, retries: Number.MAX_SAFE_INTEGER }
    this.#producer = kafkaOf(cluster).producer({ idempotent: true, maxInFlightRequests: 1, retry })
  }

  async start(): Promise<void> {
    await this.#producer.connect()
  }

  go(): void {
    this.#isOver = false
    const partitions = Array.from({ length: this.#partitions }, (_, partition) => partition)
    this.#sending = Promise.all(partitions.map(partition => this.#send(partition)))
  }

  async #send(partition: number): Promise<void> {
    while (!this.#isOver && !this.#left.has(partition)) {
      const messages = this.#batch(partition)
      try {
        const [told] = await this.#producer.send({ topic: this.#topic, acks: -1, messages })
        if (told === undefined) await rest(UNSENT_MS)
        else this.#acknowledge(messages, Number(told.baseOffset))
      } catch (error) {
        if ((error as Error).name === 'KafkaJSProtocolError') this.errors.push(String(error))
        else {
          this.unknown++
          this.#left.add(partition)
        }
        await rest(AFTER_ERROR_MS)
      }
    }
  }

  #acknowledge(messages: readonly Omit<Placed, 'offset'>[], first: number): void {
    messages.forEach(({ value, partition }, i) => {
      this.acknowledged.push({ value, partition, offset: first + i })
    })
  }

  #batch(partition: number) {
    const random = this.#random
    const count = 1 + random.below(RECORDS_MAX)
    const bytes = random.chance(LARGE) ? LARGE_KEY_BYTES : random.below(KEY_BYTES_MAX)
    const key = Buffer.alloc(bytes, 'k')
    const value = (): string => `${this.name}-${this.#sent++}`
    return Array.from({ length: count }, () => ({ key, value: value(), partition }))
  }

  /** Sends no more. Resolves when nothing is under way. */
  async rest(): Promise<void> {
    this.#isOver = true
    await this.#sending
  }

  async stop(): Promise<void> {
    await this.rest()
    await this.#producer.disconnect()
  }
}
