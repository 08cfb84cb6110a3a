import type { Cleanable } from './compaction/cleanable.ts'
import type { CleanedSegment } from './compaction/compactor.ts'
import type { Failure } from './failure.ts'
import type { EpochStart } from './leader-epochs.ts'
import type { LogConfig } from './log.ts'

/** A partition to open: its number in the worker (`handle`), its folder and what the metadata says of it. */
export interface PartitionToOpen {
  readonly handle: number
  /** `topic-partition`, the name of its folder. */
  readonly name: string
  /** 22 characters of base64url. */
  readonly topicId: string
  readonly partition: number
  readonly config: LogConfig
  /** In which it is led here from the start; -1: what it is to do comes with `lead` or `follow`. */
  readonly leaderEpoch: number
}

/** What a partition is to do from now on. */
export interface RoleChange {
  readonly handle: number
  readonly epoch: number
  readonly highWatermark: number
}

export interface SegmentExtent {
  readonly base: number
  readonly size: number
  /** Counts up when compaction has put other bytes under the same name. */
  readonly version: number
  /** Bytes of its index of aborted transactions. */
  readonly abortedBytes: number
}

/** What the main thread knows of a log in order to read it. */
export interface LogView {
  readonly handle: number
  readonly logStartOffset: number
  readonly nextOffset: number
  readonly segments: readonly SegmentExtent[]
  readonly epochs: readonly EpochStart[]
  /** Where its first open transaction begins; null: there is none. */
  readonly undecided: number | null
  /** A lower bound of what is committed; null: what is there is. */
  readonly highWatermark: number | null
  /** Why it is offline, or null. */
  readonly offline: string | null
}

export interface ProducerView {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
  /** Of the last marker; -1: there was none. */
  readonly coordinatorEpoch: number
  /** Where its open transaction began; -1: it has none. */
  readonly currentTxnStartOffset: number
}

/** Commands to a partition worker, run in their place among the appends, and what each answers. */
export interface Commands {
  open: {
    /** `deleted`: ids of topics of the same names that were deleted for certain. */
    request: {
      partitions: readonly PartitionToOpen[]
      recovering: boolean
      deleted: readonly string[]
    }
    response: { views: LogView[]; notes: string[] }
  }
  /** Clears away folders, by their names, that belong to no topic, before the journals are given up. */
  sweep: {
    request: { folders: readonly string[]; deleted: readonly string[] }
    response: { notes: string[] }
  }
  /** All partitions are open on all workers: what the journals protected is flushed, they may be overwritten. */
  ready: { request: { workers: number }; response: null }
  configure: { request: { handles: readonly number[]; config: LogConfig }; response: null }
  /** Answers with those that were not offline, before or through this. */
  deleteRecords: {
    request: { items: readonly { readonly handle: number; readonly offset: number }[] }
    response: { views: LogView[] }
  }
  /** Answers with the folders of which something is left to be freed, and with what could not be removed. */
  delete: {
    request: { handles: readonly number[] }
    response: { doomed: string[]; failed: string[] }
  }
  retention: { request: { handles: readonly number[] }; response: { views: LogView[] } }
  /** Of the logs that are to be compacted and have something for it. */
  cleanable: {
    request: { handles: readonly number[] }
    response: {
      logs: (Cleanable & { readonly handle: number })[]
      /** Those that could not be looked at. */
      failed: (Failure & { readonly handle: number })[]
    }
  }
  /** From now on these partitions are led here, in this epoch; or follow a leader of it. Answers with those that were not offline. */
  lead: { request: { items: readonly RoleChange[] }; response: { views: LogView[] } }
  follow: { request: { items: readonly RoleChange[] }; response: { views: LogView[] } }
  /**
   * Cuts followers off at an offset, durably: nothing at or above it is left, so that they may end somewhat below. What is asked in
   * another epoch than the partition's, or where it is led, changes nothing. Answers with those that were not offline.
   */
  truncate: {
    request: { items: readonly (Omit<RoleChange, 'highWatermark'> & { readonly offset: number })[] }
    response: { views: LogView[] }
  }
  /** Drops all that a follower has: it goes on at an offset, not below its own start, where its leader's log starts. */
  startAnew: {
    request: { handle: number; epoch: number; offset: number }
    response: { views: LogView[] }
  }
  /** How far partitions are committed, as far as is known: lower bounds, kept for the next start. */
  highWatermarks: {
    request: { items: readonly { readonly handle: number; readonly offset: number }[] }
    response: null
  }
  /** Makes sure that no journal entry of a closed segment is ever replayed: their bytes are about to change. */
  settle: { request: { handle: number }; response: null }
  /** The files of a cleaned segment are in place. */
  swapped: { request: { handle: number; cleaned: CleanedSegment }; response: { views: LogView[] } }
  compacted: { request: { handle: number; cleanedOffset: number }; response: null }
  /** The state of its files is not known any more. */
  giveUp: { request: { handle: number; reason: string }; response: null }
  producers: { request: { handle: number }; response: { producers: ProducerView[] } }
  rebuildIndexes: { request: { handle: number; base: number }; response: null }
  /** Flushes and closes everything; `clean` is false if any log could not be. */
  close: { request: Record<string, never>; response: { clean: boolean } }
}

export type CommandName = keyof Commands

/** How a command travels in a ring. */
export interface CommandMessage<N extends CommandName = CommandName> {
  readonly name: N
  readonly request: Commands[N]['request']
}

export type CommandAnswer =
  | { readonly response: unknown }
  | { readonly error: string; readonly kind: string }

/** What a worker tells without being asked. */
export interface OfflineEvent extends Failure {
  readonly event: 'offline'
  readonly handle: number
}
