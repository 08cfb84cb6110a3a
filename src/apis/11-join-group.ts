/**
 * JoinGroup (11), versions 0-9: the request is parked until the group's next generation stands. A group that does not exist is
 * made when a member without an id joins. Everything else is the group's: groups/classic/ or, for members of the
 * classic protocol in a group of the consumer protocol, groups/consumer/.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import type { JoinRequest, JoinResponse } from '../groups/group.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type JoinGroupRequest, joinGroupApi } from '../protocol/messages/11-join-group.ts'
import { isUtf8Text, STRING_BYTES_MAX } from '../protocol/reader.ts'
import { checkGroupId, clientOf, parked } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'

/** Before, the session timeout is the rebalance timeout. */
const REBALANCE_TIMEOUT_SINCE = 1
/** Before, a protocol name cannot be null. */
const NULL_NAME_SINCE = 7

export const joinGroup = defineApi(
  joinGroupApi,
  (request, context) => answer(join(request, context), request.memberId, context),
  { sideBySide: true, waits: true },
)

/** A join may wait for minutes: nothing from here on knows the request, whose memory is free meanwhile. */
async function answer(joined: Promise<JoinResponse>, memberId: string, context: RequestContext) {
  try {
    return { body: bodyOf(await joined, context) }
  } catch (error) {
    const { errorCode } = toKafkaError(error, context.broker.log)
    return { body: bodyOf({ errorCode, memberId }, context) }
  }
}

async function join(request: JoinGroupRequest, context: RequestContext): Promise<JoinResponse> {
  const { groupId, memberId, sessionTimeoutMs } = request
  const { groups, options } = context.broker
  checkGroupId(groupId)
  checkKept(request)
  const { groupMinSessionTimeoutMs: min, groupMaxSessionTimeoutMs: max } = options.settings
  if (sessionTimeoutMs < min || sessionTimeoutMs > max) {
    const message = `A session timeout is from ${min} to ${max} ms here, not ${sessionTimeoutMs}.`
    throw new BrokerError(ErrorCode.INVALID_SESSION_TIMEOUT, message)
  }
  const shard = await groups.shardFor(groupId)
  const found = shard.find(groupId)?.group
  // Nobody is a member of these, and a join that is refused must not change the group's type.
  const isNobodys = found === undefined || (found.type === 'consumer' && found.isEmpty)
  if (memberId !== '' && isNobodys) return { errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId }
  const entry = shard.ensureClassic(groupId)
  const failed = failedFor(memberId)
  return parked(shard, entry, context, failed, reply =>
    entry.group.join(requestOf(request, context), clientOf(context), reply),
  )
}

const failedFor =
  (memberId: string) =>
  (errorCode: ErrorCode): JoinResponse => ({ errorCode, memberId })

/** Of a static member its instance id, and behind it what makes a member id of it, must fit into one text. */
const INSTANCE_ID_BYTES_MAX = STRING_BYTES_MAX - 37

/** What a group keeps of it must come back as it was sent. @throws BrokerError */
function checkKept({ protocolType, protocols, groupInstanceId }: JoinGroupRequest): void {
  if (!isUtf8Text(protocolType) || !protocols.every(({ name }) => isUtf8Text(name))) {
    const message = 'The protocol type and the names of protocols must be UTF-8.'
    throw new BrokerError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, message)
  }
  const id = groupInstanceId ?? ''
  if (isUtf8Text(id) && Buffer.byteLength(id) <= INSTANCE_ID_BYTES_MAX) return
  const message = `group.instance.id must be UTF-8 of at most ${INSTANCE_ID_BYTES_MAX} bytes.`
  throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
}

function requestOf(request: JoinGroupRequest, { version }: RequestContext): JoinRequest {
  const { sessionTimeoutMs, rebalanceTimeoutMs } = request
  return {
    ...request,
    rebalanceTimeoutMs: version < REBALANCE_TIMEOUT_SINCE ? sessionTimeoutMs : rebalanceTimeoutMs,
  }
}

function bodyOf(response: JoinResponse, { version }: RequestContext) {
  const { protocolName = null, generationId = -1, members = [] } = response
  return {
    ...response,
    generationId,
    members,
    protocolName: version < NULL_NAME_SINCE ? (protocolName ?? '') : protocolName,
  }
}
