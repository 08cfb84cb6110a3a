/**
 * ListOffsets (2), versions 1-11: -1 latest, -2 earliest, -3 the record with the largest timestamp (v7+), -4 earliest local
 * (v8+, the same as earliest: nothing is tiered), -5 last tiered (v9+, none), -6 earliest pending upload (v11+, none), or
 * the first record at or after a time. Searches by time run in a task worker.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { listOffsetsApi } from '../protocol/messages/02-list-offsets.ts'
import type { Partition } from '../topics/partition.ts'
import { TaskPoolFull } from '../topics/task-pool.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'
import { duplicatesOf } from './topic-checks.ts'

/** Before, clients do not know OFFSET_NOT_AVAILABLE. */
const NOT_AVAILABLE_SINCE = 5
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
/** The version that brought each special timestamp. */
const SINCE: Record<number, number> = {
  [LATEST]: 1,
  [EARLIEST]: 1,
  [MAX_TIMESTAMP]: 7,
  [EARLIEST_LOCAL]: 8,
  [LATEST_TIERED]: 9,
  [EARLIEST_PENDING_UPLOAD]: 11,
}
const READ_COMMITTED = 1
const LEADER_EPOCH_SINCE = 4

interface Asked {
  readonly partitionIndex: number
  readonly currentLeaderEpoch: number
  readonly timestamp: number
}

interface Found {
  readonly errorCode: ErrorCode
  readonly timestamp?: number
  readonly offset?: number
  readonly leaderEpoch?: number
}

export const listOffsets = defineApi(listOffsetsApi, async (request, context) => {
  const { registry } = context.broker
  const { pace } = context
  const topics = await eachPaced(request.topics, pace, async ({ name, partitions }) => {
    const twice = await duplicatesOf(partitions, pace, ({ partitionIndex }) => partitionIndex)
    const answers = await eachPaced(partitions, pace, async asked => {
      const found: Found = twice.has(asked.partitionIndex)
        ? { errorCode: ErrorCode.INVALID_REQUEST }
        : await find(
            registry.led(registry.topic(name), asked.partitionIndex),
            asked,
            request,
            context,
          )
      const { leaderEpoch, ...rest } = found
      const known = context.version >= LEADER_EPOCH_SINCE ? { leaderEpoch } : {}
      return { partitionIndex: asked.partitionIndex, ...rest, ...known }
    })
    return { name, partitions: answers }
  })
  return { body: { topics } }
})

async function find(
  partition: Partition | ErrorCode,
  asked: Asked,
  { isolationLevel }: { isolationLevel: number },
  context: RequestContext,
): Promise<Found> {
  const problem = problemWith(partition, asked, context.version)
  if (problem !== ErrorCode.NONE || typeof partition === 'number') return { errorCode: problem }
  const end =
    isolationLevel === READ_COMMITTED ? partition.lastStableOffset : partition.highWatermark
  const at = (offset: number): Found => ({
    errorCode: ErrorCode.NONE,
    offset,
    leaderEpoch: partition.epochAt(offset),
  })
  switch (asked.timestamp) {
    case LATEST:
      return { errorCode: ErrorCode.NONE, offset: end, leaderEpoch: partition.leaderEpoch }
    case EARLIEST:
    case EARLIEST_LOCAL:
      return at(partition.logStartOffset)
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return { errorCode: ErrorCode.NONE }
    default:
      return search(partition, asked.timestamp, end, context)
  }
}

function problemWith(partition: Partition | ErrorCode, asked: Asked, version: number): ErrorCode {
  if (typeof partition === 'number') return partition
  if (partition.offline !== null) return ErrorCode.KAFKA_STORAGE_ERROR
  const unfit = partition.refusal(false)
  if (unfit !== ErrorCode.NONE) return unfit
  const { currentLeaderEpoch, timestamp } = asked
  if (currentLeaderEpoch !== -1 && currentLeaderEpoch < partition.leaderEpoch) {
    return ErrorCode.FENCED_LEADER_EPOCH
  }
  if (currentLeaderEpoch > partition.leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH
  if (timestamp === LATEST && partition.replication?.knowsHighWatermark === false) {
    return version >= NOT_AVAILABLE_SINCE
      ? ErrorCode.OFFSET_NOT_AVAILABLE
      : ErrorCode.LEADER_NOT_AVAILABLE
  }
  const since = timestamp < 0 ? (SINCE[timestamp] ?? Number.POSITIVE_INFINITY) : 0
  return version < since ? ErrorCode.UNSUPPORTED_VERSION : ErrorCode.NONE
}

async function search(
  partition: Partition,
  timestamp: number,
  endOffset: number,
  context: RequestContext,
): Promise<Found> {
  const { tasks } = context.broker
  const { logStartOffset, reader } = partition
  const { changes } = reader
  if (endOffset <= logStartOffset) return { errorCode: ErrorCode.NONE }
  const range = {
    dir: reader.dir,
    segments: reader.segments.map(({ base, size }) => ({ base, size })),
    logStartOffset,
    endOffset,
  }
  try {
    const found =
      timestamp === MAX_TIMESTAMP
        ? await tasks.run('findMaxTimestamp', range)
        : await tasks.run('findByTimestamp', { ...range, target: timestamp })
    if (reader.changes === changes) return { errorCode: ErrorCode.NONE, ...found }
  } catch (error) {
    if (reader.changes === changes && !partition.isDeleted) return failed(error, partition, context)
  }
  if (partition.isDeleted) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
  // Compaction or retention has changed the segments meanwhile. That ends: they change less often than a search takes.
  return search(partition, timestamp, endOffset, context)
}

function failed(error: unknown, partition: Partition, { broker }: RequestContext): Found {
  // Too many searches at once are worth another try; everything else is about the segment's files.
  if (error instanceof TaskPoolFull) return { errorCode: ErrorCode.REQUEST_TIMED_OUT }
  broker.log.error({ err: error, partition: partition.name }, 'a search by time failed')
  return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
}
