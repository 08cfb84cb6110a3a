import { MEMBER_BYTES, NAME_BYTES, PARTITION_BYTES, PROTOCOL_BYTES } from '../memory.ts'
import type { MemberInfo } from './member.ts'
import type { ResolvedPattern } from './subscriptions.ts'

/** Names are kept by the member, and in the subscription that it shares with others. */
const NAME_COPIES = 2

function namesBytes(names: Iterable<string>): number {
  let bytes = 0
  for (const name of names) bytes += name.length + NAME_BYTES
  return bytes
}

/** What a member takes in memory for what it says of itself. */
export function infoBytes(info: MemberInfo): number {
  const { instanceId, rackId, clientId, clientHost, subscribedTopicRegex: pattern } = info
  let bytes = MEMBER_BYTES + NAME_COPIES * namesBytes(info.subscribedTopicNames)
  for (const text of [instanceId, rackId, clientId, clientHost, pattern]) bytes += text?.length ?? 0
  for (const { name, metadata } of info.classicMemberMetadata?.supportedProtocols ?? []) {
    bytes += PROTOCOL_BYTES + name.length + metadata.length
  }
  return bytes
}

/** What partitions by topic take, whether targets or what members have. */
export function partitionsBytes(
  partitions: ReadonlyMap<string, { readonly length: number } | { readonly size: number }>,
): number {
  let bytes = 0
  for (const list of partitions.values()) {
    bytes += NAME_BYTES + PARTITION_BYTES * ('length' in list ? list.length : list.size)
  }
  return bytes
}

export function patternBytes(pattern: string, { topics }: ResolvedPattern): number {
  return pattern.length + namesBytes(topics)
}
