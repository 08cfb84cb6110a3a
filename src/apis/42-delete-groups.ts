/** DeleteGroups (42), versions 0-2: removes groups without members, with their offsets; each has an outcome of its own. */
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { deleteGroupsApi } from '../protocol/messages/42-delete-groups.ts'
import { unknownGroup } from './groups.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'

export const deleteGroups = defineApi(deleteGroupsApi, async (request, { broker, pace }) => {
  const once = new Once()
  const results = await eachPaced(
    request.groupsNames,
    pace,
    async groupId => ({ groupId, errorCode: await remove(groupId, broker) }),
    groupId => once.isFirst(groupId),
  )
  return { body: { results } }
})

async function remove(groupId: string, broker: RequestContext['broker']): Promise<ErrorCode> {
  try {
    const found = broker.groups.entry(groupId)
    if (found === undefined) throw unknownGroup(groupId)
    const { shard, entry } = found
    shard.log.throwIfClosed()
    if (!entry.group.isEmpty) {
      throw new BrokerError(ErrorCode.NON_EMPTY_GROUP, `Group ${groupId} has members.`)
    }
    shard.delete(entry)
    return await shard.answer(entry, failure => failure)
  } catch (error) {
    return toKafkaError(error, broker.log).errorCode
  }
}
