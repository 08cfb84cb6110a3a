import { setTimeout as delay } from 'node:timers/promises'
import { Latencies } from '../../src/cli/bench/latencies.ts'
import type { Client } from '../../src/client/client.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { produceOne } from '../../test/lib/produce-one.ts'
import { connect, cpuSeconds, makeTopic, type Target } from './target.ts'

const PARTITIONS = 6
const VALUE_BYTES = 100
/** Behind the value of a record without headers stands their count. */
const TIME_FROM_END = 9
/** Not counted: until both sides run warm. */
const WARM_UP_MS = 3_000
const WAIT_MS = 500
/** Until a new topic has its leaders. */
const LED_MS_MAX = 2_000

export interface TailSize {
  /** Requests of one record a second. */
  readonly rate: number
  readonly consumers: number
  readonly seconds: number
}

/** A steady producer, and consumers that keep up: how long a record takes from its sending to them, and what it costs the broker. */
export async function measureTail(
  target: Target,
  { rate, consumers, seconds }: TailSize,
  topic: string,
): Promise<Record<string, number>> {
  await makeTopic(target, topic, PARTITIONS)
  const latencies = new Latencies()
  const counted = performance.now() + LED_MS_MAX + WARM_UP_MS
  const end = counted + seconds * 1000
  const onRecord = (sentAt: number): void => {
    if (sentAt >= counted) latencies.add(performance.now() - sentAt)
  }
  const readers = Array.from({ length: consumers }, async () => {
    await using client = await connect(target)
    await follow(client, topic, end, onRecord)
  })
  await using producer = await connect(target)
  await untilLed(producer, topic)
  const producing = produce(producer, topic, rate, end)
  await delay(counted - performance.now())
  const cpu = cpuSeconds(target)
  await producing
  const used = cpuSeconds(target) - cpu
  await Promise.all(readers)
  return {
    records: latencies.count,
    p50_ms: latencies.at(0.5),
    p99_ms: latencies.at(0.99),
    'cpu_%': (used / seconds) * 100,
  }
}

async function untilLed(client: Client, topic: string): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; ) {
    try {
      const value = Buffer.alloc(VALUE_BYTES)
      const records = await encodeBatch([{ timestamp: Date.now(), value }])
      await produceOne(client, topic, partition, records)
      partition++
    } catch {
      await delay(20) // Kafka makes a topic before it leads it
    }
  }
}

async function produce(client: Client, topic: string, rate: number, end: number): Promise<void> {
  const value = Buffer.alloc(VALUE_BYTES, 'odradek ')
  const start = performance.now()
  const open = new Set<Promise<void>>()
  for (let sent = 0; performance.now() < end; sent++) {
    while (performance.now() < start + (sent * 1000) / rate) await delay(1)
    value.writeDoubleLE(performance.now(), VALUE_BYTES - 8)
    const records = await encodeBatch([{ timestamp: Date.now(), value }])
    const done = produceOne(client, topic, sent % PARTITIONS, records).finally(() =>
      open.delete(done),
    )
    open.add(done)
  }
  await Promise.all(open)
}

async function follow(
  client: Client,
  topic: string,
  end: number,
  onRecord: (sentAt: number) => void,
): Promise<void> {
  const offsets = new Array<number>(PARTITIONS).fill(0)
  while (performance.now() < end) {
    const partitions = offsets.map((fetchOffset, partition) => ({
      ...{ partition, fetchOffset, partitionMaxBytes: 1024 * 1024 },
    }))
    const topics = [{ topic, partitions }]
    const answer = await client.send(fetchApi, 11, { maxWaitMs: WAIT_MS, minBytes: 1, topics })
    for (const { partitionIndex, records } of answer.responses.flatMap(r => r.partitions)) {
      for (let at = 0; records != null && at < records.length; ) {
        const next = at + batch.batchBytes(records, at)
        offsets[partitionIndex] = batch.lastOffset(records, at) + 1
        onRecord(records.readDoubleLE(next - TIME_FROM_END))
        at = next
      }
    }
  }
}
