/** Heartbeat (12), versions 0-4: keeps a member alive, and tells it to join again when its group is being rebalanced. */
import { toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type HeartbeatRequest, heartbeatApi } from '../protocol/messages/12-heartbeat.ts'
import { checkGroupId } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'

export const heartbeat = defineApi(
  heartbeatApi,
  (request, { broker }) => {
    try {
      return { body: { errorCode: beat(request, broker) } }
    } catch (error) {
      return { body: { errorCode: toKafkaError(error, broker.log).errorCode } }
    }
  },
  { sideBySide: true },
)

function beat(request: HeartbeatRequest, broker: RequestContext['broker']): ErrorCode {
  const { groupId, memberId, groupInstanceId, generationId } = request
  checkGroupId(groupId)
  const found = broker.groups.entry(groupId)
  if (found === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  const { shard, entry } = found
  // Else a member that is cut off with this broker goes on with what others have been given.
  if (!shard.log.isOurs) return ErrorCode.NOT_COORDINATOR
  return shard.run(entry, () =>
    entry.group.heartbeat(memberId, groupInstanceId, generationId),
  ) as ErrorCode
}
