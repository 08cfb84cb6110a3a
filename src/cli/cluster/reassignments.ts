import { alterPartitionReassignmentsApi } from '../../protocol/messages/45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsApi } from '../../protocol/messages/46-list-partition-reassignments.ts'
import type { Cluster } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'

/** Of one request: the answer names each. */
const PARTITIONS_MAX = 1_000

export interface Target {
  readonly topic: string
  readonly partition: number
  /** Null: what is under way is taken back. */
  readonly to: readonly number[] | null
}

/** One that is being moved. */
export interface Moving {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

export const idOf = ({ topic, partition }: { topic: string; partition: number }): string =>
  `${topic}-${partition}`

export async function movingNow(cluster: Cluster): Promise<Moving[]> {
  const client = await cluster.controller()
  const answer = await cluster.send(client, listPartitionReassignmentsApi, {
    topics: null,
    timeoutMs: cluster.timeoutMs,
  })
  expectNone(answer.errorCode, 'moves', answer.errorMessage)
  return answer.topics.flatMap(({ name: topic, partitions }) =>
    partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
      ...{ topic, partition: partitionIndex, replicas },
      ...{ adding: addingReplicas, removing: removingReplicas },
    })),
  )
}

/** Begins to move them, or takes that back. What cannot be is told when all others are under way. */
export async function reassign(cluster: Cluster, targets: readonly Target[]): Promise<void> {
  const problems: string[] = []
  for (let at = 0; at < targets.length; at += PARTITIONS_MAX) {
    const topics = targets.slice(at, at + PARTITIONS_MAX).map(({ topic, partition, to }) => ({
      name: topic,
      partitions: [{ partitionIndex: partition, replicas: to }],
    }))
    const request = { topics, timeoutMs: cluster.timeoutMs }
    const client = await cluster.controller()
    const answer = await cluster.send(client, alterPartitionReassignmentsApi, request)
    expectNone(answer.errorCode, 'moves', answer.errorMessage)
    for (const { name, partitions } of answer.responses) {
      for (const { partitionIndex, errorCode, errorMessage } of partitions) {
        try {
          expectNone(errorCode, `${name}-${partitionIndex}`, errorMessage)
        } catch (error) {
          problems.push((error as Error).message)
        }
      }
    }
  }
  if (problems.length > 0) throw new CliError(problems.join('; '))
}
