import type { MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'
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
    const { entries } = await this.#store.list(this.#prefix)
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
   * if it throws, nothing changes. It is asked again where another broker was faster.
   */
  change(name: string, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    const done = this.#changes.then(async () => {
      const key = this.#prefix + name
      let values: ConfigValues = {}
      await update(this.#store, key, now => {
        values = change((now?.value as ConfigValues | undefined) ?? {})
        return [{ key, value: isEmpty(values) ? null : { ...values } }]
      })
      if (isEmpty(values)) this.#byName.delete(name)
      else this.#byName.set(name, values)
    })
    this.#changes = done.catch(() => {})
    return done
  }
}

const isEmpty = (values: ConfigValues): boolean => Object.keys(values).length === 0
