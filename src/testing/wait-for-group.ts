import type { BrokerNode } from '../broker.ts'
import type { ClassicGroup } from '../groups/classic/classic-group.ts'
import type { ConsumerGroup } from '../groups/consumer/consumer-group.ts'
import type { Group } from '../groups/group.ts'
import { parseAssignment } from '../protocol/consumer-bytes.ts'
import { Deadline, type WaitOptions } from './deadline.ts'

export interface GroupWaitOptions extends WaitOptions {
  /** So many members, not one more or less; by default at least one. */
  readonly members?: number
}

export interface GroupMember {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  /** Its partitions by topic, in order: `{ orders: [0, 1] }`. Empty for members that are no consumers (Kafka Connect's). */
  readonly assignment: Readonly<Record<string, readonly number[]>>
}

/** A group as it was when the wait ended. */
export interface StableGroup {
  readonly groupId: string
  /** Which of Kafka's protocols its members speak. */
  readonly type: 'classic' | 'consumer'
  readonly members: readonly GroupMember[]
}

/**
 * Resolves when every member of the group has its partitions. @throws WaitTimeout
 * @internal
 */
export async function waitForGroupStable(
  node: BrokerNode,
  groupId: string,
  options: GroupWaitOptions,
  closed: AbortSignal,
): Promise<StableGroup> {
  const deadline = new Deadline(options, closed)
  const find = (): Group | undefined => node.groups.entry(groupId)?.entry.group
  try {
    return await deadline.poll(
      () => stable(groupId, find(), options.members),
      () =>
        `Group '${groupId}' was not stable${expected(options.members)} after ${deadline.timeout} ms: ${shown(node, find())}`,
    )
  } finally {
    deadline.clear()
  }
}

function stable(
  groupId: string,
  group: Group | undefined,
  count: number | undefined,
): StableGroup | undefined {
  if (group?.state !== 'Stable') return undefined
  const members = membersOf(group)
  if (count !== undefined && members.length !== count) return undefined
  return { groupId, type: group.type, members }
}

type Assigned = readonly (readonly [topic: string, partitions: readonly number[]])[]

function membersOf(group: Group): GroupMember[] {
  if (group.type === 'consumer') {
    return (group as ConsumerGroup).describe().members.map(member => {
      const { topicPartitions } = member.assignment
      return withAssignment(
        member,
        topicPartitions.map(({ topicName, partitions }) => [topicName, partitions]),
      )
    })
  }
  const { members, protocolType } = group as ClassicGroup
  return [...members].map(member => {
    const given = protocolType === 'consumer' ? parseAssignment(member.assignment) : null
    const assigned = given?.assignedPartitions ?? []
    return withAssignment(
      member,
      assigned.map(({ topic, partitions }) => [topic, partitions]),
    )
  })
}

function withAssignment(
  { memberId, clientId, clientHost }: Omit<GroupMember, 'assignment'>,
  assigned: Assigned,
): GroupMember {
  const sorted = assigned.map(([topic, partitions]) => [
    topic,
    [...partitions].sort((a, b) => a - b),
  ])
  return { memberId, clientId, clientHost, assignment: Object.fromEntries(sorted) }
}

function expected(members: number | undefined): string {
  return members === undefined ? '' : ` with ${counted(members)}`
}

function shown(node: BrokerNode, group: Group | undefined): string {
  if (group === undefined) {
    const others = node.groups.shards.flatMap(shard => [...shard.entries].map(({ id }) => id))
    return others.length === 0
      ? 'no client has joined any group.'
      : `no client has joined it; there is ${others.map(id => `'${id}'`).join(', ')}.`
  }
  const members = membersOf(group)
  const who = members.map(({ clientId, clientHost }) => `${clientId} at ${clientHost.slice(1)}`)
  return `it is ${group.state} with ${counted(members.length)}${who.length === 0 ? '' : ` (${who.join(', ')})`}.`
}

function counted(members: number): string {
  return members === 1 ? '1 member' : `${members} members`
}
