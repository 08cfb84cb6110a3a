import type { Json } from '../metadata/store.ts'
import type { Entry } from './types.ts'

/** Nobody leads. */
export const NO_LEADER = -1

/**
 * Who has a partition: the record `p/<topic id>/<index>`, the only thing that decides about leadership. Its revision is
 * what Kafka calls the partition epoch (KIP-497).
 */
export interface PartitionState {
  /** In order of preference. During a reassignment: the target, then what is removed. */
  readonly replicas: readonly number[]
  /** Every one has flushed everything below the high watermark. */
  readonly isr: readonly number[]
  /** Eligible leader replicas (KIP-966): out of the ISR, but have everything below the high watermark too. */
  readonly elr: readonly number[]
  readonly adding: readonly number[]
  readonly removing: readonly number[]
  readonly leader: number
  /** Incarnation of the broker that was elected; '' if nobody leads. */
  readonly by: string
  readonly epoch: number
  /** min.insync.replicas as configured; what counts is `effectiveMin`. */
  readonly min: number
  /** Replicas report what they have flushed, not what they have written. */
  readonly durable: boolean
  /** The last epoch whose leader was elected uncleanly; -1: none ever was. */
  readonly unclean: number
  /** mod_revision of the record; 0: not written yet. */
  readonly revision: number
}

export const PARTITION_PREFIX = 'p/'

export const partitionKey = (topicId: string, index: number): string =>
  `${PARTITION_PREFIX}${topicId}/${index}`

/**
 * How many members the ISR needs for the high watermark to move. Never more than there are replicas, of which those that a
 * reassignment is still adding do not count: else a topic of one replica could not be written to while it gets its second.
 * (Kafka counts them.)
 */
export const effectiveMin = (state: PartitionState): number =>
  Math.min(state.min, state.replicas.length - state.adding.length)

/** The record as it is stored: without what is empty or default. */
export function toRecord(state: PartitionState): { readonly [name: string]: Json } {
  const { replicas, isr, leader, epoch, min } = state
  return {
    replicas,
    isr,
    leader,
    ...(state.by !== '' && { by: state.by }),
    epoch,
    min,
    ...(state.elr.length > 0 && { elr: state.elr }),
    ...(state.adding.length > 0 && { adding: state.adding }),
    ...(state.removing.length > 0 && { removing: state.removing }),
    ...(!state.durable && { durable: false }),
    ...(state.unclean !== -1 && { unclean: state.unclean }),
  }
}

type Fields = { readonly [name: string]: unknown }

const ids = (value: unknown): readonly number[] =>
  Array.isArray(value) ? (value as readonly number[]) : []

/** @throws TypeError if the entry is not a partition record */
export function fromEntry(entry: Entry): PartitionState {
  const { value, key, revision } = entry
  const record = value as Fields
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isRecord || !Array.isArray(record.replicas) || !Number.isSafeInteger(record.epoch)) {
    throw new TypeError(`${key} is not a partition record`)
  }
  return {
    replicas: ids(record.replicas),
    isr: ids(record.isr),
    elr: ids(record.elr),
    adding: ids(record.adding),
    removing: ids(record.removing),
    leader: (record.leader as number | undefined) ?? NO_LEADER,
    by: (record.by as string | undefined) ?? '',
    epoch: record.epoch as number,
    min: (record.min as number | undefined) ?? 1,
    durable: record.durable !== false,
    unclean: (record.unclean as number | undefined) ?? -1,
    revision,
  }
}
