import type { Client } from '../../client/client.ts'
import { errorName } from '../../protocol/error-codes.ts'
import { listOffsetsApi } from '../../protocol/messages/02-list-offsets.ts'
import { offsetFetchApi } from '../../protocol/messages/09-offset-fetch.ts'
import type { Cluster, TopicMetadata } from './cluster.ts'
import { CliError, expectNone } from './failure.ts'

/** What ListOffsets takes instead of a time. */
export const LATEST = -1
export const EARLIEST = -2
export const MAX_TIMESTAMP = -3

/** OffsetFetch's last version for one group. */
const ONE_GROUP_VERSION_MAX = 7

export interface FoundOffset {
  /** -1 if there is none. */
  readonly offset: number
  readonly timestamp: number
}

/** For every partition of the topic that has a leader: the offset at a special position, or of the first record at or after a time. */
export async function listOffsets(
  cluster: Cluster,
  topic: TopicMetadata,
  timestamp: number,
): Promise<Map<number, FoundOffset>> {
  const name = topic.name!
  const found = new Map<number, FoundOffset>()
  const asks = [...byLeader(topic)].map(async ([leader, indexes]) => {
    const partitions = indexes.map(partitionIndex => ({ partitionIndex, timestamp }))
    const request = { replicaId: -1, topics: [{ name, partitions }] }
    const answer = await cluster.send(await cluster.broker(leader), listOffsetsApi, request)
    for (const p of answer.topics[0]?.partitions ?? []) {
      if (p.errorCode !== 0) {
        throw new CliError(`${name} partition ${p.partitionIndex}: ${errorName(p.errorCode)}`)
      }
      found.set(p.partitionIndex, p)
    }
  })
  await Promise.all(asks)
  return found
}

/** The partitions of each leader; those without one are left out. */
function byLeader(topic: TopicMetadata): Map<number, number[]> {
  const leaders = new Map<number, number[]>()
  for (const { leaderId, partitionIndex } of topic.partitions) {
    if (leaderId < 0) continue
    leaders.set(leaderId, [...(leaders.get(leaderId) ?? []), partitionIndex])
  }
  return leaders
}

/** OffsetCommit's last version for names; later ones want ids. */
export const COMMIT_NAMES_VERSION_MAX = 9

/** What OffsetCommit takes. */
export function commitTopics(offsets: readonly Committed[]) {
  return [...new Set(offsets.map(({ topic }) => topic))].map(name => ({
    name,
    partitions: offsets
      .filter(({ topic }) => topic === name)
      .map(({ partition, offset }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedMetadata: '',
      })),
  }))
}

/** The ends of the topics that exist. */
export async function endsOf(
  cluster: Cluster,
  names: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<number, FoundOffset>>> {
  if (names.length === 0) return new Map()
  const { topics } = await cluster.metadata(names)
  const existing = topics.filter(topic => topic.errorCode === 0)
  const ends = existing.map(async t => [t.name!, await listOffsets(cluster, t, LATEST)] as const)
  return new Map(await Promise.all(ends))
}

export interface Committed {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** What of it is of this topic, by partition. */
export function offsetsIn(committed: readonly Committed[], name: string): Map<number, number> {
  const ofTopic = committed.filter(({ topic, offset }) => topic === name && offset >= 0)
  return new Map(ofTopic.map(({ partition, offset }) => [partition, offset]))
}

/** All that a group has committed. */
export async function committedOffsets(cluster: Cluster, group: string): Promise<Committed[]> {
  return committedAt(cluster, await cluster.coordinator(group), group)
}

/** The same, asked of the broker that is known to keep the group. */
export async function committedAt(
  cluster: Cluster,
  client: Client,
  group: string,
): Promise<Committed[]> {
  const request = { groupId: group, topics: null }
  const answer = await cluster.send(client, offsetFetchApi, request, ONE_GROUP_VERSION_MAX)
  expectNone(answer.errorCode, `offsets of group ${group}`)
  return answer.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex: partition, committedOffset: offset, errorCode }) => {
      expectNone(errorCode, `offset of group ${group} in ${name} partition ${partition}`)
      return { topic: name, partition, offset }
    }),
  )
}
