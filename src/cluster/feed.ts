import {
  type Change,
  type Compare,
  type Entry,
  type MetadataStore,
  OutcomeUnknown,
  type TxResult,
  type Watch,
} from '../metadata/store.ts'
import type { Outcome } from '../replication/types.ts'
import type { ClusterImage } from './image.ts'
import type { ImageDiff } from './image-diff.ts'

export interface FeedOptions {
  readonly store: MetadataStore
  readonly image: ClusterImage
  /** The image is another one now. */
  readonly onDiff: (diff: ImageDiff) => void
  readonly log: { warn(fields: object, message: string): void }
}

type Known = Entry | { readonly key: string; readonly value: null; readonly revision: number }

/**
 * What this broker knows of the cluster, and the way in which it changes it: the image is told of what the store's watch says,
 * and ahead of that of what own transactions have done or were refused for.
 */
export class ImageFeed {
  readonly #o: FeedOptions
  #watch: Watch | null = null

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
      onReset: (at, all) => onDiff(image.reset(at, all)),
    })
  }

  /** For whoever has not heard of something for too long. */
  restart(): void {
    this.#watch?.restart()
  }

  /** Sends a transaction once; the image has learnt what it says when this resolves. Never rejects. */
  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<Outcome> {
    const { store, image, onDiff, log } = this.#o
    let result: TxResult
    try {
      result = await store.transact(compares, changes)
    } catch (err) {
      // Refused by the store itself (no room, a lease that has ended): nothing was changed, but nobody knows more than that.
      if (!(err instanceof OutcomeUnknown)) log.warn({ err }, 'the metadata could not be changed')
      return { outcome: 'unknown' }
    }
    const known =
      result.outcome === 'applied'
        ? this.#written(compares, changes, result.revision)
        : found(compares, result)
    onDiff(image.learn(known))
    return result
  }

  /** What an applied transaction has left. When a key was made is known if something of it was compared. */
  #written(compares: readonly Compare[], changes: readonly Change[], revision: number): Known[] {
    const known: Known[] = []
    for (const change of changes) {
      if ('prefix' in change) continue
      const { key, value } = change
      if (value === null) {
        known.push({ key, value, revision })
        continue
      }
      const created = this.#createdOf(key, compares, revision)
      if (created !== null) known.push({ key, value, revision, created })
    }
    return known
  }

  #createdOf(key: string, compares: readonly Compare[], revision: number): number | null {
    for (const compare of compares) {
      if (compare.key !== key) continue
      if ('created' in compare) return compare.created === 0 ? revision : compare.created
      if (compare.revision === 0) return revision
      const entry = this.#o.image.entry(key)
      if (entry?.revision === compare.revision) return entry.created
    }
    return null
  }

  stop(): void {
    this.#watch?.stop()
  }
}

/** Of a refused transaction: what the compared keys held, and which of them were absent. */
function found(
  compares: readonly Compare[],
  { now, revision }: Extract<TxResult, { outcome: 'refused' }>,
): Known[] {
  const there = new Set(now.map(({ key }) => key))
  const absent = new Set(compares.map(({ key }) => key).filter(key => !there.has(key)))
  return [...now, ...[...absent].map(key => ({ key, value: null, revision }))]
}
