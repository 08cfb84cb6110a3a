import { isPrefix } from '../metadata/rules.ts'
import {
  type Change,
  type Compare,
  type KeyChange,
  type MetadataStore,
  OutcomeUnknown,
  type TxResult,
  type Watch,
} from '../metadata/store.ts'
import type { Outcome } from '../replication/types.ts'
import type { ClusterImage } from './image.ts'
import type { ImageDiff } from './image-diff.ts'
import { knownBy } from './outcome.ts'

export interface FeedOptions {
  readonly store: MetadataStore
  readonly image: ClusterImage
  /** The image is another one now. */
  readonly onDiff: (diff: ImageDiff) => void
  readonly log: Record<'warn' | 'error', (fields: object, message: string) => void>
}

/**
 * What this broker knows of the cluster, and the way in which it changes it: the image is told of what the store's watch says,
 * and ahead of that of what own transactions have done or were refused for.
 */
export class ImageFeed {
  readonly #o: FeedOptions
  #watch: Watch | null = null
  /** The revision that the store has gone back to: what it says counts no more. */
  #wentBackTo: number | null = null

  constructor(options: FeedOptions) {
    this.#o = options
  }

  /** Resolves when the image is all that there is at one revision. */
  async start(): Promise<void> {
    const { store, image, onDiff } = this.#o
    const { revision, entries } = await store.list('')
    onDiff(image.reset(revision, entries))
    this.#watch = store.watch('', revision, {
      onChange: event => onDiff(image.apply(event)),
      onReset: (at, all) => {
        if (at < image.revision) this.#wentBack(at)
        else onDiff(image.reset(at, all))
      },
    })
  }

  /**
   * What leads and is in sync by an old record need not have what was acknowledged since. So the store is as good as away: this
   * broker goes on by what it knows, and changes nothing.
   */
  #wentBack(revision: number): void {
    this.#wentBackTo = revision
    this.#watch?.stop()
    this.#o.log.error(
      { seen: this.#o.image.revision, revision },
      'the metadata has gone back: etcd was restored from a backup. No leader moves and no topic is made until etcd has what it had; a broker that is started is refused',
    )
  }

  /** For whoever has not heard of something for too long. */
  restart(): void {
    if (this.#wentBackTo !== null) this.#wentBack(this.#wentBackTo)
    else this.#watch?.restart()
  }

  /** Sends a transaction once; the image has learnt what it says when this resolves. Never rejects. */
  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<Outcome> {
    const { store, image, onDiff, log } = this.#o
    if (this.#wentBackTo !== null) return { outcome: 'unknown' }
    let result: TxResult
    try {
      result = await store.transact(compares, changes)
    } catch (err) {
      // Refused by the store itself (no room, a lease that has ended): nothing was changed, but nobody knows more than that.
      if (!(err instanceof OutcomeUnknown)) log.warn({ err }, 'the metadata could not be changed')
      return { outcome: 'unknown' }
    }
    const keys = changes.filter((change): change is KeyChange => !isPrefix(change))
    onDiff(image.learn(knownBy(image, compares, keys, result)))
    return result
  }

  stop(): void {
    this.#watch?.stop()
  }
}
