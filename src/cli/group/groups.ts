import type { Client } from '../../client/client.ts'
import { parseAssignment } from '../../protocol/consumer-bytes.ts'
import { describeGroupsApi } from '../../protocol/messages/15-describe-groups.ts'
import { listGroupsApi } from '../../protocol/messages/16-list-groups.ts'
import { consumerGroupDescribeApi } from '../../protocol/messages/69-consumer-group-describe.ts'
import type { Cluster } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'

export interface ListedGroup {
  readonly group: string
  /** '' from a broker that does not say. */
  readonly type: string
  readonly state: string
  readonly protocolType: string
}

export interface Member {
  readonly id: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly host: string
  /** null if its protocol is not a consumer's, or it cannot be read. */
  readonly assigned: readonly { topic: string; partitions: readonly number[] }[] | null
}

export interface Membership {
  readonly state: string
  readonly protocol: string
  readonly members: readonly Member[]
}

/** The groups that a broker coordinates. */
export async function listGroups(cluster: Cluster, broker: Client): Promise<ListedGroup[]> {
  const { errorCode, groups } = await cluster.send(broker, listGroupsApi, {})
  expectNone(errorCode, 'groups')
  return groups.map(g => ({
    group: g.groupId,
    type: g.groupType.toLowerCase(),
    state: g.groupState,
    protocolType: g.protocolType,
  }))
}

/** A group as its coordinator lists it; undefined if there is none. */
export async function findGroup(cluster: Cluster, name: string): Promise<ListedGroup | undefined> {
  const found = await listGroups(cluster, await cluster.coordinator(name))
  return found.find(({ group }) => group === name)
}

/** Whether it is of consumers, with offsets, rather than a share or a streams group. */
export const isOfConsumers = ({ type }: ListedGroup): boolean =>
  ['classic', 'consumer', ''].includes(type)

export function noGroup(name: string): CliError {
  return new CliError(`group ${name} does not exist: odradek group list shows those that do`)
}

/** @throws CliError for a group that is not one of consumers */
export function membershipOf(cluster: Cluster, listed: ListedGroup): Promise<Membership> {
  const { group, type } = listed
  if (type === 'consumer') return consumerMembership(cluster, group)
  if (isOfConsumers(listed)) return classicMembership(cluster, group)
  throw new CliError(
    `group ${group} is of type ${type}: only classic and consumer groups are known here`,
  )
}

async function consumerMembership(cluster: Cluster, group: string): Promise<Membership> {
  const client = await cluster.coordinator(group)
  const { groups } = await cluster.send(client, consumerGroupDescribeApi, { groupIds: [group] })
  const found = groups[0]!
  expectNone(found.errorCode, `group ${group}`, found.errorMessage)
  const members = found.members.map(m => ({
    id: m.memberId,
    instanceId: m.instanceId,
    clientId: m.clientId,
    host: m.clientHost,
    assigned: m.assignment.topicPartitions.map(t => ({
      topic: t.topicName,
      partitions: t.partitions,
    })),
  }))
  return { state: found.groupState, protocol: found.assignorName, members }
}

async function classicMembership(cluster: Cluster, group: string): Promise<Membership> {
  const client = await cluster.coordinator(group)
  const { groups } = await cluster.send(client, describeGroupsApi, { groups: [group] })
  const found = groups[0]!
  expectNone(found.errorCode, `group ${group}`, found.errorMessage)
  const members = found.members.map(m => ({
    id: m.memberId,
    instanceId: m.groupInstanceId,
    clientId: m.clientId,
    host: m.clientHost,
    assigned: found.protocolType === 'consumer' ? assignedBy(m.memberAssignment) : null,
  }))
  return { state: found.groupState, protocol: found.protocolData, members }
}

/** Opaque bytes that only the members agree on: they may hold anything. Empty until the group is stable. */
const assignedBy = (bytes: Buffer): Member['assigned'] =>
  parseAssignment(bytes)?.assignedPartitions ?? null
