/**
 * DeleteRecords (21), versions 0-2: moves the log start of partitions up; offset -1 means to the high watermark. The new
 * start is durable when it is answered; the timeout is not looked at.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { deleteRecordsApi } from '../protocol/messages/21-delete-records.ts'
import type { Partition } from '../topics/partition.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, oncePerPartition } from './pace.ts'
import { onlinePartition, onWorker } from './topic-checks.ts'

type Broker = RequestContext['broker']

const TO_HIGH_WATERMARK = -1
const UNKNOWN = -1

export const deleteRecords = defineApi(deleteRecordsApi, async (request, { broker, pace }) => {
  const each = oncePerPartition(pace)
  const topics = await eachPaced(request.topics, pace, async ({ name, partitions }) => ({
    name,
    partitions: await each(
      name,
      partitions,
      ({ partitionIndex }) => partitionIndex,
      ({ partitionIndex, offset }) => deleteBefore(name, partitionIndex, offset, broker),
    ),
  }))
  return { body: { topics } }
})

async function deleteBefore(topic: string, partitionIndex: number, offset: number, broker: Broker) {
  try {
    const partition = onlinePartition(broker, topic, partitionIndex)
    checkPolicy(partition)
    const newStart = startFor(partition, offset)
    if (newStart > partition.logStartOffset) {
      await onWorker(partition, () => broker.registry.replicas.deleteRecords(partition, newStart))
    }
    const lowWatermark = partition.logStartOffset
    return { partitionIndex, lowWatermark, errorCode: ErrorCode.NONE }
  } catch (error) {
    const { errorCode } = toKafkaError(error, broker.log)
    return { partitionIndex, lowWatermark: UNKNOWN, errorCode }
  }
}

/** The keys of a topic that is only compacted must stay readable. */
function checkPolicy({ name, config }: Partition): void {
  const { cleanupPolicy } = config
  if (cleanupPolicy.length === 0 || cleanupPolicy.includes('delete')) return
  const message = `The cleanup.policy of ${name} does not allow deleting records.`
  throw new BrokerError(ErrorCode.POLICY_VIOLATION, message)
}

function startFor({ name, highWatermark }: Partition, offset: number): number {
  if (offset === TO_HIGH_WATERMARK) return highWatermark
  if (offset >= 0 && offset <= highWatermark) return offset
  const message = `The offset ${offset} is not one of 0 to ${highWatermark}, the high watermark of ${name}.`
  throw new BrokerError(ErrorCode.OFFSET_OUT_OF_RANGE, message)
}
