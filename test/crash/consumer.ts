import { setTimeout as sleep } from 'node:timers/promises'
import { Client, ClientError } from '../../src/client/client.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import type { Target } from './load.ts'

const FETCH_VERSION = 11
const PARTITION_BYTES = 4 * 1024 * 1024
/** Between two looks of the consumer that reads along. */
const FOLLOW_MS = 5

/** Hands on the whole batches that a fetch at `offset` gives. @returns the partition's high watermark */
export async function fetchOnce(
  client: Client,
  { topic, index }: Pick<Target, 'topic' | 'index'>,
  offset: number,
  onBatch: (bytes: Buffer) => void,
): Promise<number> {
  const partition = { partition: index, fetchOffset: offset, partitionMaxBytes: PARTITION_BYTES }
  const answer = await client.send(fetchApi, FETCH_VERSION, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: PARTITION_BYTES,
    topics: [{ topic, partitions: [partition] }],
  })
  const { errorCode, highWatermark, records } = answer.responses[0]!.partitions[0]!
  if (errorCode !== ErrorCode.NONE) {
    throw new Error(`${topic}-${index} at ${offset}: Fetch answers ${errorName(errorCode)}`)
  }
  const bytes = records ?? Buffer.alloc(0)
  for (let at = 0; at < bytes.length; ) {
    const size = batch.batchBytes(bytes, at)
    onBatch(bytes.subarray(at, at + size))
    at += size
  }
  return highWatermark
}

/** Reads and checks each partition from where its ledger stands to its end. Throws if a partition cannot be read. */
export async function checkAll(port: number, targets: readonly Target[]): Promise<void> {
  await using client = await Client.connect({ host: '127.0.0.1', port })
  for (const target of targets) {
    const { ledger } = target
    for (;;) {
      const from = ledger.checkedTo
      const end = await fetchOnce(client, target, from, bytes => ledger.check(bytes))
      if (ledger.violations.length > 0) return
      if (ledger.checkedTo >= end) break
      if (ledger.checkedTo === from) throw new Error(`${ledger.name}: nothing at ${from} of ${end}`)
    }
    ledger.endCheck()
  }
}

/** Reads along while producers write, until the connection breaks: what it was given must stay. */
export async function follow(port: number, targets: readonly Target[]): Promise<void> {
  const positions = targets.map(({ ledger }) => ledger.checkedTo)
  const client = await Client.connect({ host: '127.0.0.1', port })
  try {
    for (;;) {
      for (const [i, target] of targets.entries()) {
        await fetchOnce(client, target, positions[i]!, bytes => {
          target.ledger.show(bytes)
          positions[i] = batch.lastOffset(bytes) + 1
        })
      }
      await sleep(FOLLOW_MS)
    }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
  } finally {
    await client.close()
  }
}
