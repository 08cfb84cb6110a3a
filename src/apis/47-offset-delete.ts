/** OffsetDelete (47), version 0: deletes what a group has committed to topics that it is not subscribed to (KIP-496). */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ClassicGroup } from '../groups/classic/classic-group.ts'
import type { GroupEntry } from '../groups/entry.ts'
import { CONSUMER_PROTOCOL_TYPE } from '../groups/group.ts'
import type { RecordOf } from '../groups/records.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { offsetDeleteApi } from '../protocol/messages/47-offset-delete.ts'
import { checkGroupId, unknownGroup } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, oncePerPartition } from './pace.ts'

export const offsetDelete = defineApi(offsetDeleteApi, async (request, { broker, pace }) => {
  try {
    const { groupId } = request
    checkGroupId(groupId)
    const found = broker.groups.entry(groupId)
    if (found === undefined) throw unknownGroup(groupId)
    const { shard, entry } = found
    shard.log.throwIfClosed()
    checkDeletable(entry)
    const records: RecordOf<'offsetCommit'>[] = []
    const each = oncePerPartition(pace)
    const topics = await eachPaced(request.topics, pace, async ({ name, partitions }) => ({
      name,
      partitions: await each(
        name,
        partitions,
        ({ partitionIndex }) => partitionIndex,
        ({ partitionIndex }) => plan(name, partitionIndex, entry, broker, records),
      ),
    }))
    shard.commit(entry, records)
    await shard.settled(entry)
    return { body: { errorCode: ErrorCode.NONE, topics } }
  } catch (error) {
    return { body: { errorCode: toKafkaError(error, broker.log).errorCode, topics: [] } }
  }
})

/** Of members that are no consumers nobody knows what they are subscribed to. */
function checkDeletable({ id, group }: GroupEntry): void {
  const isUnknown = group instanceof ClassicGroup && group.protocolType !== CONSUMER_PROTOCOL_TYPE
  if (group.isEmpty || !isUnknown) return
  throw new BrokerError(ErrorCode.NON_EMPTY_GROUP, `Group ${id} has members.`)
}

function plan(
  name: string,
  partitionIndex: number,
  { group, offsets }: GroupEntry,
  { registry }: RequestContext['broker'],
  records: RecordOf<'offsetCommit'>[],
) {
  if (!registry.has(name, partitionIndex)) {
    return { partitionIndex, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
  }
  if (group.isSubscribedTo(name)) {
    return { partitionIndex, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }
  }
  if (offsets.get(name, partitionIndex) !== undefined) {
    records.push(offsets.record(name, partitionIndex, null))
  }
  return { partitionIndex, errorCode: ErrorCode.NONE }
}
