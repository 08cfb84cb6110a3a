import { BrokerError } from '../errors.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'

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

  async #takeBlock(): Promise<void> {
    const entry = await this.#store.get(PRODUCER_IDS)
    const start = (entry?.value as number | undefined) ?? 0
    const { ok } = await this.#store.compareAndSet(
      PRODUCER_IDS,
      entry?.revision ?? 0,
      start + PRODUCER_ID_BLOCK,
    )
    if (!ok) {
      const message = 'Another broker took the same block of producer ids.'
      throw new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, message)
    }
    this.#next = start
    this.#end = start + PRODUCER_ID_BLOCK
  }
}
