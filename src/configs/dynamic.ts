import { BrokerError } from '../errors.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { brokerConfigView, type Options } from '../options.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { ConfigValues } from './definition.ts'
import type { BrokerConfigView } from './values.ts'

const PREFIX = 'configs/brokers/'
/** Under this name: what holds for all brokers that do not say otherwise. */
export const ALL_BROKERS = ''

/** The broker configs that were changed while running (KIP-226): kept in the metadata store, layered over the static ones. */
export class DynamicConfigs {
  readonly #store: MetadataStore
  readonly #options: Options
  #own: ConfigValues = {}
  #all: ConfigValues = {}
  #view: BrokerConfigView
  #changes: Promise<unknown> = Promise.resolve()

  constructor(store: MetadataStore, options: Options) {
    this.#store = store
    this.#options = options
    this.#view = brokerConfigView(options)
  }

  get view(): BrokerConfigView {
    return this.#view
  }

  async load(): Promise<void> {
    this.#own = await this.#read(String(this.#options.nodeId))
    this.#all = await this.#read(ALL_BROKERS)
    this.#view = brokerConfigView(this.#options, this.#own, this.#all)
  }

  /** What is set for this broker, or for all of them. */
  current(broker: string): ConfigValues {
    return broker === ALL_BROKERS ? this.#all : this.#own
  }

  /**
   * Changes what is set, durably; changes run one after the other. `change` is given the values of its turn and checks
   * the new ones; if it throws, nothing changes.
   */
  change(broker: string, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    const done = this.#changes.then(async () => {
      const key = PREFIX + broker
      const values = change(this.current(broker))
      const entry = await this.#store.get(key)
      const { ok } = await this.#store.compareAndSet(key, entry?.revision ?? 0, { ...values })
      await this.load()
      if (!ok) {
        const message = 'The configs were changed by another broker at the same time: try again.'
        throw new BrokerError(ErrorCode.INVALID_UPDATE_VERSION, message)
      }
    })
    this.#changes = done.catch(() => {})
    return done
  }

  async #read(broker: string): Promise<ConfigValues> {
    const entry = await this.#store.get(PREFIX + broker)
    return (entry?.value as ConfigValues | undefined) ?? {}
  }
}
