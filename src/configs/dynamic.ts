import type { Entry, MetadataStore } from '../metadata/store.ts'
import { brokerConfigView, type Options } from '../options.ts'
import type { ConfigValues } from './definition.ts'
import { NamedConfigs } from './named.ts'
import type { BrokerConfigView } from './values.ts'

/** Under this name: what holds for all brokers that do not say otherwise. */
export const ALL_BROKERS = ''

/** The broker configs that were changed while running (KIP-226): kept in the metadata store, layered over the static ones. */
export class DynamicConfigs {
  readonly #named: NamedConfigs
  readonly #options: Options
  #view: BrokerConfigView

  constructor(store: MetadataStore, options: Options) {
    this.#named = new NamedConfigs(store, 'brokers')
    this.#options = options
    this.#view = brokerConfigView(options)
  }

  get view(): BrokerConfigView {
    return this.#view
  }

  async load(): Promise<void> {
    await this.#named.load()
    this.#layer()
  }

  /** As `NamedConfigs.told`. */
  told(key: string, now: Entry | null): boolean {
    const isOurs = this.#named.told(key, now)
    if (isOurs) this.#layer()
    return isOurs
  }

  /** What is set for this broker, or for all of them. */
  current(broker: string): ConfigValues {
    return this.#named.current(broker) ?? {}
  }

  /** As `NamedConfigs.change`; the view is that of the store when it is over, however it ends. */
  async change(broker: string, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    try {
      await this.#named.change(broker, change)
    } finally {
      this.#layer()
    }
  }

  #layer(): void {
    const own = this.current(String(this.#options.nodeId))
    this.#view = brokerConfigView(this.#options, own, this.current(ALL_BROKERS))
  }
}
