import { errorName } from '../../src/protocol/error-codes.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import type { Wire } from './wire.ts'

export interface FetchOptions {
  readonly version?: number
  readonly index?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly isolationLevel?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
}

/** Fetches from one partition, without a session. */
export async function fetchOne(wire: Wire, topic: string, offset: number, o: FetchOptions = {}) {
  const { version = 11 } = o
  const topicId = wire.node.registry.topic(topic)?.id
  const { responses, errorCode, sessionId } = await wire.send(fetchApi, version, {
    maxWaitMs: o.maxWaitMs ?? 0,
    minBytes: o.minBytes ?? 1,
    maxBytes: o.maxBytes ?? 50_000_000,
    isolationLevel: o.isolationLevel ?? 0,
    topics: [
      {
        ...(version >= 13 ? { topicId } : { topic }),
        partitions: [
          {
            partition: o.index ?? 0,
            fetchOffset: offset,
            partitionMaxBytes: o.partitionMaxBytes ?? 1_000_000,
            currentLeaderEpoch: o.currentLeaderEpoch ?? -1,
            ...(version >= 12 ? { lastFetchedEpoch: o.lastFetchedEpoch ?? -1 } : {}),
          },
        ],
      },
    ],
  })
  const partition = responses[0]!.partitions[0]!
  const records = partition.records ?? Buffer.alloc(0)
  return { ...partition, records, error: errorName(partition.errorCode), errorCode, sessionId }
}

/** The bytes that a partition has from an offset on. */
export async function fetchRecords(wire: Wire, topic: string, offset: number): Promise<Buffer> {
  return (await fetchOne(wire, topic, offset)).records
}
