import { BrokerError } from '../errors.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { ConfigValues } from './definition.ts'

/** What was set by name, for brokers, groups or subscriptions of client metrics, kept in the metadata store. What is named need not exist otherwise. */
export class NamedConfigs {
  readonly #store: MetadataStore
  readonly #prefix: string
  readonly #byName = new Map<string, ConfigValues>()
  #changes: Promise<unknown> = Promise.resolve()

  /** @param kind what the names are of, in the store's keys */
  constructor(store: MetadataStore, kind: 'brokers' | 'groups' | 'client-metrics') {
    this.#store = store
    this.#prefix = `configs/${kind}/`
  }

  async load(): Promise<void> {
    const entries = await this.#store.list(this.#prefix)
    this.#byName.clear()
    for (const { key, value } of entries) {
      this.#byName.set(key.slice(this.#prefix.length), value as ConfigValues)
    }
  }

  /** Those that have something set. */
  get names(): Iterable<string> {
    return this.#byName.keys()
  }

  /** What was set for it; undefined: nothing. */
  current(name: string): ConfigValues | undefined {
    return this.#byName.get(name)
  }

  /**
   * Changes what is set, durably, one change after the other. `change` is given the values of its turn and checks the new ones;
   * if it throws, nothing changes.
   */
  change(name: string, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    const done = this.#changes.then(async () => {
      const key = this.#prefix + name
      const values = change(this.current(name) ?? {})
      const entry = await this.#store.get(key)
      const isEmpty = Object.keys(values).length === 0
      const next = isEmpty ? null : { ...values }
      const { ok } = await this.#store.compareAndSet(key, entry?.revision ?? 0, next)
      if (!ok) {
        await this.load()
        const message = 'The configs were changed by another broker at the same time: try again.'
        throw new BrokerError(ErrorCode.INVALID_UPDATE_VERSION, message)
      }
      if (isEmpty) this.#byName.delete(name)
      else this.#byName.set(name, values)
    })
    this.#changes = done.catch(() => {})
    return done
  }
}
