import type { ConfigValues } from '../configs/definition.ts'
import type { Topic } from './topic-table.ts'

/** Where the partitions of a new topic go: by a number of replicas (-1: as many as is usual), or as they are listed. */
export interface Placement {
  readonly replicationFactor: number
  /** The replicas of each partition, the preferred leader first. */
  readonly assignments: readonly (readonly number[])[] | null
}

/**
 * Whoever decides which topics there are: this node's own store, or the cluster's. Each change is asked for in its turn, one
 * after the other; when its promise resolves, the table shows it.
 */
export interface TopicSource {
  /** Opens what is on this broker of the topics that there are: at start, with recovery. */
  load(): Promise<void>
  /**
   * Where the partitions of a new topic would go, for callers who ask for that themselves.
   * @throws BrokerError INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT
   */
  assign(partitions: number, to: Placement): readonly (readonly number[])[]
  create(name: string, partitions: number, configs: ConfigValues, to: Placement): Promise<Topic>
  /** When this resolves its records cannot be read any more. */
  remove(topic: Topic): Promise<void>
  /** Raises the number of partitions; `assignments` are those of the new ones. */
  grow(topic: Topic, count: number, assignments: Placement['assignments']): Promise<void>
  /** `change` makes the new values from those that are there in its turn, and may refuse by throwing. */
  configure(topic: Topic, change: (current: ConfigValues) => ConfigValues): Promise<void>
}
