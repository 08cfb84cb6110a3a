import { ClassicMember } from '../classic/member.ts'
import { Membership } from '../classic/membership.ts'
import type { ClassicGroupState, ClassicMemberState } from '../group.ts'
import type { Core } from './core.ts'
import { CONSUMER_PROTOCOL_TYPE, encodeAssignment } from './embedded-protocol.ts'
import type { Standing } from './reconcile.ts'

/** The members of the classic protocol as a group of their own, in the generation that they know. */
export function downgraded({ store, context, downgrade }: Core): ClassicGroupState {
  const needsRebalance = downgrade?.needsRebalance ?? true
  const common = new Membership()
  common.protocolType = CONSUMER_PROTOCOL_TYPE
  const members = [...store.members.values()].map((member): ClassicMemberState => {
    const { memberId, info, standing } = member
    const { sessionTimeoutMs, supportedProtocols: protocols } = info.classicMemberMetadata!
    const { instanceId, clientId, clientHost, rebalanceTimeoutMs } = info
    // Until the group has rebalanced, what a member has: if a consumer comes before that, nobody else is given it.
    const assignment = encodeAssignment(
      needsRebalance ? held(standing) : store.targetFor(memberId),
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
    needsRebalance,
  }
}

/** All that a member may be consuming, also what it has been told to give up. */
function held({ assigned, revoking }: Standing): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const [topicId, epochs] of [...assigned, ...revoking]) {
    found.set(topicId, [...(found.get(topicId) ?? []), ...epochs.keys()])
  }
  return found
}
