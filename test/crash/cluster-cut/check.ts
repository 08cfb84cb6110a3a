import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '../../../src/client/client.ts'
import * as batch from '../../../src/protocol/record-batch.ts'
import { readRecords } from '../../../src/protocol/records.ts'
import { judgeProducer, type Log, logOf } from '../../cluster/clients/verdict.ts'
import { rest } from '../../lib/cluster-ledger.ts'
import type { PartitionNow, ProcessCluster } from '../../lib/process-cluster.ts'
import { fetchOnce } from '../consumer.ts'
import type { CutProducer, Placed } from './producer.ts'

/** What was not acknowledged may be on its way still. */
const EQUAL_MS_MAX = 5_000
const LOOK_MS = 50
const CONTENT_BYTES_MAX = 16 * 1024 * 1024

/** All that the leaders of a topic serve. */
export async function readTopic(cluster: ProcessCluster, topic: string): Promise<Log> {
  const records: Placed[] = []
  for (const { partitionIndex, leaderId } of await cluster.untilWhole(topic)) {
    await using client = await Client.connect({
      host: '127.0.0.1',
      port: cluster.member(leaderId).port,
    })
    for (let next = 0, end = 1; next < end; ) {
      const batches: Buffer[] = []
      const target = { topic, index: partitionIndex }
      end = await fetchOnce(client, target, next, bytes => batches.push(bytes))
      if (next < end && batches.length === 0) throw new Error(`${topic}: nothing at ${next}`)
      for (const bytes of batches) {
        for (const { offset, value } of await readRecords(bytes, CONTENT_BYTES_MAX)) {
          records.push({ value: value!.toString(), partition: partitionIndex, offset })
        }
        next = batch.lastOffset(bytes) + 1
      }
    }
  }
  return logOf(records)
}

/** @returns what is not there as it was acknowledged */
export function judge(producers: readonly CutProducer[], log: Log): string[] {
  return producers.flatMap(({ name, acknowledged, errors }) => {
    const seen = errors.map(error => `${name} has seen ${error}`)
    const { lost, doubled, outOfOrder } = judgeProducer(name, acknowledged, log)
    if (lost + doubled + outOfOrder === 0) return seen
    const of = `of ${acknowledged.length} acknowledged`
    const found = `${lost} lost ${of}, ${doubled} doubled, ${outOfOrder} out of order`
    return [`${name}: ${found}`, ...seen]
  })
}

/** @returns the partitions whose bytes do not become the same on all their brokers */
export async function unequal(cluster: ProcessCluster, topic: string): Promise<string[]> {
  const partitions = await cluster.partitions(topic)
  for (const deadline = Date.now() + EQUAL_MS_MAX; ; await rest(LOOK_MS)) {
    const found = partitions.flatMap(partition => difference(cluster, topic, partition))
    if (found.length === 0 || Date.now() > deadline) return found
  }
}

function difference(
  cluster: ProcessCluster,
  topic: string,
  { partitionIndex, replicaNodes }: PartitionNow,
): string[] {
  const name = `${topic}-${partitionIndex}`
  const folders = replicaNodes.map(id => join(cluster.member(id).dir, name))
  // One that was never made, or is being filled anew.
  const missing = replicaNodes.filter((_, i) => !existsSync(folders[i]!))
  if (missing.length > 0) return [`${name} has no folder on ${missing}`]
  const logs = folders.map(segmentsIn)
  if (logs.every(log => log.equals(logs[0]!))) return []
  return [`${name} is not the same on ${replicaNodes}: ${logs.map(log => log.length)} bytes`]
}

function segmentsIn(folder: string): Buffer {
  const names = readdirSync(folder).filter(name => name.endsWith('.log'))
  return Buffer.concat(names.sort().map(name => readFileSync(join(folder, name))))
}
