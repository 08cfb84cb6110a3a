import type { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import type { BrokerProcess } from '../../test/lib/broker-process.ts'
import { produceOne } from '../../test/lib/produce-one.ts'

export interface Load {
  readonly topic: string
  readonly partitions: number
  readonly records: number
  readonly valueBytes: number
  readonly connections: number
  readonly inFlight: number
  readonly batches: number
  readonly acks: 1 | -1
}

export interface LoadResult {
  readonly seconds: number
  readonly bytes: number
  readonly latenciesMs: number[]
  readonly cpuSeconds: number
}

export async function createTopic(
  client: Client,
  name: string,
  numPartitions: number,
  configs: Readonly<Record<string, string>>,
  replicationFactor = 1,
): Promise<void> {
  const { topics } = await client.send(createTopicsApi, 7, {
    topics: [
      {
        name,
        numPartitions,
        replicationFactor,
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: 30_000,
  })
  const error = topics[0]?.errorMessage
  if (topics[0]?.errorCode !== 0) throw new Error(`create ${name}: ${error}`)
}

/** Produces pre-encoded batches over several connections, each keeping so many requests in flight. */
export async function produceLoad(broker: BrokerProcess, load: Load): Promise<LoadResult> {
  const value = Buffer.alloc(load.valueBytes, 'odradek ')
  const records = await encodeBatch(
    Array.from({ length: load.records }, () => ({ timestamp: Date.now(), value })),
  )
  const clients = await Promise.all(
    Array.from({ length: load.connections }, () => broker.connect(load.inFlight)),
  )
  const latenciesMs: number[] = []
  const cpu = broker.cpuSeconds
  const start = performance.now()
  let sent = 0
  const one = async (client: Client): Promise<void> => {
    while (sent < load.batches) {
      const index = sent++ % load.partitions
      const at = performance.now()
      await produceOne(client, load.topic, index, records, load.acks)
      latenciesMs.push(performance.now() - at)
    }
  }
  await Promise.all(
    clients.flatMap(client => Array.from({ length: load.inFlight }, () => one(client))),
  )
  const seconds = (performance.now() - start) / 1000
  for (const client of clients) await client.close()
  const bytes = records.length * load.batches
  return { seconds, bytes, latenciesMs, cpuSeconds: broker.cpuSeconds - cpu }
}
