/**
 * OffsetCommit (8), versions 2-10: by a member of the group, or by anybody while it has none (generation -1). An unknown group
 * is made by such a commit. Answered when the offsets are flushed. From v10 topics are named by id.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import type { GroupEntry } from '../groups/entry.ts'
import { type CommittedOffset, NO_EXPIRY } from '../groups/offsets.ts'
import type { RecordOf } from '../groups/records.ts'
import type { Shard } from '../groups/shard.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { INT64_MAX, isExact } from '../protocol/int64.ts'
import { type OffsetCommitRequest, offsetCommitApi } from '../protocol/messages/08-offset-commit.ts'
import { isUtf8Text, STRING_BYTES_MAX } from '../protocol/reader.ts'
import type { Topic } from '../topics/registry.ts'
import { checkKeptGroupId, unknownGroup } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced } from './pace.ts'

const IDS_SINCE = 10
/** Before, an unknown group is answered as a wrong generation. */
const UNKNOWN_GROUP_SINCE = 9
const NO_RETENTION = -1

type Asked = OffsetCommitRequest['topics'][number]
type AskedPartition = Asked['partitions'][number]

/** One partition of the answer, and what is to be written for it. */
interface Outcome {
  readonly partitionIndex: number
  errorCode: ErrorCode
}

interface TopicOutcome {
  readonly name: string
  readonly topicId: string
  readonly partitions: Outcome[]
}

/** A partition that exists, with its place in the answer. */
interface ValidPartition {
  readonly topic: Topic
  readonly asked: AskedPartition
  readonly outcome: Outcome
}

/** By topic id and partition: of one that is committed twice the last offset counts, as in Kafka. */
type Valid = Map<string, ValidPartition>

export const offsetCommit = defineApi(
  offsetCommitApi,
  async (request, context) => {
    const valid: Valid = new Map()
    const checked = eachPaced(request.topics, context.pace, t => checkTopic(t, context, valid))
    // Without waiting where that is possible: commits of one connection take effect in their order.
    const topics = checked instanceof Promise ? await checked : checked
    if (valid.size > 0) {
      const failed = await commit(request, [...valid.values()], context)
      if (failed !== ErrorCode.NONE) {
        for (const { outcome } of valid.values()) outcome.errorCode = failed
      }
    }
    return { body: { topics } }
  },
  { sideBySide: true },
)

function checkTopic(
  asked: Asked,
  { broker, version, pace }: RequestContext,
  valid: Valid,
): TopicOutcome | Promise<TopicOutcome> {
  const byId = version >= IDS_SINCE
  const { registry } = broker
  const topic = byId ? registry.topicById(asked.topicId) : registry.topic(asked.name)
  const missing = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const partitions = eachPaced(asked.partitions, pace, partition => {
    const { partitionIndex } = partition
    if (topic === undefined) return { partitionIndex, errorCode: missing }
    if (!broker.registry.has(topic.name, partitionIndex)) {
      return { partitionIndex, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
    }
    const key = `${topic.id} ${partitionIndex}`
    const outcome: Outcome = valid.get(key)?.outcome ?? {
      partitionIndex,
      errorCode: ErrorCode.NONE,
    }
    valid.set(key, { topic, asked: partition, outcome })
    return outcome
  })
  const answer = (all: Outcome[]): TopicOutcome => {
    return { name: asked.name, topicId: asked.topicId, partitions: all }
  }
  return partitions instanceof Promise ? partitions.then(answer) : answer(partitions)
}

/** @returns the error that holds for all partitions, or NONE */
async function commit(
  request: OffsetCommitRequest,
  valid: readonly ValidPartition[],
  context: RequestContext,
): Promise<ErrorCode> {
  try {
    checkKeptGroupId(request.groupId)
    const found = context.broker.groups.shardNow(request.groupId)
    const shard = found instanceof Promise ? await found : found
    const entry = entryFor(request, shard, context)
    shard.run(entry, () => shard.commit(entry, recordsOf(request, valid, entry, context)))
    return await shard.answer(entry, failure => failure)
  } catch (error) {
    return toKafkaError(error, context.broker.log).errorCode
  }
}

function entryFor(
  request: OffsetCommitRequest,
  shard: Shard,
  { version }: RequestContext,
): GroupEntry {
  const { groupId, generationIdOrMemberEpoch } = request
  const entry = shard.find(groupId)
  if (entry !== undefined) return entry
  if (generationIdOrMemberEpoch < 0) return shard.ensure(groupId)
  if (version >= UNKNOWN_GROUP_SINCE) throw unknownGroup(groupId)
  throw new BrokerError(ErrorCode.ILLEGAL_GENERATION, `Group ${groupId} not found.`)
}

/** @throws BrokerError if the member may not commit now: nothing is written then */
function recordsOf(
  request: OffsetCommitRequest,
  valid: readonly ValidPartition[],
  { group, offsets, context: groupContext }: GroupEntry,
  context: RequestContext,
): RecordOf<'offsetCommit'>[] {
  const { memberId, groupInstanceId, generationIdOrMemberEpoch, retentionTimeMs } = request
  const check = group.validateCommit(
    memberId,
    groupInstanceId,
    generationIdOrMemberEpoch,
    context.version,
  )
  const { offsetMetadataMaxBytes } = context.broker.options.settings
  const commitTimestamp = Date.now()
  const expireTimestamp =
    retentionTimeMs === NO_RETENTION ? NO_EXPIRY : timeAfter(commitTimestamp, retentionTimeMs)
  const records: RecordOf<'offsetCommit'>[] = []
  for (const { topic, asked, outcome } of valid) {
    const metadata = asked.committedMetadata ?? ''
    if (metadata.length > offsetMetadataMaxBytes) {
      outcome.errorCode = ErrorCode.OFFSET_METADATA_TOO_LARGE
      continue
    }
    if (!isUtf8Text(metadata) || !isExact(asked.committedOffset)) {
      outcome.errorCode = ErrorCode.INVALID_REQUEST
      continue
    }
    check?.(topic.id, asked.partitionIndex)
    const value: CommittedOffset = {
      offset: asked.committedOffset,
      leaderEpoch: asked.committedLeaderEpoch,
      metadata,
      commitTimestamp,
      expireTimestamp,
      topicId: topic.id,
    }
    records.push(offsets.record(topic.name, asked.partitionIndex, value))
  }
  const alwaysFits = groupContext.recordBytesMax >= COMMIT_BYTES_MAX
  if (!alwaysFits && !records.every(record => groupContext.fits(record))) {
    throw new BrokerError(
      ErrorCode.INVALID_COMMIT_OFFSET_SIZE,
      'The commit is too large to be kept.',
    )
  }
  return records
}

/** A time that can be kept: what is beyond is as good as never. */
function timeAfter(start: number, ms: number): number {
  const time = start + ms
  return isExact(time) ? time : ms < 0 ? start : INT64_MAX
}

/** No commit is a larger record: two texts of any length, a topic's name, some numbers. */
const COMMIT_BYTES_MAX = 2 * STRING_BYTES_MAX + 1_000
