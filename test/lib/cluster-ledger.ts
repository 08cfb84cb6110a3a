import kafkajs, {
  type IResourceConfigEntry,
  type ITopicConfig,
  type Kafka,
  type Producer,
} from 'kafkajs'
import { Client } from '../../src/client/client.ts'
import { alterPartitionReassignmentsApi } from '../../src/protocol/messages/45-alter-partition-reassignments.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import type { ProcessCluster } from './process-cluster.ts'
import { produceOne } from './produce-one.ts'

const LOOK_MS = 20
const WAIT_MS = 30_000

export const rest = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export const kafkaOf = (cluster: ProcessCluster): Kafka =>
  new kafkajs.Kafka({
    brokers: cluster.bootstrap.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 300 },
    requestTimeout: 3_000,
  })

/** Makes a topic by KafkaJS, and waits until all replicas are in sync. */
async function make(cluster: ProcessCluster, config: ITopicConfig): Promise<void> {
  const admin = kafkaOf(cluster).admin()
  await admin.connect()
  await admin.createTopics({ topics: [config] })
  await admin.disconnect()
  await cluster.untilWhole(config.topic)
}

export const makeTopic = (
  cluster: ProcessCluster,
  topic: string,
  numPartitions = 1,
): Promise<void> => make(cluster, { topic, numPartitions, replicationFactor: 3 })

/** One partition on these brokers, led by the first. */
export async function makeTopicOn(
  cluster: ProcessCluster,
  topic: string,
  replicas: number[],
  configEntries: IResourceConfigEntry[] = [],
): Promise<void> {
  await make(cluster, { topic, configEntries, replicaAssignment: [{ partition: 0, replicas }] })
  await cluster.until(topic, ([p]) => p!.leaderId === replicas[0])
}

/** Has these brokers be the replicas of its partition, in this order; it is under way when this resolves. */
export async function move(
  cluster: ProcessCluster,
  topic: string,
  replicas: readonly number[],
): Promise<void> {
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, replicas }] }]
  const { port } = cluster.members.find(({ broker }) => broker !== null)!
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const request = { timeoutMs: WAIT_MS, topics }
  const { errorCode } = await client.send(alterPartitionReassignmentsApi, 0, request)
  if (errorCode !== 0) throw new Error(`a reassignment was answered error ${errorCode}`)
}

const LARGE = Buffer.alloc(512 * 1024, 'x')

/** So many records of 512 KiB to partition 0, one after the other. */
export async function writeLarge(
  cluster: ProcessCluster,
  topic: string,
  count: number,
): Promise<void> {
  const [first] = await cluster.partitions(topic)
  const { port } = cluster.member(first!.leaderId)
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const records = await encodeBatch([{ timestamp: Date.now(), value: LARGE }])
  for (let i = 0; i < count; i++) await produceOne(client, topic, 0, records)
}

/** An idempotent producer of KafkaJS with acks=all that sends one record after the other, and what was acknowledged to it. */
export class Ledger {
  readonly acknowledged: string[] = []
  /** Errors that a caller of the producer has seen. */
  readonly errors: string[] = []
  /** The longest time between two acknowledgements since it was set to 0. */
  gapMs = 0
  #lastAt = performance.now()
  #isOver = false
  #sent = 0
  readonly #topic: string
  readonly #producer: Producer
  #sending: Promise<void> = Promise.resolve()

  private constructor(topic: string, producer: Producer) {
    this.#topic = topic
    this.#producer = producer
  }

  static async start(cluster: ProcessCluster, topic: string): Promise<Ledger> {
    const producer = kafkaOf(cluster).producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const ledger = new Ledger(topic, producer)
    ledger.#sending = ledger.#send()
    await ledger.more(1)
    return ledger
  }

  async #send(): Promise<void> {
    while (!this.#isOver) {
      const value = String(this.#sent++)
      try {
        const messages = [{ value, partition: 0 }]
        await this.#producer.send({ topic: this.#topic, acks: -1, messages })
        this.acknowledged.push(value)
      } catch (error) {
        this.errors.push(String(error))
        await rest(100)
      }
      const now = performance.now()
      this.gapMs = Math.max(this.gapMs, now - this.#lastAt)
      this.#lastAt = now
    }
  }

  resetGap(): void {
    this.gapMs = 0
    this.#lastAt = performance.now()
  }

  /** Resolves when so many more are acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count
    const deadline = Date.now() + WAIT_MS
    while (this.acknowledged.length < wanted) {
      if (Date.now() > deadline) throw new Error(`nothing is acknowledged: ${this.errors.at(-1)}`)
      await rest(LOOK_MS)
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#sending
    await this.#producer.disconnect()
  }
}

/** What a new consumer group of KafkaJS finds in a topic, up to so many records. */
export async function readAll(
  cluster: ProcessCluster,
  topic: string,
  count: number,
  groupId = `reader-${topic}`,
): Promise<string[]> {
  const consumer = kafkaOf(cluster).consumer({ groupId })
  const found: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => void found.push(message.value!.toString()),
  })
  const deadline = Date.now() + WAIT_MS
  while (found.length < count && Date.now() < deadline) await rest(LOOK_MS)
  await consumer.disconnect()
  return found
}

/** Everything acknowledged is there, once, in order. Values of sends that ended in an error may be there, too. */
export function judge(acknowledged: readonly string[], found: readonly string[]) {
  const there = new Set(found)
  const lost = acknowledged.filter(value => !there.has(value))
  const numbers = found.map(Number)
  const isInOrder = numbers.every((value, i) => i === 0 || value > numbers[i - 1]!)
  return { lost, doubled: found.length - there.size, isInOrder }
}
