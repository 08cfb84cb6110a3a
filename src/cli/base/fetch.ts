import type { Client } from '../../client/client.ts'
import { type FetchResponse, fetchApi } from '../../protocol/messages/01-fetch.ts'
import * as batch from '../../protocol/record-batch.ts'
import type { Cluster } from './cluster.ts'
import { expectNone } from './failure.ts'

/** How long a broker may hold a fetch that it has nothing for. */
const WAIT_MS_MAX = 500
/** Fetch's last version for names; later ones want ids. */
const NAMES_VERSION_MAX = 12

/** What is to be read of a partition. */
export interface Range {
  readonly topic: string
  readonly partition: number
  leaderId: number
  /** The next one to read. */
  offset: number
  /** The first one not to read; infinite to go on as records come. */
  readonly end: number
}

export interface FetchBytes {
  /** Of all partitions together. */
  readonly maxBytes: number
  readonly partitionMaxBytes: number
}

type PartitionData = FetchResponse['responses'][number]['partitions'][number]

/** A range, and the offset from which it is asked for: that of the range, or beyond what of it is in hand already. */
export interface Ask {
  readonly range: Range
  readonly from: number
}

/**
 * One fetch of these ranges, which one broker leads.
 * @param turn a broker fills its answer in the order of the request: each range is to be the first one in turn
 * @returns the answers for the ranges that are in it, errors of single partitions as they are
 */
export async function fetchNext(
  cluster: Cluster,
  client: Client,
  asks: readonly Ask[],
  turn: number,
  { maxBytes, partitionMaxBytes }: FetchBytes,
): Promise<{ range: Range; data: PartitionData }[]> {
  const first = turn % asks.length
  const topics = new Map<string, Map<number, Ask>>()
  for (const ask of [...asks.slice(first), ...asks.slice(0, first)]) {
    const { topic, partition } = ask.range
    if (!topics.has(topic)) topics.set(topic, new Map())
    topics.get(topic)!.set(partition, ask)
  }
  const request = {
    maxWaitMs: Math.min(WAIT_MS_MAX, Math.floor(cluster.timeoutMs / 2)),
    minBytes: 1,
    maxBytes,
    topics: [...topics].map(([topic, ofTopic]) => ({
      topic,
      partitions: [...ofTopic].map(([partition, { from }]) => {
        return { partition, fetchOffset: from, partitionMaxBytes }
      }),
    })),
  }
  const answer = await cluster.send(client, fetchApi, request, NAMES_VERSION_MAX)
  expectNone(answer.errorCode, `fetch of ${[...topics.keys()].join(', ')}`)
  return answer.responses.flatMap(({ topic, partitions }) =>
    partitions.flatMap(data => {
      const ask = topics.get(topic)?.get(data.partitionIndex)
      return ask === undefined ? [] : [{ range: ask.range, data }]
    }),
  )
}

/** The whole batches of an answer. Kafka cuts it where its bytes end: the rest of that batch comes with the next one. */
export function* wholeBatches(records: Buffer): Generator<Buffer, void> {
  for (let at = 0; at + batch.LOG_OVERHEAD_BYTES <= records.length; ) {
    const end = at + batch.batchBytes(records, at)
    if (end > records.length) return
    yield records.subarray(at, end)
    at = end
  }
}
