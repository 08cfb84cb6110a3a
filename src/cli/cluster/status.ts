import type { Command } from 'commander'
import { describeClusterApi } from '../../protocol/messages/60-describe-cluster.ts'
import {
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
  describeTopicPartitionsApi,
} from '../../protocol/messages/75-describe-topic-partitions.ts'
import { Cluster, type TopicMetadata } from '../base/cluster.ts'
import { expectNone } from '../base/failure.ts'
import { type ClusterFlags, clusterCommand, examples } from '../base/options.ts'
import { type Cell, paint, plural, print, table } from '../base/output.ts'

interface StatusFlags extends ClusterFlags {
  readonly all?: boolean
}

/** A partition, and who has it. */
interface PartitionStatus {
  readonly topic: string
  readonly partition: number
  /** -1: nobody. */
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Who may lead besides the ISR; null: the cluster does not tell. */
  readonly elr: readonly number[] | null
}

export function defineStatus(parent: Command): void {
  const command = clusterCommand(
    parent,
    'status',
    'brokers, what each leads and holds, and the partitions that are offline or under-replicated',
  )
    .option('--all', 'list all partitions')
    .option('--json', 'print JSON')
    .action(status)
  examples(command, 'odradek cluster status', 'odradek cluster status --all --json')
}

async function status(flags: StatusFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const { topics } = await cluster.metadata(null)
  const found = await cluster.send(cluster.any, describeClusterApi, {})
  expectNone(found.errorCode, 'cluster', found.errorMessage)
  const partitions = await partitionsOf(cluster, topics, flags.all === true)
  const offline = partitions.filter(p => p.leader < 0)
  const underReplicated = partitions.filter(isUnderReplicated)
  const brokers = brokersOf(found.brokers, partitions)
  const value = {
    clusterId: found.clusterId,
    controller: found.controllerId,
    topics: topics.length,
    partitionCount: partitions.length,
    brokers,
    offline,
    underReplicated,
    ...(flags.all && { partitions }),
  }
  print(flags.json, value, () => {
    const rows = brokers.map(b => [
      ...[b.id, b.isThere ? 'there' : 'gone', b.host, b.port, b.rack],
      ...[b.leads, b.replicas, b.inSync],
    ])
    const controller = value.controller < 0 ? 'no controller' : `controller ${value.controller}`
    const counts = `${plural(topics.length, 'topic')} with ${plural(partitions.length, 'partition')}`
    return [
      `cluster ${value.clusterId}, ${controller}, ${counts}`,
      table(['BROKER', 'STATE', 'HOST', 'PORT', 'RACK', 'LEADS', 'REPLICAS', 'IN SYNC'], rows),
      ...partitionLines(flags.all ? partitions : [...offline, ...underReplicated]),
      summaryOf(offline.length, underReplicated.length),
    ].join('\n')
  })
}

/** Those without a leader are no better, but they are told as offline. */
const isUnderReplicated = ({ leader, isr, replicas }: PartitionStatus): boolean =>
  leader >= 0 && isr.length < replicas.length

async function partitionsOf(
  cluster: Cluster,
  topics: readonly TopicMetadata[],
  isAll: boolean,
): Promise<PartitionStatus[]> {
  const all = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex: partition, leaderId: leader, replicaNodes, isrNodes }) => {
      const ids = { replicas: replicaNodes, isr: isrNodes.sort((a, b) => a - b) }
      return { topic: name!, partition, leader, ...ids, elr: null }
    }),
  )
  const asked = all.filter(one => isAll || one.leader < 0 || isUnderReplicated(one))
  const elrs = await elrsOf(cluster, [...new Set(asked.map(({ topic }) => topic))])
  return all
    .map(one => ({ ...one, elr: elrs.get(`${one.topic}-${one.partition}`) ?? null }))
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
}

/** By topic and partition, page by page. Kafka before 3.8 does not know them. */
async function elrsOf(cluster: Cluster, topics: readonly string[]) {
  const found = new Map<string, readonly number[]>()
  if (topics.length === 0 || !cluster.any.serves(describeTopicPartitionsApi)) return found
  let cursor: DescribeTopicPartitionsRequest['cursor'] = null
  do {
    const request = { topics: topics.map(name => ({ name })), cursor }
    const page: DescribeTopicPartitionsResponse = await cluster.send(
      cluster.any,
      describeTopicPartitionsApi,
      request,
    )
    for (const { name, partitions } of page.topics) {
      for (const { partitionIndex, eligibleLeaderReplicas } of partitions) {
        found.set(`${name}-${partitionIndex}`, eligibleLeaderReplicas ?? [])
      }
    }
    cursor = page.nextCursor
  } while (cursor !== null)
  return found
}

interface Known {
  readonly brokerId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Those that there are, and those that are gone and have replicas. */
function brokersOf(known: readonly Known[], partitions: readonly PartitionStatus[]) {
  const there = new Map(known.map(broker => [broker.brokerId, broker]))
  const ids = new Set([...there.keys(), ...partitions.flatMap(({ replicas }) => replicas)])
  const count = (has: (one: PartitionStatus) => boolean): number => partitions.filter(has).length
  return [...ids]
    .sort((a, b) => a - b)
    .map(id => ({
      id,
      isThere: there.has(id),
      host: there.get(id)?.host ?? null,
      port: there.get(id)?.port ?? null,
      rack: there.get(id)?.rack ?? null,
      leads: count(({ leader }) => leader === id),
      replicas: count(({ replicas }) => replicas.includes(id)),
      inSync: count(({ isr }) => isr.includes(id)),
    }))
}

function partitionLines(partitions: readonly PartitionStatus[]): string[] {
  if (partitions.length === 0) return []
  const rows = partitions.map(({ topic, partition, leader, replicas, isr, elr }): Cell[] => [
    topic,
    partition,
    leader < 0 ? null : leader,
    replicas.join(),
    isr.join() || null,
    elr?.join() || null,
  ])
  return ['', table(['TOPIC', 'PARTITION', 'LEADER', 'REPLICAS', 'ISR', 'ELR'], rows), '']
}

function summaryOf(offline: number, underReplicated: number): string {
  if (offline + underReplicated === 0) {
    return paint('green', 'all partitions have a leader and all replicas in sync')
  }
  const text = `${offline} offline, ${underReplicated} under-replicated`
  return paint(offline > 0 ? 'red' : 'yellow', text)
}
