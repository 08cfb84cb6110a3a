/** ListGroups (16), versions 0-5: all groups, from v4 those in some states, from v5 those of some types; case does not matter. */
import { listGroupsApi } from '../protocol/messages/16-list-groups.ts'
import { defineApi } from './handler.ts'

/** How many groups are looked at between two looks at the time. */
const PACED_GROUPS = 1000

export const listGroups = defineApi(listGroupsApi, async (request, { broker, pace }) => {
  const states = new Set(request.statesFilter.map(state => state.trim().toLowerCase()))
  const types = new Set(request.typesFilter.map(type => type.trim().toLowerCase()))
  const groups = []
  for (const shard of broker.groups.shards) {
    let count = 0
    for (const { id, group } of [...shard.entries]) {
      if (++count % PACED_GROUPS === 0) await pace.rest()
      const { state, type } = group
      if (states.size > 0 && !states.has(state.toLowerCase())) continue
      if (types.size > 0 && !types.has(type)) continue
      groups.push({
        groupId: id,
        protocolType: group.protocolType,
        groupState: state,
        groupType: type,
      })
    }
  }
  return { body: { groups } }
})
