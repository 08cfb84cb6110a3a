/**
 * DescribeGroups (15), versions 0-6: state and members of classic groups. A group that is not there, or is of the consumer
 * protocol, is Dead; from v6 also with GROUP_ID_NOT_FOUND (KIP-1043).
 */
import { toKafkaError } from '../errors.ts'
import { ClassicGroup } from '../groups/classic/classic-group.ts'
import { NO_ASSIGNMENT } from '../groups/classic/member.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { describeGroupsApi } from '../protocol/messages/15-describe-groups.ts'
import { GROUP_OPERATIONS, OPERATIONS_NOT_ASKED } from './authorized-operations.ts'
import { checkGroupId } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { NO_ERROR } from './topic-checks.ts'

const NOT_FOUND_SINCE = 6

export const describeGroups = defineApi(describeGroupsApi, async (request, context) => {
  const once = new Once()
  const groups = await eachPaced(
    request.groups,
    context.pace,
    groupId => describe(groupId, request.includeAuthorizedOperations, context),
    groupId => once.isFirst(groupId),
  )
  return { body: { groups } }
})

async function describe(groupId: string, withOperations: boolean, context: RequestContext) {
  const { broker, version } = context
  try {
    checkGroupId(groupId)
    const found = broker.groups.entry(groupId)
    const authorizedOperations = withOperations ? GROUP_OPERATIONS : OPERATIONS_NOT_ASKED
    if (found === undefined || !(found.entry.group instanceof ClassicGroup)) {
      if (version >= NOT_FOUND_SINCE) return { groupId, ...missing(groupId, found !== undefined) }
      return { groupId, ...NO_ERROR, groupState: 'Dead', authorizedOperations }
    }
    const shown = shownOf(found.entry.group)
    await found.shard.settled(found.entry)
    return { groupId, ...NO_ERROR, ...shown, authorizedOperations }
  } catch (error) {
    const { errorCode, errorMessage } = toKafkaError(error, broker.log)
    // Older versions have no place for the message.
    return { groupId, errorCode, errorMessage: version >= NOT_FOUND_SINCE ? errorMessage : null }
  }
}

function missing(groupId: string, isOther: boolean) {
  const errorMessage = isOther
    ? `Group ${groupId} is not a classic group.`
    : `Group ${groupId} not found.`
  return { errorCode: ErrorCode.GROUP_ID_NOT_FOUND, errorMessage, groupState: 'Dead' }
}

/** What members say is shown of a stable group only, what they have always. */
function shownOf(group: ClassicGroup) {
  const isStable = group.state === 'Stable'
  return {
    groupState: group.state,
    protocolType: group.protocolType,
    protocolData: isStable ? (group.protocol ?? '') : '',
    members: [...group.members].map(member => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? member.metadata(group.protocol) : NO_ASSIGNMENT,
      // What it had before the rebalance, until there is a new one.
      memberAssignment: member.assignment,
    })),
  }
}
