import type { MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'

/** Where the metadata keeps the first id that is not given out. */
export const PRODUCER_IDS = 'producer-ids'
/** Ids taken from the metadata store at a time: Kafka's block size. */
export const PRODUCER_ID_BLOCK = 1000

/** Hands out producer ids that were never handed out before, on this broker or another (KIP-730). */
export class ProducerIds {
  readonly #store: MetadataStore
  #next = 0
  #end = 0
  #refill: Promise<void> | null = null

  constructor(store: MetadataStore) {
    this.#store = store
  }

  async next(): Promise<number> {
    while (this.#next === this.#end) {
      this.#refill ??= this.#takeBlock().finally(() => {
        this.#refill = null
      })
      await this.#refill
    }
    return this.#next++
  }

  /** If it is not known whether a block was taken, nobody ever uses it. */
  async #takeBlock(): Promise<void> {
    let start = 0
    await update(this.#store, PRODUCER_IDS, now => {
      start = (now?.value as number | undefined) ?? 0
      return [{ key: PRODUCER_IDS, value: start + PRODUCER_ID_BLOCK }]
    })
    this.#next = start
    this.#end = start + PRODUCER_ID_BLOCK
  }
}
