import type { Entry, MetadataStore } from '../metadata/store.ts'
import { update } from '../metadata/update.ts'
import type { ConfigValues } from './definition.ts'

/** Of the keys of all of them in the metadata store; what they are of and their names follow. */
export const CONFIG_PREFIX = 'configs/'

/** What was set by name, for brokers, groups or subscriptions of client metrics, kept in the metadata store. What is named need not exist otherwise. */
export class NamedConfigs {
  readonly #store: MetadataStore
  readonly #prefix: string
  readonly #byName = new Map<string, ConfigValues>()
  /** Of what is known by now: own changes and those of others are heard of on two ways. */
  readonly #revisions = new Map<string, number>()
  #changes: Promise<unknown> = Promise.resolve()

  /** @param kind what the names are of, in the store's keys */
  constructor(store: MetadataStore, kind: 'brokers' | 'groups' | 'client-metrics') {
    this.#store = store
    this.#prefix = `${CONFIG_PREFIX}${kind}/`
  }

  async load(): Promise<void> {
    const { entries } = await this.#store.list(this.#prefix)
    this.#byName.clear()
    for (const { key, value } of entries) {
      this.#byName.set(key.slice(this.#prefix.length), value as ConfigValues)
    }
  }

  /**
   * What the store says of one of its keys, after another broker has changed it.
   * @returns whether it is about these configs
   */
  told(key: string, now: Entry | null): boolean {
    if (!key.startsWith(this.#prefix)) return false
    const name = key.slice(this.#prefix.length)
    if (now === null) this.#byName.delete(name)
    else if (now.revision > (this.#revisions.get(name) ?? 0)) {
      this.#revisions.set(name, now.revision)
      this.#byName.set(name, now.value as ConfigValues)
    }
    return true
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
      await update(this.#store, key, now => {
        const values = change((now?.value as ConfigValues | undefined) ?? {})
        return [{ key, value: isEmpty(values) ? null : { ...values } }]
      })
      this.told(key, await this.#store.get(key))
    })
    this.#changes = done.catch(() => {})
    return done
  }
}

const isEmpty = (values: ConfigValues): boolean => Object.keys(values).length === 0
