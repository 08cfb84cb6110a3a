import { makeTopic } from '../../lib/cluster-ledger.ts'
import type { ProcessCluster } from '../../lib/process-cluster.ts'
import { type ClientName, Program } from './program.ts'
import {
  type ConsumerVerdict,
  judgeConsumer,
  judgeProducer,
  logOf,
  type ProducerVerdict,
} from './verdict.ts'

const TOPIC = 'ledger'
/** Records a second of each producer. */
const RATE = 100

/** A producer and a group consumer of one client. */
export interface Pair {
  readonly name: ClientName
  readonly producer: Program
  readonly consumer: Program
}

export interface PairVerdict {
  readonly name: ClientName
  readonly acknowledged: number
  readonly errors: readonly string[]
  readonly producer: ProducerVerdict
  readonly consumer: ConsumerVerdict
}

/** What must not be, in words; nothing when all is well. Groups may read again. */
export function wrongIn({ name, errors, producer, consumer }: PairVerdict): string[] {
  const { again: _, ...reading } = consumer
  const counts = Object.entries({ ...producer, ...reading }).filter(([, count]) => count > 0)
  return [...new Set(errors), ...counts.map(([what, n]) => `${n} ${what}`)].map(
    w => `${name}: ${w}`,
  )
}

/** Producers that write to one topic of three replicas, and groups that each read all of it. */
export class Fleet implements AsyncDisposable {
  readonly topic = TOPIC
  readonly pairs: readonly Pair[]
  readonly #cluster: ProcessCluster

  private constructor(cluster: ProcessCluster, pairs: readonly Pair[]) {
    this.#cluster = cluster
    this.pairs = pairs
  }

  static async start(
    cluster: ProcessCluster,
    clients: readonly ClientName[],
    partitions: number,
    requestMs = 0,
  ): Promise<Fleet> {
    await makeTopic(cluster, TOPIC, partitions)
    const place = [cluster.bootstrap, String(requestMs), TOPIC]
    const produce = ['produce', ...place, String(partitions), String(RATE)]
    const pairs = clients.map(name => {
      const consumer = new Program(name, ['consume', ...place, `group-${name}`])
      return { name, consumer, producer: new Program(name, produce) }
    })
    const fleet = new Fleet(cluster, pairs)
    try {
      await fleet.more(RATE)
      return fleet
    } catch (error) {
      await fleet[Symbol.asyncDispose]()
      throw error
    }
  }

  get #programs(): Program[] {
    return this.pairs.flatMap(({ producer, consumer }) => [producer, consumer])
  }

  /** Resolves when each producer and each consumer has got so many more records. */
  async more(count: number): Promise<void> {
    await Promise.all(this.#programs.map(program => program.more(count)))
  }

  /** Until no partition is under-replicated. */
  async untilWhole(): Promise<void> {
    await this.#cluster.untilWhole(TOPIC)
    await this.#cluster.untilWhole('__consumer_offsets')
  }

  /** Ends all, and compares what was acknowledged and read with what a new group finds. */
  async judge(): Promise<PairVerdict[]> {
    await Promise.all(this.pairs.map(({ producer }) => producer.stop()))
    const reader = new Program('franz-go', [
      'consume',
      this.#cluster.bootstrap,
      '0',
      TOPIC,
      'reader',
    ])
    const ends = endsOf(this.pairs.map(({ producer }) => producer))
    const consumers = this.pairs.map(({ consumer }) => consumer)
    await Promise.all([reader, ...consumers].map(program => program.readTo(ends)))
    await Promise.all([reader, ...consumers].map(program => program.stop()))
    const log = logOf(reader.entries)
    return this.pairs.map(({ name, producer, consumer }) => ({
      name,
      acknowledged: producer.entries.length,
      errors: [...producer.errors, ...consumer.errors],
      producer: judgeProducer(name, producer.entries, log),
      consumer: judgeConsumer(consumer.entries, log),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) program.kill()
  }
}

/** Behind the last acknowledged record of each partition. */
function endsOf(producers: readonly Program[]): number[] {
  const ends: number[] = []
  for (const { ends: own } of producers) {
    own.forEach((end, partition) => {
      ends[partition] = Math.max(end, ends[partition] ?? 0)
    })
  }
  return ends
}
