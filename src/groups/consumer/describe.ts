import type { ConsumerGroupDescribeResponse } from '../../protocol/messages/69-consumer-group-describe.ts'
import type { GroupContext } from '../group.ts'
import type { Member } from './member.ts'
import type { Store } from './store.ts'

type Described = ConsumerGroupDescribeResponse['groups'][number]
/** The fields of a ConsumerGroupDescribe answer that the group itself knows. */
export type DescribedConsumerGroup = Omit<
  Described,
  'errorCode' | 'errorMessage' | 'authorizedOperations'
>
type DescribedMember = Described['members'][number]

const MemberType = { CLASSIC: 0, CONSUMER: 1 } as const

export function describe(
  store: Store,
  groupState: string,
  context: GroupContext,
): DescribedConsumerGroup {
  return {
    groupId: store.groupId,
    groupState,
    groupEpoch: store.epoch,
    assignmentEpoch: store.targetEpoch,
    assignorName: store.preferredAssignor(context.settings.consumerAssignors),
    members: [...store.members.values()].map(member => describeMember(member, store, context)),
  }
}

function describeMember(member: Member, store: Store, context: GroupContext): DescribedMember {
  const { memberId, info, standing } = member
  // A member answers for what it is to give up until it has.
  const held = new Map([...standing.assigned].map(([id, epochs]) => [id, [...epochs.keys()]]))
  for (const [id, epochs] of standing.revoking) {
    held.set(
      id,
      [...(held.get(id) ?? []), ...epochs.keys()].sort((a, b) => a - b),
    )
  }
  return {
    memberId,
    instanceId: info.instanceId,
    rackId: info.rackId,
    memberEpoch: standing.epoch,
    clientId: info.clientId,
    clientHost: info.clientHost,
    subscribedTopicNames: info.subscribedTopicNames,
    subscribedTopicRegex: info.subscribedTopicRegex,
    assignment: named(held, context),
    targetAssignment: named(store.targetFor(memberId), context),
    memberType: member.usesClassicProtocol ? MemberType.CLASSIC : MemberType.CONSUMER,
  }
}

/** What is of topics that are gone is left out. */
function named(
  partitionsByTopic: Iterable<readonly [string, readonly number[]]>,
  { topics }: GroupContext,
): DescribedMember['assignment'] {
  const topicPartitions: DescribedMember['assignment']['topicPartitions'] = []
  for (const [topicId, partitions] of partitionsByTopic) {
    const topicName = topics.byId(topicId)?.name
    if (topicName !== undefined)
      topicPartitions.push({ topicId, topicName, partitions: [...partitions] })
  }
  return { topicPartitions }
}
