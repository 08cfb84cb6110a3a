import type { RecordOf } from '../records.ts'

/** What a member is to have: topic id -> partitions, ascending. */
export type Target = ReadonlyMap<string, readonly number[]>
/** What a member has: topic id -> partition -> the epoch in which it was given (KIP-1251). */
export type Partitions = ReadonlyMap<string, ReadonlyMap<number, number>>

/** Partitions of one topic as messages and records list them. */
export interface TopicPartitions {
  readonly topicId: string
  readonly partitions: readonly number[]
}

export const NO_PARTITIONS: Partitions = new Map()
export const NO_TARGET: Target = new Map()

type StoredTarget = NonNullable<RecordOf<'targetMember'>['value']>['topicPartitions']
type StoredPartitions = NonNullable<RecordOf<'currentMember'>['value']>['assignedPartitions']

const ascending = (a: number, b: number): number => a - b

export function targetOf(stored: StoredTarget): Target {
  return new Map(stored.map(t => [t.topicId, [...t.partitions].sort(ascending)]))
}

export function storedTarget(target: Target): StoredTarget {
  return [...target].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }))
}

/** @param epoch of the member: what older logs have without assignment epochs is taken to be given in it */
export function partitionsOf(stored: StoredPartitions, epoch: number): Partitions {
  const partitions = new Map<string, ReadonlyMap<number, number>>()
  for (const topic of stored) {
    const { assignmentEpochs } = topic
    const isWhole = assignmentEpochs?.length === topic.partitions.length
    const epochs = topic.partitions.map((partition, i): [number, number] => [
      partition,
      isWhole ? assignmentEpochs[i]! : Math.max(epoch, 0),
    ])
    partitions.set(topic.topicId, new Map(epochs.sort((a, b) => a[0] - b[0])))
  }
  return partitions
}

export function storedPartitions(partitions: Partitions): StoredPartitions {
  return [...partitions].map(([topicId, epochs]) => ({
    topicId,
    partitions: [...epochs.keys()],
    assignmentEpochs: [...epochs.values()],
  }))
}

export function listed(partitions: Partitions): { topicId: string; partitions: number[] }[] {
  return [...partitions].map(([topicId, epochs]) => ({ topicId, partitions: [...epochs.keys()] }))
}

/** The partitions of a target as if all were given in one epoch. */
export function given(target: Target, epoch: number): Partitions {
  return new Map(
    [...target].map(([id, partitions]) => [id, new Map(partitions.map(p => [p, epoch]))]),
  )
}

export function samePartitions(a: Partitions, b: Partitions): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, epochs] of a) {
    const others = b.get(topicId)
    if (others?.size !== epochs.size) return false
    for (const [partition, epoch] of epochs) if (others.get(partition) !== epoch) return false
  }
  return true
}

export function sameTarget(a: Target, b: Target): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId)
    if (others?.length !== partitions.length) return false
    if (!partitions.every((partition, i) => others[i] === partition)) return false
  }
  return true
}

/** Whether all that a member reports is among these. */
export function contains(partitions: Partitions, reported: readonly TopicPartitions[]): boolean {
  return reported.every(({ topicId, partitions: list }) => {
    const epochs = partitions.get(topicId)
    return epochs !== undefined && list.every(partition => epochs.has(partition))
  })
}
