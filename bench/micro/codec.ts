import { produceRequest, produceResponse } from '../../src/protocol/messages/00-produce.ts'
import { fetchRequest } from '../../src/protocol/messages/01-fetch.ts'
import { metadataResponse } from '../../src/protocol/messages/03-metadata.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Encodable, Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import type { Bench } from '../harness.ts'
import { measure } from './tiny-bench.ts'

const writer = new Writer()

function encode<M extends Message>(message: M, version: number, value: unknown): Buffer {
  writer.clear()
  message.encode(writer, version, value as Encodable<M>)
  const bytes = Buffer.concat(writer.chunks())
  writer.clear()
  return bytes
}

const partitions = (count: number) =>
  Array.from({ length: count }, (_, partitionIndex) => ({
    partitionIndex,
    leaderId: 1,
    leaderEpoch: 0,
    replicaNodes: [1],
    isrNodes: [1],
  }))

/** Decoding and encoding the messages of the hot path, and a large Metadata answer. */
export const codec: Bench = async size => {
  const records = Buffer.alloc(170)
  const produce = {
    acks: -1,
    topicData: [{ name: 'orders', partitionData: [{ index: 3, records }] }],
  }
  const answer = {
    responses: [{ name: 'orders', partitionResponses: [{ index: 3, baseOffset: 12 }] }],
  }
  const fetch = {
    topics: [{ topic: 'orders', partitions: [{ partition: 3, partitionMaxBytes: 1 << 20 }] }],
  }
  const metadata = { topics: [{ name: 'orders', partitions: partitions(size.tiny ? 3 : 1000) }] }
  const produceBytes = encode(produceRequest, 7, produce)
  const fetchBytes = encode(fetchRequest, 11, fetch)
  return measure('codec', size, {
    'decode ProduceRequest v7': {
      run: () => produceRequest.decode(new Reader(produceBytes), 7),
    },
    'encode ProduceResponse v7': {
      run: () => {
        produceResponse.encode(writer, 7, answer)
        writer.clear()
      },
    },
    'decode FetchRequest v11': { run: () => fetchRequest.decode(new Reader(fetchBytes), 11) },
    'encode MetadataResponse v12, 1,000 partitions': {
      run: () => {
        metadataResponse.encode(writer, 12, metadata)
        writer.clear()
      },
    },
  })
}
