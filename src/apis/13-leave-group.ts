/**
 * LeaveGroup (13), versions 0-5: one member, from v3 several, each with an outcome of its own; static ones may be named by
 * their instance id alone.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type LeaveGroupRequest, leaveGroupApi } from '../protocol/messages/13-leave-group.ts'
import { checkGroupId, onGroup } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'

const SEVERAL_SINCE = 3
/** Members that may leave in one request, all in one turn of their group: tools that empty a group send as many as it has. */
const MEMBERS_MAX = 10_000

type Member = LeaveGroupRequest['members'][number]

export const leaveGroup = defineApi(
  leaveGroupApi,
  async (request, context) => {
    const { version, broker } = context
    const asked: readonly Member[] =
      version >= SEVERAL_SINCE
        ? request.members
        : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
    try {
      const members = await leave(request.groupId, asked, context)
      if (version >= SEVERAL_SINCE) return { body: { errorCode: ErrorCode.NONE, members } }
      return { body: { errorCode: members[0]!.errorCode } }
    } catch (error) {
      return { body: { errorCode: toKafkaError(error, broker.log).errorCode } }
    }
  },
  { sideBySide: true },
)

async function leave(groupId: string, members: readonly Member[], context: RequestContext) {
  checkGroupId(groupId)
  if (members.length > MEMBERS_MAX) {
    const message = `${members.length} members leave at once; ${MEMBERS_MAX} may.`
    throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
  }
  const shard = await context.broker.groups.shardFor(groupId)
  const entry = shard.find(groupId)
  const all = (errorCode: ErrorCode) =>
    members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId, errorCode }))
  if (entry === undefined) return all(ErrorCode.UNKNOWN_MEMBER_ID)
  const action = () =>
    members.map(({ memberId, groupInstanceId, reason }) => ({
      memberId,
      groupInstanceId,
      errorCode: entry.group.leave(memberId, groupInstanceId, reason) as ErrorCode,
    }))
  return onGroup(shard, entry, context, action, all)
}
