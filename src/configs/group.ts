import { BrokerError } from '../errors.ts'
import type { MetadataStore } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { ReadConfigName } from './broker.ts'
import { readConfigs } from './broker.ts'
import { type ConfigValues, definitionOf, problemWith } from './definition.ts'
import { type BrokerConfigView, brokerValue, textOf } from './values.ts'

/** Configs of one group, by the names that Kafka has for those of the consumer protocol (GroupConfig.java). */
export const groupConfigs = {
  'consumer.session.timeout.ms': {
    ...readConfigs['group.consumer.session.timeout.ms'],
    documentation: 'Milliseconds without a heartbeat after which a member is removed.',
  },
  'consumer.heartbeat.interval.ms': {
    ...readConfigs['group.consumer.heartbeat.interval.ms'],
    documentation: 'Milliseconds between two heartbeats, as members are told.',
  },
  'consumer.assignment.interval.ms': readConfigs['group.consumer.assignment.interval.ms'],
}

export type GroupConfigName = keyof typeof groupConfigs

/** The broker config that holds for groups without their own. */
export function groupBrokerKey(name: GroupConfigName): ReadConfigName {
  return `group.${name}`
}

/** One config of a group, typed. */
export function groupValue<K extends GroupConfigName>(
  name: K,
  overrides: ConfigValues,
  view: BrokerConfigView,
): number {
  const own = textOf(overrides, name)
  return Number(own === undefined ? brokerValue(groupBrokerKey(name), view) : own)
}

/** Null, or one sentence that names the key, the value and what is allowed (for INVALID_CONFIG). */
export function validateGroupConfigs(values: ConfigValues, view: BrokerConfigView): string | null {
  for (const [name, text] of Object.entries(values)) {
    const definition = definitionOf(groupConfigs, name)
    if (definition === undefined) return `Unknown group config ${name}.`
    const problem = problemWith(name, definition, text)
    if (problem !== null) return problem
  }
  for (const name of ['session.timeout.ms', 'heartbeat.interval.ms'] as const) {
    const value = groupValue(`consumer.${name}`, values, view)
    const min = brokerValue(`group.consumer.min.${name}`, view)
    const max = brokerValue(`group.consumer.max.${name}`, view)
    if (value < min || value > max) {
      return `consumer.${name} must be from ${min} to ${max}, as group.consumer.min.${name} and group.consumer.max.${name} allow, not ${value}.`
    }
  }
  return null
}

const PREFIX = 'configs/groups/'

/** What was set for single groups, kept in the metadata store. A group need not exist to have configs. */
export class GroupConfigs {
  readonly #store: MetadataStore
  readonly #byGroup = new Map<string, ConfigValues>()
  #changes: Promise<unknown> = Promise.resolve()

  constructor(store: MetadataStore) {
    this.#store = store
  }

  async load(): Promise<void> {
    for (const { key, value } of await this.#store.list(PREFIX)) {
      this.#byGroup.set(key.slice(PREFIX.length), value as ConfigValues)
    }
  }

  /** Groups that have configs of their own. */
  get groups(): Iterable<string> {
    return this.#byGroup.keys()
  }

  /** What was set for the group; undefined: nothing. */
  current(group: string): ConfigValues | undefined {
    return this.#byGroup.get(group)
  }

  /** Changes what is set, durably, one change after the other; if `change` throws, nothing changes. */
  change(group: string, change: (current: ConfigValues) => ConfigValues): Promise<void> {
    const done = this.#changes.then(async () => {
      const key = PREFIX + group
      const values = change(this.current(group) ?? {})
      const entry = await this.#store.get(key)
      const isEmpty = Object.keys(values).length === 0
      const next = isEmpty ? null : { ...values }
      const { ok } = await this.#store.compareAndSet(key, entry?.revision ?? 0, next)
      if (!ok) {
        const message = 'The configs were changed by another broker at the same time: try again.'
        throw new BrokerError(ErrorCode.INVALID_UPDATE_VERSION, message)
      }
      if (isEmpty) this.#byGroup.delete(group)
      else this.#byGroup.set(group, values)
    })
    this.#changes = done.catch(() => {})
    return done
  }
}
