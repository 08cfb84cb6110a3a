import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '../../src/client/client.ts'
import { deleteTopicsApi } from '../../src/protocol/messages/20-delete-topics.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { BrokerProcess } from '../../test/lib/broker-process.ts'
import { produceOne } from '../../test/lib/produce-one.ts'
import { type Bench, percentiles, type Row } from '../harness.ts'
import { createTopic } from './load.ts'

const LARGE = { partitions: 1_000, aloneMs: 5_000 }
const TINY = { partitions: 10, aloneMs: 50 }
const AT_ONCE = 100
const TIMEOUT_MS = 60_000

/**
 * What a producer waits beside commands about many partitions of its worker: one record a request, one after the other, to a
 * topic that is not concerned.
 */
export const commands: Bench = async ({ tiny }) => {
  const { partitions, aloneMs } = tiny ? TINY : LARGE
  // Retention looks every second.
  const overrides = ['odradek.partition.workers=1', 'log.retention.check.interval.ms=1000']
  await using broker = await BrokerProcess.start({ fromSource: tiny, overrides })
  const client = await broker.connect(1)
  const other = await broker.connect(AT_ONCE)
  const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.alloc(100) }])
  await createTopic(client, 'other', 1, {})
  const rows: Row[] = []
  const beside = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    rows.push(await measured(client, records, `beside ${what}`, work))
  }
  await measured(client, records, 'warm-up', () => delay(aloneMs / 2))
  await beside('nothing', () => delay(aloneMs))
  await beside(`the creation of ${partitions} partitions`, () =>
    createTopic(other, 'many', partitions, {}),
  )
  await writeAll(other, 'many', partitions, records)
  await beside(`DeleteRecords of ${partitions}`, () => deleteRecords(other, 'many', partitions))
  await beside(`the deletion of ${partitions}`, () =>
    other.send(deleteTopicsApi, 5, { topicNames: ['many'], timeoutMs: TIMEOUT_MS }),
  )
  await createTopic(other, 'short', partitions, { 'retention.ms': '500' })
  await writeAll(other, 'short', partitions, records)
  await beside(`retention of ${partitions}`, () => delay(tiny ? 50 : 3_000))
  await client.close()
  await other.close()
  return rows
}

async function measured(
  client: Client,
  records: Buffer,
  parameters: string,
  work: () => Promise<unknown>,
): Promise<Row> {
  const latencies: number[] = []
  let isOver = false
  const producing = (async () => {
    while (!isOver) {
      const sent = performance.now()
      await produceOne(client, 'other', 0, records)
      latencies.push(performance.now() - sent)
      await delay(1)
    }
  })()
  const started = performance.now()
  await work()
  const ms = performance.now() - started
  isOver = true
  await producing
  const numbers = { ...percentiles(latencies), max_ms: Math.max(...latencies), took_ms: ms }
  return { bench: 'commands', parameters, numbers }
}

async function writeAll(client: Client, topic: string, partitions: number, records: Buffer) {
  for (let from = 0; from < partitions; from += AT_ONCE) {
    const indexes = Array.from({ length: Math.min(AT_ONCE, partitions - from) }, (_, i) => from + i)
    await Promise.all(indexes.map(index => produceOne(client, topic, index, records)))
  }
}

function deleteRecords(client: Client, name: string, count: number): Promise<unknown> {
  const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
    partitionIndex,
    offset: -1,
  }))
  const topics = [{ name, partitions }]
  return client.send(deleteRecordsApi, 2, { timeoutMs: TIMEOUT_MS, topics })
}
