/**
 * How fast a new replica catches up, beside what the disk writes that it stands on:
 *
 *   npm run build && LIVE_TOOLS=FOLDER node --import tsx bench/cluster/catch-up.ts [--mb 4000] [--partitions 6] [--runs 3] [--kafka]
 *
 * A topic with two replicas is filled; then broker 3 becomes the third replica of all of its partitions, and is timed until it is in
 * sync. The disk is asked before and after each: the same number of bytes in one file of the same folder, flushed (fdatasync) after
 * each piece of so many MiB as an answer to a follower has, a MiB for each partition, ten at most. Prints each run, and the median;
 * a first run, which warms up, does not count.
 */
import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { deleteTopicsApi } from '../../src/protocol/messages/20-delete-topics.ts'
import { alterPartitionReassignmentsApi } from '../../src/protocol/messages/45-alter-partition-reassignments.ts'
import { median, rounded } from '../harness.ts'
import { cpuSeconds, type Measured, startKafka, startOurs, untilLed } from './clusters.ts'
import { rawLoad } from './raw-load.ts'

const MIB = 1024 * 1024
const ANSWER_MIB_MAX = 10
const TIMEOUT_MS = 60_000
/** As of a busy producer. */
const BATCH = { records: 64, valueBytes: 1024 }
const CATCH_UP_MS_MAX = 600_000
const LOOK_MS = 20
const THIRD = 3

const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '4000' },
    partitions: { type: 'string', default: '6' },
    runs: { type: 'string', default: '3' },
    kafka: { type: 'boolean', default: false },
  },
})
const bytes = Number(values.mb) * 1e6
const partitions = Array.from({ length: Number(values.partitions) }, (_, i) => i)

/** MB/s of the disk that this folder is on. */
function diskRate(dir: string): number {
  mkdirSync(dir, { recursive: true })
  const path = join(dir, 'written-by-bench')
  const piece = Buffer.alloc(Math.min(partitions.length, ANSWER_MIB_MAX) * MIB, 'odradek ')
  const file = openSync(path, 'w')
  const start = performance.now()
  for (let written = 0; written < bytes; written += piece.length) {
    writeSync(file, piece)
    fdatasyncSync(file)
  }
  const seconds = (performance.now() - start) / 1000
  closeSync(file)
  rmSync(path)
  return bytes / seconds / 1e6
}

/** Fills a topic of which brokers 1 and 2 are replicas. @returns bytes in each of them */
async function fill({ cluster }: Measured, client: Client, name: string): Promise<number> {
  const assignments = partitions.map(index => ({
    ...{ partitionIndex: index, brokerIds: index % 2 === 0 ? [1, 2] : [2, 1] },
  }))
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments }
  await client.send(createTopicsApi, 5, { topics: [topic], timeoutMs: TIMEOUT_MS })
  const leaders = (await cluster.untilWhole(name)).map(p => cluster.member(p.leaderId).port)
  for (const [index, port] of leaders.entries()) await untilLed(name, index, port)
  const requests = Math.ceil(bytes / (BATCH.records * BATCH.valueBytes))
  const load = { ...BATCH, connections: 2, inFlight: 5, requests }
  return (await rawLoad({ ...load, topic: name, leaders })).bytes
}

/** Has broker 3 follow all of it. Resolves to seconds when it is in sync. */
async function catchUp({ cluster }: Measured, client: Client, name: string): Promise<number> {
  const start = performance.now()
  const wanted = partitions.map(partitionIndex => ({ partitionIndex, replicas: [1, 2, THIRD] }))
  const topics = [{ name, partitions: wanted }]
  await client.send(alterPartitionReassignmentsApi, 0, { topics, timeoutMs: TIMEOUT_MS })
  for (;;) {
    const now = await cluster.partitions(name)
    const ms = performance.now() - start
    if (now.every(({ isrNodes }) => isrNodes.includes(THIRD))) return ms / 1000
    if (ms > CATCH_UP_MS_MAX) throw new Error(`not in sync: ${JSON.stringify(now)}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

const measured = await (values.kafka ? startKafka() : startOurs())
try {
  const { dir, port } = measured.cluster.member(THIRD)
  const all: { rate: number; disk: number; cpu: number }[] = []
  for (let run = -1; run < Number(values.runs); run++) {
    await using client = await Client.connect({
      host: '127.0.0.1',
      port,
      requestTimeoutMs: TIMEOUT_MS,
    })
    const name = `catch-up-${run + 1}`
    const filled = await fill(measured, client, name)
    const before = diskRate(dir)
    const cpuBefore = cpuSeconds(measured)
    const seconds = await catchUp(measured, client, name)
    const cpu = cpuSeconds(measured) - cpuBefore
    const after = diskRate(dir)
    const disk = (before + after) / 2
    const rate = filled / seconds / 1e6
    if (run >= 0) all.push({ rate, disk, cpu })
    await client.send(deleteTopicsApi, 5, { topicNames: [name], timeoutMs: TIMEOUT_MS })
    process.stdout.write(
      `run ${run + 1}: ${rounded(filled / 1e6)} MB in ${rounded(seconds)} s, ${rounded(rate)} MB/s; disk ${rounded(before)} and ${rounded(after)} MB/s; ratio ${(rate / disk).toFixed(2)}; CPU ${rounded(cpu)} s\n`,
    )
  }
  const ratio = median(all.map(({ rate, disk }) => rate / disk))
  process.stdout.write(
    `median: ${rounded(median(all.map(one => one.rate)))} MB/s, disk ${rounded(median(all.map(one => one.disk)))} MB/s, ratio ${ratio.toFixed(2)}\n`,
  )
} finally {
  await measured.cluster[Symbol.asyncDispose]()
}
process.exit(0)
