/**
 * DescribeLogDirs (35), versions 1-5: the one data folder, the bytes of each partition's segments in it, and the space of
 * its volume. Partitions that do not exist are left out, and with them topics that have no other.
 */
import { statfs } from 'node:fs/promises'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type DescribeLogDirsRequest,
  describeLogDirsApi,
} from '../protocol/messages/35-describe-log-dirs.ts'
import type { Partition } from '../topics/partition.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'

type Broker = RequestContext['broker']

export const describeLogDirs = defineApi(describeLogDirsApi, async (request, context) => {
  const { broker, pace } = context
  const topics = []
  for (const [name, found] of await partitionsAsked(request, context)) {
    topics.push({ name, partitions: await eachPaced([...found], pace, describe) })
  }
  const result = { ...(await space(broker)), logDir: broker.dataDir, topics }
  return { body: { errorCode: ErrorCode.NONE, results: [result] } }
})

/** The partitions to describe, each once, by topic. */
async function partitionsAsked(
  { topics }: DescribeLogDirsRequest,
  { broker: { registry }, pace }: RequestContext,
): Promise<Map<string, Set<Partition>>> {
  const asked = new Map<string, Set<Partition>>()
  if (topics === null) {
    for (const { name, partitions } of registry.topics) asked.set(name, new Set(partitions))
    return asked
  }
  for (const { topic, partitions } of topics) {
    await eachPaced(partitions, pace, index => {
      const partition = registry.partition(topic, index)
      if (partition === undefined) return
      const found = asked.get(topic)
      if (found === undefined) asked.set(topic, new Set([partition]))
      else found.add(partition)
    })
  }
  return asked
}

const describe = ({ index, reader }: Partition) => ({
  partitionIndex: index,
  partitionSize: reader.size,
  offsetLag: 0,
  isFutureKey: false,
})

/** Bytes of the volume that holds the data folder. */
async function space(broker: Broker) {
  try {
    const { blocks, bavail, bsize } = await statfs(broker.dataDir)
    return { errorCode: ErrorCode.NONE, totalBytes: blocks * bsize, usableBytes: bavail * bsize }
  } catch (error) {
    broker.log.warn({ err: error, dataDir: broker.dataDir }, 'the volume cannot be asked its size')
    return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
  }
}
