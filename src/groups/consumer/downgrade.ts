import { ClassicMember } from '../classic/member.ts'
import { Membership } from '../classic/membership.ts'
import type { ClassicGroupState, ClassicMemberState } from '../group.ts'
import { CONSUMER_PROTOCOL_TYPE } from '../group.ts'
import type { Core } from './core.ts'
import { encodeAssignment } from './embedded-protocol.ts'
import type { Member } from './member.ts'
import type { Standing } from './reconcile.ts'
import type { Store } from './store.ts'

/** The members of the classic protocol as a group of their own, in the generation that they know. */
export function downgraded({ store, context, downgrade }: Core): ClassicGroupState {
  const needsRebalance = downgrade?.needsRebalance ?? true
  const members = [...store.members.values()].map((member): ClassicMemberState => {
    const described = describedAs(member)
    // Until the group has rebalanced, what a member has: if a consumer comes before that, nobody else is given it.
    const assignment = encodeAssignment(
      needsRebalance ? held(member.standing) : store.targetFor(member.memberId),
      described.protocols[0]!.metadata,
      context.topics,
    )
    return { ...described, assignment }
  })
  return {
    protocolType: CONSUMER_PROTOCOL_TYPE,
    generation: store.epoch,
    protocol: commonProtocol(store),
    leaderId: null,
    members,
    needsRebalance,
  }
}

/** The protocol that a classic group of these members chooses. */
export function commonProtocol(store: Store): string {
  const common = new Membership()
  common.protocolType = CONSUMER_PROTOCOL_TYPE
  for (const member of store.members.values()) common.add(new ClassicMember(describedAs(member)))
  return common.selectProtocol()
}

function describedAs({ memberId, info }: Member): Omit<ClassicMemberState, 'assignment'> {
  const { sessionTimeoutMs, supportedProtocols: protocols } = info.classicMemberMetadata!
  const { instanceId, clientId, clientHost, rebalanceTimeoutMs } = info
  return {
    ...{ memberId, instanceId, clientId, clientHost },
    ...{ rebalanceTimeoutMs, sessionTimeoutMs, protocols },
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
