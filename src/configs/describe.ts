import { type BrokerConfigName, brokerConfig, brokerConfigs } from './broker.ts'
import { clientMetricsConfigs } from './client-metrics.ts'
import {
  ConfigType,
  type ConfigValues,
  canonical,
  type Definition,
  definitionOf,
} from './definition.ts'
import { type GroupConfigName, groupBrokerKey, groupConfigs } from './group.ts'
import { brokerKeys, type TopicConfigName, topicConfigs } from './topic.ts'
import { type BrokerConfigView, brokerText, textOf, topicText } from './values.ts'

/** Numbers that DescribeConfigs uses for where a value comes from (KIP-226). */
export const ConfigSource = {
  TOPIC: 1,
  DYNAMIC_BROKER: 2,
  DYNAMIC_DEFAULT_BROKER: 3,
  STATIC_BROKER: 4,
  DEFAULT: 5,
  CLIENT_METRICS: 7,
  GROUP: 8,
} as const
export type ConfigSource = (typeof ConfigSource)[keyof typeof ConfigSource]

export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: ConfigSource
}

/** One config of a DescribeConfigs answer, field for field. */
export interface ConfigEntry {
  readonly name: string
  /** Null if unset or sensitive. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly isDefault: boolean
  readonly configSource: ConfigSource
  readonly isSensitive: boolean
  /** All layers that give a value, the strongest first; empty unless asked for. */
  readonly synonyms: readonly ConfigSynonym[]
  readonly configType: ConfigType
  /** Null unless asked for (KIP-569). */
  readonly documentation: string | null
}

export interface DescribeOptions {
  /** The configs wanted; null or empty: all. Unknown names are left out, as Kafka does. */
  readonly names?: readonly string[] | null
  readonly includeSynonyms?: boolean
  readonly includeDocumentation?: boolean
}

/** Broker configs that stand in for each other, the strongest first: the chains of units. */
const chains = Object.values(brokerKeys)
  .map(keys => keys.map(key => key.name as BrokerConfigName))
  .filter(chain => chain.length > 1)

function chainOf(name: BrokerConfigName): readonly BrokerConfigName[] {
  return chains.find(chain => chain.includes(name)) ?? [name]
}

const isSensitive = (definition: Definition<unknown>) => definition.type === ConfigType.PASSWORD

/**
 * Every layer's values for a chain of names, strongest layer first. As in Kafka, what comes before
 * the first value of `name` itself is left out, so a topic whose retention comes from
 * log.retention.hours alone shows no synonyms.
 */
function brokerSynonyms(name: BrokerConfigName, view: BrokerConfigView): ConfigSynonym[] {
  const layers = [
    [ConfigSource.DYNAMIC_BROKER, view.dynamicBroker],
    [ConfigSource.DYNAMIC_DEFAULT_BROKER, view.dynamicDefault],
    [ConfigSource.STATIC_BROKER, view.static],
  ] as const
  const found: ConfigSynonym[] = []
  const add = (key: BrokerConfigName, text: string | null | undefined, source: ConfigSource) => {
    if (text === null || text === undefined) return
    const definition = brokerConfig(key)
    const value = isSensitive(definition) ? null : canonical(definition, text)
    found.push({ name: key, value, source })
  }
  const chain = chainOf(name)
  for (const [source, values] of layers) {
    for (const key of chain) add(key, textOf(values, key), source)
  }
  for (const key of chain) add(key, brokerConfig(key).standard, ConfigSource.DEFAULT)
  const first = found.findIndex(synonym => synonym.name === name)
  return first === -1 ? [] : found.slice(first)
}

function entryOf(
  name: string,
  definition: Definition<unknown>,
  text: string | null,
  synonyms: readonly ConfigSynonym[],
  readOnly: boolean,
  options: DescribeOptions,
): ConfigEntry {
  const configSource = synonyms[0]?.source ?? ConfigSource.DEFAULT
  const hidden = isSensitive(definition)
  return {
    name,
    value: text === null || hidden ? null : canonical(definition, text),
    readOnly,
    isDefault: configSource === ConfigSource.DEFAULT,
    configSource,
    isSensitive: hidden,
    synonyms: options.includeSynonyms ? synonyms : [],
    configType: definition.type,
    documentation: options.includeDocumentation ? definition.documentation : null,
  }
}

function wanted<N extends string>(
  definitions: Readonly<Record<N, unknown>>,
  options: DescribeOptions,
) {
  const { names } = options
  if (names === null || names === undefined || names.length === 0) {
    return (Object.keys(definitions) as N[]).sort()
  }
  return [...new Set(names)].filter(
    name => definitionOf<unknown>(definitions, name) !== undefined,
  ) as N[]
}

/** What DescribeConfigs answers for a topic. */
export function describeTopicConfigs(
  overrides: ConfigValues,
  view: BrokerConfigView,
  options: DescribeOptions = {},
): ConfigEntry[] {
  return wanted<TopicConfigName>(topicConfigs, options).map(name => {
    const definition: Definition<unknown> = topicConfigs[name]
    const text = topicText(name, overrides, view)
    const first = brokerKeys[name]?.[0]
    const synonyms = first === undefined ? [] : brokerSynonyms(first.name as BrokerConfigName, view)
    if (textOf(overrides, name) !== undefined) {
      synonyms.unshift({ name, value: canonical(definition, text), source: ConfigSource.TOPIC })
    }
    return entryOf(name, definition, text, synonyms, false, options)
  })
}

/** What DescribeConfigs answers for this broker. */
export function describeBrokerConfigs(
  view: BrokerConfigView,
  options: DescribeOptions = {},
): ConfigEntry[] {
  return wanted<BrokerConfigName>(brokerConfigs(), options).map(name => {
    const definition: Definition<unknown> = brokerConfig(name)
    const readOnly = definition.update === 'read-only'
    const synonyms = brokerSynonyms(name, view)
    return entryOf(name, definition, brokerText(name, view), synonyms, readOnly, options)
  })
}

/** What DescribeConfigs answers for the broker named "": only what was set for all brokers. */
export function describeClusterConfigs(
  view: BrokerConfigView,
  options: DescribeOptions = {},
): ConfigEntry[] {
  return wanted<BrokerConfigName>(brokerConfigs(), options)
    .filter(name => textOf(view.dynamicDefault, name) !== undefined)
    .map(name => {
      const definition: Definition<unknown> = brokerConfig(name)
      const text = view.dynamicDefault[name]!
      const readOnly = definition.update === 'read-only'
      const synonyms = brokerSynonyms(name, view).filter(
        synonym => synonym.source === ConfigSource.DYNAMIC_DEFAULT_BROKER,
      )
      return entryOf(name, definition, text, synonyms, readOnly, options)
    })
}

/** What DescribeConfigs answers for a group. */
export function describeGroupConfigs(
  overrides: ConfigValues,
  view: BrokerConfigView,
  options: DescribeOptions = {},
): ConfigEntry[] {
  return wanted<GroupConfigName>(groupConfigs, options).map(name => {
    const definition: Definition<unknown> = groupConfigs[name]
    const fallback = groupBrokerKey(name)
    const own = textOf(overrides, name)
    const text = own ?? brokerText(fallback, view)
    const synonyms = brokerSynonyms(fallback, view)
    if (own !== undefined) {
      synonyms.unshift({ name, value: canonical(definition, own), source: ConfigSource.GROUP })
    }
    return entryOf(name, definition, text, synonyms, false, options)
  })
}

/** What DescribeConfigs answers for a subscription of client metrics. As in Kafka, a default is no synonym here. */
export function describeClientMetrics(
  own: ConfigValues,
  options: DescribeOptions = {},
): ConfigEntry[] {
  return wanted(clientMetricsConfigs, options).map(name => {
    const definition: Definition<unknown> = clientMetricsConfigs[name]
    const text = textOf(own, name)
    const source = ConfigSource.CLIENT_METRICS
    const synonyms =
      text === undefined ? [] : [{ name, value: canonical(definition, text), source }]
    return entryOf(name, definition, text ?? definition.standard, synonyms, false, options)
  })
}
