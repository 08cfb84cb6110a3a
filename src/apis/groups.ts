import { BrokerError, toKafkaError } from '../errors.ts'
import type { GroupEntry } from '../groups/entry.ts'
import type { ClientInfo } from '../groups/group.ts'
import type { Shard } from '../groups/shard.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { isUtf8Text } from '../protocol/reader.ts'
import type { RequestContext } from './handler.ts'

/** What is shared by the APIs of groups. */

export function clientOf({ clientId, peer, version }: RequestContext): ClientInfo {
  return { clientId, clientHost: `/${peer.slice(0, peer.lastIndexOf(':'))}`, version }
}

/** @throws BrokerError INVALID_GROUP_ID */
export function checkGroupId(groupId: string): void {
  if (groupId === '') {
    throw new BrokerError(ErrorCode.INVALID_GROUP_ID, 'A group id may not be empty.')
  }
  checkKeptGroupId(groupId)
}

/** Where it may be empty, as for commits of those who are in no group. @throws BrokerError INVALID_GROUP_ID */
export function checkKeptGroupId(groupId: string): void {
  if (isUtf8Text(groupId)) return
  throw new BrokerError(ErrorCode.INVALID_GROUP_ID, 'A group id must be UTF-8.')
}

export function unknownGroup(groupId: string): BrokerError {
  return new BrokerError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${groupId} not found.`)
}

/**
 * Runs a request on a group and answers when all that it rests on is flushed. What it throws becomes an answer by `failed`.
 */
export async function onGroup<R>(
  shard: Shard,
  entry: GroupEntry,
  context: RequestContext,
  action: () => R,
  failed: (errorCode: ErrorCode, message: string) => R,
): Promise<R> {
  try {
    const answer = shard.run(entry, action)
    await shard.settled(entry)
    return answer
  } catch (error) {
    const { errorCode, errorMessage } = toKafkaError(error, context.broker.log)
    return failed(errorCode, errorMessage)
  }
}
