/**
 * OffsetFetch (9), versions 1-10: what groups have committed, for some partitions or (null) for all. An unknown group or
 * partition has offset -1 and no error. Nothing is shown before it is flushed, with and without requireStable. Version 8
 * asks for several groups, version 10 names topics by id.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import { GroupOffsets } from '../groups/offsets.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/fields.ts'
import { type OffsetFetchRequest, offsetFetchApi } from '../protocol/messages/09-offset-fetch.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'

const GROUP_ERROR_SINCE = 2
const GROUPS_SINCE = 8
const IDS_SINCE = 10
const NO_OFFSET = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '' }

type AskedGroup = OffsetFetchRequest['groups'][number]
type AskedTopic = NonNullable<AskedGroup['topics']>[number]

export const offsetFetch = defineApi(offsetFetchApi, async (request, context) => {
  const { version } = context
  if (version >= GROUPS_SINCE) {
    const once = new Once()
    const groups = await eachPaced(
      request.groups,
      context.pace,
      group => fetchGroup(group, context, once),
      group => group.topics !== null || once.isFirst(identityOf(group)),
    )
    return { body: { groups } }
  }
  const topics = request.topics?.map(topic => ({ ...topic, topicId: ZERO_UUID })) ?? null
  const { groupId } = request
  const asked = { groupId, memberId: null, memberEpoch: -1, topics }
  const group = await fetchGroup(asked, context, new Once())
  return { body: { errorCode: group.errorCode, topics: group.topics } }
})

/** Who asks, and about which group: what is asked twice by the same is answered once. */
const identityOf = ({ groupId, memberId, memberEpoch }: AskedGroup) =>
  `${groupId} ${memberId} ${memberEpoch}`

async function fetchGroup(asked: AskedGroup, context: RequestContext, once: Once) {
  const { groupId, memberId, memberEpoch, topics } = asked
  const { groups, log } = context.broker
  try {
    const found = groups.entry(groupId)
    if (found === undefined && memberId !== null && memberId !== '' && memberEpoch >= 0) {
      throw new BrokerError(ErrorCode.UNKNOWN_MEMBER_ID, 'The group is not there.')
    }
    found?.entry.group.validateFetch(memberId, memberEpoch)
    const offsets = found?.entry.offsets ?? new GroupOffsets(groupId)
    const shown = await (topics === null
      ? all(offsets, context)
      : some(asked, topics, offsets, context, once))
    if (found !== undefined) {
      await found.shard.settled(found.entry)
      await groups.confirm(found.shard)
    }
    return { groupId, errorCode: ErrorCode.NONE, topics: shown }
  } catch (error) {
    const { errorCode } = toKafkaError(error, log)
    return { groupId, errorCode, topics: failed(topics, errorCode, context.version) }
  }
}

/** The oldest version has no place for the error of a group: each partition has it. */
function failed(topics: AskedGroup['topics'], errorCode: ErrorCode, version: number) {
  if (version >= GROUP_ERROR_SINCE) return []
  return (topics ?? []).map(({ name, topicId, partitionIndexes }) => ({
    name,
    topicId,
    partitions: partitionIndexes.map(partitionIndex => ({
      partitionIndex,
      errorCode,
      ...NO_OFFSET,
    })),
  }))
}

function some(
  asked: AskedGroup,
  topics: readonly AskedTopic[],
  offsets: GroupOffsets,
  context: RequestContext,
  once: Once,
) {
  const { registry } = context.broker
  const { pace, version } = context
  const byId = version >= IDS_SINCE
  const identity = identityOf(asked)
  return eachPaced(topics, pace, async ({ name, topicId, partitionIndexes }) => {
    const topic = byId ? registry.topicById(topicId) : registry.topic(name)
    const errorCode = byId && topic === undefined ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.NONE
    const partitions = await eachPaced(
      partitionIndexes,
      pace,
      partitionIndex => {
        const known = offsets.get(topic?.name ?? name, partitionIndex, topic?.id)
        if (known === undefined || errorCode !== ErrorCode.NONE) {
          return { partitionIndex, errorCode, ...NO_OFFSET }
        }
        return { partitionIndex, errorCode, ...shownOf(known) }
      },
      index => once.isFirst(`${identity} ${byId ? topicId : name} ${index}`),
    )
    return { name, topicId, partitions }
  })
}

async function all(offsets: GroupOffsets, { broker, version, pace }: RequestContext) {
  const shown = []
  for (const [name, partitions] of [...offsets.topics]) {
    if (pace.isDue) await pace.rest()
    const topicId = broker.registry.topic(name)?.id ?? ZERO_UUID
    // A topic that is gone cannot be named any more.
    if (version >= IDS_SINCE && topicId === ZERO_UUID) continue
    shown.push({
      name,
      topicId,
      partitions: [...partitions].map(([partitionIndex, offset]) => ({
        partitionIndex,
        errorCode: ErrorCode.NONE,
        ...shownOf(offset),
      })),
    })
  }
  return shown
}

function shownOf(known: { offset: number; leaderEpoch: number; metadata: string }) {
  const { offset, leaderEpoch, metadata } = known
  return { committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata }
}
