/** ConsumerGroupDescribe (69), versions 0-1: epochs, members and assignments of groups of the consumer protocol (KIP-848). */
import { toKafkaError } from '../errors.ts'
import { ConsumerGroup } from '../groups/consumer/consumer-group.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { consumerGroupDescribeApi } from '../protocol/messages/69-consumer-group-describe.ts'
import { GROUP_OPERATIONS, OPERATIONS_NOT_ASKED } from './authorized-operations.ts'
import { checkGroupId } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { NO_ERROR } from './topic-checks.ts'

export const consumerGroupDescribe = defineApi(
  consumerGroupDescribeApi,
  async ({ groupIds, includeAuthorizedOperations }, context) => {
    const once = new Once()
    const groups = await eachPaced(
      groupIds,
      context.pace,
      async groupId => {
        const shown = await describe(groupId, context)
        const isShown = includeAuthorizedOperations && shown.errorCode === ErrorCode.NONE
        const authorizedOperations = isShown ? GROUP_OPERATIONS : OPERATIONS_NOT_ASKED
        return { ...shown, groupId, authorizedOperations }
      },
      groupId => once.isFirst(groupId),
    )
    return { body: { groups } }
  },
)

async function describe(groupId: string, { broker }: RequestContext) {
  try {
    checkGroupId(groupId)
    const found = broker.groups.entry(groupId)
    if (found === undefined || !(found.entry.group instanceof ConsumerGroup)) {
      const errorMessage =
        found === undefined
          ? `Group ${groupId} not found.`
          : `Group ${groupId} is not a consumer group.`
      return { errorCode: ErrorCode.GROUP_ID_NOT_FOUND, errorMessage }
    }
    const shown = found.entry.group.describe()
    await found.shard.settled(found.entry)
    return { ...shown, ...NO_ERROR }
  } catch (error) {
    return toKafkaError(error, broker.log)
  }
}
