import { randomBytes } from 'node:crypto'
import type { Client } from '../../client/client.ts'
import { produceApi } from '../../protocol/messages/00-produce.ts'
import { encodeBatch } from '../../protocol/records.ts'
import type { Cluster, PartitionMetadata, TopicMetadata } from '../base/cluster.ts'
import { messageBytesMax } from '../base/configs.ts'
import { expectNone, usage } from '../base/failure.ts'
import { showProgress } from '../base/progress.ts'
import type { Stop } from '../base/stop.ts'
import { Connections } from './connections.ts'
import type { Tally } from './tally.ts'
import { type Amount, sideBySide, type Turn, Turns } from './turns.ts'

/** Produce's last version for names; later ones want ids. */
const NAMES_VERSION_MAX = 12

export interface ProduceLoad {
  readonly amount: Amount
  /** Bytes of a value. */
  readonly size: number
  /** Records. */
  readonly batch: number
  readonly connections: number
  readonly inFlight: number
  readonly acks: number
  readonly codec: number
  /** Records a second; as fast as it goes if there is none. */
  readonly rate: number | undefined
}

/** Each connection keeps so many batches under way; partitions take turns. */
export async function benchProduce(
  cluster: Cluster,
  topic: TopicMetadata,
  load: ProduceLoad,
  stop: Stop,
  newTally: () => Tally,
): Promise<void> {
  const batches = await Batches.encode(load)
  const max = await messageBytesMax(cluster, topic.name!)
  if (batches.whole.length > max) {
    throw usage(
      `bench: a batch is of ${batches.whole.length} bytes, and topic ${topic.name} takes up to ${max} (max.message.bytes); lower --size or --batch`,
    )
  }
  const { connections: count, inFlight } = load
  await using connections = await Connections.open(cluster, topic, count, inFlight)
  const tally = newTally()
  using _progress = showProgress(() => tally.done(load.amount))
  const turns = new Turns(load.amount, load.batch, load.rate, stop)
  let next = 0
  const sendOne = async (client: Client, partition: PartitionMetadata, turn: Turn) => {
    const records = batches.of(turn.records)
    const { partitionIndex: index } = partition
    const request = {
      acks: load.acks,
      timeoutMs: cluster.timeoutMs,
      topicData: [{ name: topic.name!, partitionData: [{ index, records }] }],
    }
    const answer = await cluster.send(client, produceApi, request, NAMES_VERSION_MAX)
    const { errorCode, errorMessage } = answer.responses[0]!.partitionResponses[0]!
    expectNone(errorCode, `topic ${topic.name} partition ${index}`, errorMessage)
    tally.add(turn.records, records.length, turn.dueMs)
  }
  const lanes = connections.all.flatMap(toLeaders =>
    Array.from({ length: inFlight }, async () => {
      for (let turn = await turns.next(); turn !== null; turn = await turns.next()) {
        const partition = topic.partitions[next++ % topic.partitions.length]!
        await sendOne(toLeaders.get(partition.leaderId)!, partition, turn)
      }
    }),
  )
  await sideBySide(lanes, stop)
}

/** Encoded once: it is the cluster that is measured, not how fast this machine compresses. */
class Batches {
  readonly whole: Buffer
  readonly #records: number
  /** For the records that do not fill a batch. */
  readonly #rest: Buffer | null

  private constructor(whole: Buffer, records: number, rest: Buffer | null) {
    this.whole = whole
    this.#records = records
    this.#rest = rest
  }

  static async encode({ size, batch, codec, amount }: ProduceLoad): Promise<Batches> {
    const timestamp = Date.now()
    const ofRecords = (count: number): Promise<Buffer> => {
      const records = Array.from({ length: count }, () => ({ timestamp, value: randomHex(size) }))
      return encodeBatch(records, { codec })
    }
    const rest = (amount.records ?? 0) % batch
    return new Batches(await ofRecords(batch), batch, rest === 0 ? null : await ofRecords(rest))
  }

  of(records: number): Buffer {
    return records === this.#records ? this.whole : this.#rest!
  }
}

/** Compresses to about half, as many a text does. */
const randomHex = (bytes: number): Buffer =>
  Buffer.from(randomBytes(Math.ceil(bytes / 2)).toString('hex')).subarray(0, bytes)
