import { BrokerError } from '../../errors.ts'
import { parseAssignment, parseSubscription } from '../../protocol/consumer-bytes.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { ClassicGroupState, ClassicMemberState, GroupContext } from '../group.ts'
import { CONSUMER_PROTOCOL_TYPE } from '../group.ts'
import { given, type Target } from './assignment.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { byTopicId } from './embedded-protocol.ts'
import type { MemberInfo } from './member.ts'
import { MemberState } from './reconcile.ts'
import { type ConsumerRecord, Store } from './store.ts'
import { metadataHash } from './subscriptions.ts'

function refuse(message: string, errorCode: ErrorCode = ErrorCode.GROUP_ID_NOT_FOUND): never {
  throw new BrokerError(errorCode, `The classic group cannot be upgraded: ${message}`)
}

/**
 * The group that takes the place of a classic one, with all its members, because a member of the consumer protocol is about to
 * join: everybody keeps what it has, and is to have just that until the next epoch. Its records are written; if it
 * throws, nothing has happened.
 * @throws BrokerError GROUP_ID_NOT_FOUND if the group cannot move, GROUP_MAX_SIZE_REACHED
 */
export function upgradeFrom(classic: ClassicGroupState, context: GroupContext): ConsumerGroup {
  const records = upgradeRecords(classic, context)
  const group = new ConsumerGroup(context)
  for (const record of records) group.replay(record)
  group.loaded()
  context.write(records)
  return group
}

function upgradeRecords(classic: ClassicGroupState, context: GroupContext): ConsumerRecord[] {
  const { consumerMigrationPolicy: policy, consumerSizeMax } = context.settings
  if (policy !== 'bidirectional' && policy !== 'upgrade') refuse('upgrades are switched off.')
  if (classic.protocolType !== CONSUMER_PROTOCOL_TYPE) refuse('its members are not consumers.')
  if (classic.members.length > consumerSizeMax) refuse('it has too many members.')
  if (classic.members.length === consumerSizeMax) {
    refuse('there is no room for another member.', ErrorCode.GROUP_MAX_SIZE_REACHED)
  }
  const store = new Store(context.groupId)
  const records: ConsumerRecord[] = []
  const put = (record: ConsumerRecord): void => {
    if (!context.fits(record)) refuse('what a member says or has is too large to be kept.')
    store.apply(record)
    records.push(record)
  }
  // Where no rebalance has been completed, nobody knows of a generation.
  const epoch = Math.max(classic.generation, 1)
  for (const member of classic.members) {
    put(store.memberRecord(member.memberId, infoOf(member, classic.protocol)))
  }
  const taken = new Set<string>()
  for (const member of classic.members) {
    const target = targetOf(member, context, taken)
    put(store.targetRecord(member.memberId, target))
    put(
      store.standingRecord(member.memberId, {
        epoch,
        previousEpoch: epoch,
        state: MemberState.STABLE,
        assigned: given(target, epoch),
        revoking: new Map(),
      }),
    )
  }
  put(store.targetEpochRecord(epoch, 0))
  put(store.epochRecord(epoch, metadataHash(store.subscriptions.allTopics(context.topics))))
  return records
}

function infoOf(member: ClassicMemberState, protocol: string | null): MemberInfo {
  // What it subscribes to is the same under all of its protocols.
  const chosen = member.protocols.find(({ name }) => name === protocol) ?? member.protocols[0]
  const subscription = chosen === undefined ? null : parseSubscription(chosen.metadata)
  if (subscription === null) refuse('a subscription cannot be read.')
  return {
    instanceId: member.instanceId,
    rackId: subscription.rackId === '' ? null : subscription.rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...new Set(subscription.topics)].sort(),
    subscribedTopicRegex: '',
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    serverAssignor: null,
    classicMemberMetadata: {
      sessionTimeoutMs: member.sessionTimeoutMs,
      supportedProtocols: member.protocols.map(p => ({ ...p })),
    },
  }
}

function targetOf(
  { assignment }: ClassicMemberState,
  context: GroupContext,
  taken: Set<string>,
): Target {
  const parsed = parseAssignment(assignment)
  if (parsed === null) refuse('an assignment cannot be read.')
  if (parsed.userData !== null && parsed.userData.length > 0) {
    refuse('its assignor keeps data of its own, which would be lost.')
  }
  const target = byTopicId(parsed.assignedPartitions, context.topics)
  for (const [topicId, partitions] of target) {
    for (const partition of partitions) {
      const key = `${topicId}-${partition}`
      if (taken.has(key)) refuse('its assignor gives a partition to several members.')
      taken.add(key)
    }
  }
  return target
}
