import { ClassicMember } from '../classic/member.ts'
import { Membership } from '../classic/membership.ts'
import type { ClassicGroupState, ClassicMemberState } from '../group.ts'
import type { Core } from './core.ts'
import { CONSUMER_PROTOCOL_TYPE, encodeAssignment } from './embedded-protocol.ts'

/** The members of the classic protocol as a group of their own, in the generation that they know. */
export function downgraded({ store, context, downgrade }: Core): ClassicGroupState {
  const common = new Membership()
  common.protocolType = CONSUMER_PROTOCOL_TYPE
  const members = [...store.members.values()].map(({ memberId, info }): ClassicMemberState => {
    const { sessionTimeoutMs, supportedProtocols: protocols } = info.classicMemberMetadata!
    const { instanceId, clientId, clientHost, rebalanceTimeoutMs } = info
    const assignment = encodeAssignment(
      store.targetFor(memberId),
      protocols[0]!.metadata,
      context.topics,
    )
    return {
      ...{ memberId, instanceId, clientId, clientHost },
      ...{ rebalanceTimeoutMs, sessionTimeoutMs, protocols, assignment },
    }
  })
  for (const member of members) common.add(new ClassicMember(member))
  return {
    protocolType: CONSUMER_PROTOCOL_TYPE,
    generation: store.epoch,
    protocol: common.selectProtocol(),
    leaderId: null,
    members,
    needsRebalance: downgrade?.needsRebalance ?? true,
  }
}
