import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { ConsumerGroupHeartbeatRequest } from '../../protocol/messages/68-consumer-group-heartbeat.ts'
import { isUtf8Text } from '../../protocol/reader.ts'
import type { ClientInfo } from '../group.ts'
import { LEFT_FOR_A_WHILE, type MemberInfo } from './member.ts'

/** From this version on, members make their ids themselves (KIP-1082). */
const MEMBER_ID_REQUIRED_SINCE = 1
/** Characters of all topic names that a member may subscribe to: what it says is kept in one record. Kafka has no bound. */
const SUBSCRIPTION_CHARS_MAX = 256 * 1024
export const JOINING = 0
const LEAVING = -1

type Request = ConsumerGroupHeartbeatRequest

/**
 * What can be wrong with a request whatever the group.
 * @throws BrokerError INVALID_REQUEST, UNSUPPORTED_ASSIGNOR
 */
export function checkHeartbeat(
  request: Request,
  version: number,
  assignors: readonly string[],
): void {
  const { memberEpoch, serverAssignor } = request
  const needsMemberId =
    version >= MEMBER_ID_REQUIRED_SINCE || memberEpoch > JOINING || memberEpoch === LEAVING
  if (needsMemberId && request.memberId === '') refuse('MemberId may not be empty.')
  if (request.groupId === '') refuse('GroupId may not be empty.')
  if (request.instanceId === '') refuse('InstanceId may not be empty.')
  if (request.rackId === '') refuse('RackId may not be empty.')
  checkTexts(request)
  let chars = 0
  for (const name of request.subscribedTopicNames ?? []) chars += name.length
  if (chars > SUBSCRIPTION_CHARS_MAX) refuse(`SubscribedTopicNames have ${chars} characters.`)
  if (memberEpoch === JOINING) checkJoin(request)
  if (memberEpoch < LEFT_FOR_A_WHILE) refuse(`MemberEpoch ${memberEpoch} means nothing.`)
  if (memberEpoch === LEFT_FOR_A_WHILE && request.instanceId === null) {
    refuse('InstanceId may not be null when a static member leaves for a while.')
  }
  if (serverAssignor !== null && !assignors.includes(serverAssignor)) {
    const message = `ServerAssignor ${serverAssignor} is not among ${assignors.join(', ')}.`
    throw new BrokerError(ErrorCode.UNSUPPORTED_ASSIGNOR, message)
  }
}

/** What is kept of it must come back as it was sent. */
function checkTexts(request: Request): void {
  const { groupId, memberId, instanceId, rackId, subscribedTopicRegex } = request
  const texts = { groupId, memberId, instanceId, rackId, subscribedTopicRegex }
  for (const [name, text] of Object.entries(texts)) {
    if (text !== null && !isUtf8Text(text)) refuse(`${name} is no UTF-8.`)
  }
  const isText = request.subscribedTopicNames?.every(isUtf8Text) ?? true
  if (!isText) refuse('SubscribedTopicNames are no UTF-8.')
}

function checkJoin(request: Request): void {
  if (request.rebalanceTimeoutMs === -1) refuse('RebalanceTimeoutMs is needed to join.')
  if (request.topicPartitions?.length !== 0) refuse('TopicPartitions must be empty when joining.')
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    refuse('SubscribedTopicNames or SubscribedTopicRegex is needed to join.')
  }
}

function refuse(message: string): never {
  throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
}

/** All that is only left out where nothing has changed is there: the answer has the assignment, changed or not. */
export function isFullRequest(request: Request): boolean {
  return (
    request.rebalanceTimeoutMs !== -1 &&
    (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null) &&
    request.topicPartitions !== null
  )
}

/** What a member says of itself with this request. @returns the very same info if that is nothing new */
export function describedBy(info: MemberInfo, request: Request, client: ClientInfo): MemberInfo {
  const next: MemberInfo = {
    instanceId: request.instanceId ?? info.instanceId,
    rackId: request.rackId ?? info.rackId,
    clientId: client.clientId,
    clientHost: client.clientHost,
    subscribedTopicNames: namesOf(request.subscribedTopicNames, info.subscribedTopicNames),
    subscribedTopicRegex: request.subscribedTopicRegex ?? info.subscribedTopicRegex,
    rebalanceTimeoutMs:
      request.rebalanceTimeoutMs === -1 ? info.rebalanceTimeoutMs : request.rebalanceTimeoutMs,
    serverAssignor: request.serverAssignor ?? info.serverAssignor,
    classicMemberMetadata: null,
  }
  return sameInfo(info, next) ? info : next
}

/** @returns names once and in order; the old ones if they are the same or there are no new ones */
export function namesOf(names: readonly string[] | null, old: string[]): string[] {
  if (names === null) return old
  const sorted = [...new Set(names)].sort()
  return sorted.length === old.length && sorted.every((name, i) => name === old[i]) ? old : sorted
}

/** But for the metadata of the classic protocol, which must both be missing. */
function sameInfo(a: MemberInfo, b: MemberInfo): boolean {
  return (
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.subscribedTopicNames === b.subscribedTopicNames &&
    a.subscribedTopicRegex === b.subscribedTopicRegex &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.serverAssignor === b.serverAssignor &&
    a.classicMemberMetadata === null &&
    b.classicMemberMetadata === null
  )
}
