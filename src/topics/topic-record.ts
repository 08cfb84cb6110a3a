import type { ConfigValues } from '../configs/definition.ts'

/** Of the keys of topics in the metadata store; their names follow. */
export const TOPIC_PREFIX = 'topics/'
/** Names of partitions' folders. */
export const PARTITION_FOLDER = /^.+-\d+$/

/** A topic as the metadata store keeps it, under `topics/<name>`. */
export interface TopicRecord {
  readonly id: string
  readonly partitions: number
  readonly configs: ConfigValues
  /** Broker epoch at creation: a partition's leader epoch counts the starts since then. */
  readonly brokerEpoch: number
}
