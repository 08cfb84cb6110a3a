/** What a follower has to know of a batch that a leader sent. */
export interface BatchFacts {
  readonly baseOffset: number
  readonly lastOffset: number
  /** partitionLeaderEpoch */
  readonly epoch: number
  /** Its checksum fits. */
  readonly isWhole: boolean
}

/** A leader's answer to a fetch, of one partition. */
export type FetchAnswer<B extends BatchFacts> =
  | { readonly error: number; readonly logStart: number }
  | { readonly diverging: { readonly epoch: number; readonly endOffset: number } }
  | { readonly hw: number; readonly logStart: number; readonly batches: readonly B[] }

/** What a follower wants done. The shell does it and tells the machine, as named. */
export type FollowerEffect<B extends BatchFacts> =
  /** Put this into the next Fetch to that broker. Its answer goes to `fetched(id)`; `disconnected(id)` if none can come. */
  | {
      readonly kind: 'fetch'
      readonly id: number
      readonly leader: number
      readonly epoch: number
      readonly offset: number
      readonly lastEpoch: number
      readonly logStart: number
    }
  /** Append them as they are. `flushed(end)` when they are on disk, or `appendFailed(facts)` if not all can be. */
  | { readonly kind: 'append'; readonly epoch: number; readonly batches: readonly B[] }
  /** Cut the log; durable, with its epochs and producers, when `reopened(facts)` comes. */
  | { readonly kind: 'truncate'; readonly epoch: number; readonly offset: number }
  /** Drop the whole log and begin an empty one there: `reopened(facts)`. */
  | { readonly kind: 'startAt'; readonly epoch: number; readonly offset: number }
  /** Delete what is below; never above the high watermark. */
  | { readonly kind: 'moveStart'; readonly offset: number }
  /** Consumers may read up to here; the worker is told now and then. */
  | { readonly kind: 'hw'; readonly hw: number }
  /** This log must not go on without an operator or a refill. Loud. */
  | { readonly kind: 'fail'; readonly reason: string }
