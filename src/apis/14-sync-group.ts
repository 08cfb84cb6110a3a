/**
 * SyncGroup (14), versions 0-5: the leader's gives everybody's assignment; all are answered when it is flushed.
 */
import { BrokerError, toKafkaError } from '../errors.ts'
import type { SyncResponse } from '../groups/group.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type SyncGroupRequest, syncGroupApi } from '../protocol/messages/14-sync-group.ts'
import { checkGroupId, clientOf, parked } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'

/** From here on type and name must be given (KIP-559). */
const PROTOCOL_SINCE = 5

export const syncGroup = defineApi(
  syncGroupApi,
  (request, context) => answer(sync(request, context), context),
  { sideBySide: true, waits: true },
)

/** A sync may wait for minutes: nothing from here on knows the request, whose memory is free meanwhile. */
async function answer(synced: Promise<SyncResponse>, context: RequestContext) {
  try {
    return { body: await synced }
  } catch (error) {
    return { body: { errorCode: toKafkaError(error, context.broker.log).errorCode } }
  }
}

async function sync(request: SyncGroupRequest, context: RequestContext): Promise<SyncResponse> {
  const { groupId, protocolType, protocolName } = request
  if (context.version >= PROTOCOL_SINCE && (protocolType === null || protocolName === null)) {
    const message = 'The protocol type and name are missing.'
    throw new BrokerError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, message)
  }
  checkGroupId(groupId)
  const shard = await context.broker.groups.shardFor(groupId)
  const entry = shard.find(groupId)
  if (entry === undefined || entry.group.isEmpty) return { errorCode: ErrorCode.UNKNOWN_MEMBER_ID }
  return parked<SyncResponse>(shard, entry, context, failed, reply =>
    entry.group.sync(request, clientOf(context), reply),
  )
}

const failed = (errorCode: ErrorCode): SyncResponse => ({ errorCode })
