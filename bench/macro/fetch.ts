import type { Client } from '../../src/client/client.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { BrokerProcess } from '../../test/lib/broker-process.ts'
import { type Bench, percentiles, type Row } from '../harness.ts'
import { createTopic, produceLoad } from './load.ts'

const TOPIC = 'fetch'

interface Drained {
  bytes: number
  latenciesMs: number[]
}

/** Reads one partition from its start to its end. */
async function drain(client: Client, partition: number, maxBytes: number): Promise<Drained> {
  const drained: Drained = { bytes: 0, latenciesMs: [] }
  for (let fetchOffset = 0; ; ) {
    const at = performance.now()
    const { responses } = await client.send(fetchApi, 11, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        { topic: TOPIC, partitions: [{ partition, fetchOffset, partitionMaxBytes: maxBytes }] },
      ],
    })
    drained.latenciesMs.push(performance.now() - at)
    const records = responses[0]?.partitions[0]?.records
    if (records == null || records.length === 0) return drained
    drained.bytes += records.length
    for (let i = 0; i < records.length; i += batch.batchBytes(records, i)) {
      fetchOffset = batch.lastOffset(records, i) + 1
    }
  }
}

/** Draining partitions by raw TCP, with small and large answers and several connections. */
export const fetch: Bench = async size => {
  await using broker = await BrokerProcess.start({ fromSource: size.tiny })
  const partitions = 4
  const admin = await broker.connect(1)
  await createTopic(admin, TOPIC, partitions, { 'flush.messages': '9223372036854775807' })
  await admin.close()
  const load = { topic: TOPIC, partitions, records: 64, valueBytes: 1024, acks: 1 as const }
  const batches = size.tiny ? 8 : 8_000
  await produceLoad(broker, { ...load, connections: 4, inFlight: 5, batches })
  const rows: Row[] = []
  for (const maxBytes of [64 * 1024, 1024 * 1024]) {
    for (const connections of [1, 4]) {
      const clients = await Promise.all(
        Array.from({ length: connections }, () => broker.connect(1)),
      )
      const cpu = broker.cpuSeconds
      const start = performance.now()
      const drained = await Promise.all(
        clients.map(async (client, i) => {
          const all: Drained[] = []
          for (let p = i; p < partitions; p += connections)
            all.push(await drain(client, p, maxBytes))
          return all
        }),
      )
      const seconds = (performance.now() - start) / 1000
      for (const client of clients) await client.close()
      const flat = drained.flat()
      const bytes = flat.reduce((sum, d) => sum + d.bytes, 0)
      rows.push({
        bench: 'fetch',
        parameters: `${maxBytes / 1024} KiB a partition, ${connections} conns`,
        numbers: {
          'MB/s': bytes / seconds / 1e6,
          ...percentiles(flat.flatMap(d => d.latenciesMs)),
          cpu_s: broker.cpuSeconds - cpu,
        },
      })
    }
  }
  return rows
}
