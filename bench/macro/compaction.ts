import { randomBytes, randomInt } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '../../src/client/client.ts'
import { incrementalAlterConfigsApi } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { readCompactionCheckpoint } from '../../src/storage/compaction/swap.ts'
import { realFileSystem } from '../../src/storage/fs.ts'
import { BrokerProcess } from '../../test/lib/broker-process.ts'
import { produceOne } from '../../test/lib/produce-one.ts'
import { type Bench, percentiles } from '../harness.ts'
import { createTopic } from './load.ts'

const KEYS = 1_000_000
const VALUE_BYTES = 200
const RECORDS = 250
/** From then on the system writes out what producers have written half a minute before, as it does in a broker that runs for long. */
const WRITE_BACK_SECONDS = 35
const LARGE = {
  ...{ fillBytes: 1_500e6, segmentBytes: 64 * 1024 * 1024 },
  ...{ warmUpSeconds: WRITE_BACK_SECONDS, seconds: 30, rate: 5_000 },
}
const TINY = {
  ...{ fillBytes: 3e6, segmentBytes: 1024 * 1024, warmUpSeconds: 0, seconds: 0.2, rate: 200 },
}
/** Until the last files that were compacted are freed. */
const SETTLE_MS = 1_000
const BROKER = 4
const SET = 0

/** How fast a log is compacted, and what that does to producers of another topic who send so many records a second, then alone. */
export const compaction: Bench = async ({ tiny }) => {
  const { fillBytes, segmentBytes, warmUpSeconds, seconds, rate } = tiny ? TINY : LARGE
  const overrides = ['log.cleaner.threads=0', 'log.cleaner.backoff.ms=100']
  await using broker = await BrokerProcess.start({ fromSource: tiny, overrides })
  const client = await broker.connect(64)
  await createTopic(client, 'other', 6, {})
  await createTopic(client, 'compacted', 1, {
    'cleanup.policy': 'compact',
    'min.cleanable.dirty.ratio': '0.01',
    'segment.bytes': String(segmentBytes),
  })
  const before = await fill(client, fillBytes)
  await paced(client, rate, warmUpSeconds)
  await setThreads(client, 1)
  const started = performance.now()
  const isOver = (): boolean => cleanedOffset(broker.dir) > 0
  while (!isOver() && !isUnderWay(broker.dir)) await delay(5)
  const beside: number[][] = []
  while (!isOver() || beside.length === 0) beside.push(...(await paced(client, rate, 1)))
  const ms = performance.now() - started
  await setThreads(client, 0)
  await delay(SETTLE_MS)
  const alone = await paced(client, rate, seconds)
  await client.close()
  const [calm, busy] = [percentiles(alone.flat()), percentiles(beside.flat())]
  return [
    {
      bench: 'compaction',
      parameters: `${Math.round(before / 1e6)} MB, ${KEYS} keys, ${rate} req/s beside`,
      numbers: {
        'MB/s': before / 1e3 / ms,
        alone_p50_ms: calm.p50_ms!,
        alone_p99_ms: calm.p99_ms!,
        beside_p50_ms: busy.p50_ms!,
        beside_p99_ms: busy.p99_ms!,
        p99_x: busy.p99_ms! / calm.p99_ms!,
        typical_p99_x: typicalP99(beside) / typicalP99(alone),
      },
    },
  ]
}

/** Of the median second: where a disk stands still for a moment now and then, whoever writes, that is not in it. */
function typicalP99(seconds: readonly (readonly number[])[]): number {
  return percentiles(seconds.map(one => percentiles(one).p99_ms!)).p50_ms!
}

/** Writes records of random keys. @returns bytes written */
async function fill(client: Client, wanted: number): Promise<number> {
  let written = 0
  while (written < wanted) {
    const batches = await Promise.all(Array.from({ length: 16 }, newBatch))
    await Promise.all(batches.map(records => produceOne(client, 'compacted', 0, records)))
    for (const { length } of batches) written += length
  }
  return written
}

function newBatch(): Promise<Buffer> {
  const value = randomBytes(VALUE_BYTES)
  const record = () => ({
    timestamp: Date.now(),
    key: Buffer.from(`key-${randomInt(KEYS)}`),
    value,
  })
  return encodeBatch(Array.from({ length: RECORDS }, record))
}

/** One record a request, so many a second, each timed from when it was due. @returns latencies in ms, of each second or part of one */
async function paced(client: Client, rate: number, seconds: number): Promise<number[][]> {
  const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.alloc(100) }])
  const start = performance.now()
  const latencies: number[][] = Array.from({ length: Math.ceil(seconds) }, () => [])
  const sent: Promise<void>[] = []
  for (let i = 0; i < rate * seconds; i++) {
    const due = start + (i / rate) * 1000
    while (performance.now() < due) await delay(1)
    const one = produceOne(client, 'other', i % 6, records).then(() => {
      latencies[Math.floor(i / rate)]!.push(performance.now() - due)
    })
    sent.push(one)
  }
  await Promise.all(sent)
  return latencies
}

async function setThreads(client: Client, threads: number): Promise<void> {
  const config = { name: 'log.cleaner.threads', configOperation: SET, value: String(threads) }
  const resources = [{ resourceType: BROKER, resourceName: '', configs: [config] }]
  const { responses } = await client.send(incrementalAlterConfigsApi, 1, { resources })
  if (responses[0]!.errorCode !== 0) throw new Error(String(responses[0]!.errorMessage))
}

const folder = (dir: string): string => join(dir, 'compacted-0')

const isUnderWay = (dir: string): boolean =>
  readdirSync(folder(dir)).some(name => name.endsWith('.cleaned'))

const cleanedOffset = (dir: string): number =>
  readCompactionCheckpoint(realFileSystem, folder(dir)).cleanedOffset
