import type { Change, Compare } from './types.ts'

/** What a leader wants done. The shell does it and tells the machine, as named. */
export type LeaderEffect<W> =
  /**
   * Send this transaction; several of other partitions may go with it. Its outcome goes to `answered(id)`, after the image
   * has learnt what it says. The same id comes again while the outcome is unknown.
   */
  | {
      readonly kind: 'propose'
      readonly id: number
      readonly compares: readonly Compare[]
      readonly change: Change
    }
  /** The high watermark is here now: consumers' fetches may read on, the worker is told now and then. */
  | { readonly kind: 'advance'; readonly hw: number }
  /** Answer these: error NONE when what they wait for is committed. */
  | { readonly kind: 'settle'; readonly slots: readonly W[]; readonly error: number }
  /** There is something to tell replicas. */
  | { readonly kind: 'wake' }
  /** What is below this can be read: fetches from below it may be answered. */
  | { readonly kind: 'readable'; readonly end: number }
  /** Answer whatever fetch of these replicas is waiting for this partition, and call `fetchAnswered`. */
  | { readonly kind: 'answerNow'; readonly replicas: readonly number[] }
  /** The reads of these tickets (`confirm`) may be answered; or not, and must be refused. */
  | { readonly kind: 'confirmed'; readonly tickets: readonly number[]; readonly error: number }
  /** The record has another leader or epoch: nothing is appended any more. The last effect. */
  | { readonly kind: 'resign'; readonly reason: string }

/** What to tell a replica that fetched. */
export type FetchVerdict =
  | { readonly error: number; readonly logStart: number }
  | { readonly diverging: { readonly epoch: number; readonly endOffset: number } }
  /** Read from the fetch's offset up to `end`. */
  | { readonly hw: number; readonly logStart: number; readonly end: number }

export interface ReplicaFetch {
  readonly from: number
  /** Of the connection: another one for each. */
  readonly session: number
  readonly brokerEpoch: number
  /** currentLeaderEpoch */
  readonly epoch: number
  /** Its flushed end. */
  readonly offset: number
  /** Epoch of its last batch; -1: it has none. */
  readonly lastEpoch: number
  /** Its first offset. */
  readonly logStart: number
}
