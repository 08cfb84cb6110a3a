import { batchBytesMax, batchBytesToCome } from '../limits.ts'
import {
  type BrokerConfigName,
  brokerConfig,
  brokerConfigs,
  type ReadConfigName,
  readConfigs,
} from './broker.ts'
import { type ConfigValues, camelCase, firstProblem } from './definition.ts'
import { letsSomebodyIn } from './ip-overrides.ts'
import {
  type BrokerKey,
  brokerKeys,
  type TopicConfig,
  type TopicConfigName,
  topicConfigs,
} from './topic.ts'

/** What a broker was told about its configs, layer by layer, the strongest first (KIP-226). */
export interface BrokerConfigView {
  /** Set with AlterConfigs for this broker. */
  readonly dynamicBroker: ConfigValues
  /** Set with AlterConfigs for all brokers. */
  readonly dynamicDefault: ConfigValues
  /** From file, environment, flags and code. */
  readonly static: ConfigValues
}

/** The layers that hold values, in the order in which they are asked. */
function layersOf(view: BrokerConfigView): readonly ConfigValues[] {
  return [view.dynamicBroker, view.dynamicDefault, view.static]
}

/** Looks a text up without finding what every object inherits. */
export function textOf(values: ConfigValues, name: string): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined
}

/**
 * The text in force for a chain of broker configs: the strongest layer first, within it the
 * strongest name.
 */
function textFromBroker(view: BrokerConfigView, chain: readonly BrokerKey[]) {
  for (const layer of layersOf(view)) {
    for (const key of chain) {
      const text = textOf(layer, key.name)
      if (text !== undefined) return { text, factor: key.factor }
    }
  }
  return undefined
}

/** Minutes and hours as milliseconds; any negative time means "never", -1. */
function scaled(text: string, factor: number): string {
  if (factor === 1) return text
  const value = BigInt(text.trim())
  return value < 0n ? '-1' : String(value * BigInt(factor))
}

/** The text in force for a topic config: the topic's own, the broker's, or the default. */
export function topicText(name: TopicConfigName, overrides: ConfigValues, view: BrokerConfigView) {
  const own = textOf(overrides, name)
  if (own !== undefined) return own
  const given = textFromBroker(view, brokerKeys[name] ?? [])
  return given === undefined ? topicConfigs[name].standard! : scaled(given.text, given.factor)
}

/** The text in force for one broker config by itself; null if unset. */
export function brokerText(name: BrokerConfigName, view: BrokerConfigView): string | null {
  const given = textFromBroker(view, [{ name, factor: 1 }])
  return given?.text ?? brokerConfig(name).standard
}

/** One broker config, typed. The view holds checked texts only. */
export function brokerValue<K extends ReadConfigName>(name: K, view: BrokerConfigView) {
  const text = brokerText(name, view)
  const parsed = text === null ? null : readConfigs[name].parse(text)
  return parsed as Exclude<ReturnType<(typeof readConfigs)[K]['parse']>, undefined>
}

/**
 * The configs of a topic as the engine reads them. Overrides and view must have passed validation.
 */
export function resolveTopicConfig(overrides: ConfigValues, view: BrokerConfigView): TopicConfig {
  const config: Record<string, unknown> = {}
  for (const name of Object.keys(topicConfigs) as TopicConfigName[]) {
    config[camelCase(name)] = topicConfigs[name].parse(topicText(name, overrides, view))
  }
  return Object.freeze(config) as TopicConfig
}

/** Null, or one sentence that names the key, the value and what is allowed (for INVALID_CONFIG). */
export function validateTopicConfigs(
  overrides: ConfigValues,
  view: BrokerConfigView,
): string | null {
  const problem = firstProblem(overrides, topicConfigs, 'topic')
  if (problem !== null) return problem
  const config = resolveTopicConfig(overrides, view)
  if (config.minCompactionLagMs > config.maxCompactionLagMs) {
    return `min.compaction.lag.ms (${config.minCompactionLagMs}) must not be above max.compaction.lag.ms (${config.maxCompactionLagMs}).`
  }
  const most = batchBytesMax(brokerValue('odradek.ring.bytes', view))
  const requestMax = brokerValue('socket.request.max.bytes', view)
  if (batchBytesToCome(config.maxMessageBytes, requestMax) > most) {
    return `max.message.bytes (${config.maxMessageBytes}) must be at most ${most}: two batches must fit in a ring of odradek.ring.bytes.`
  }
  return null
}

/**
 * Null, or one sentence for INVALID_CONFIG: dynamic values of one broker (`per-broker`) or of all
 * (`cluster-wide`). The rest of the view is what they would be laid over.
 */
export function validateDynamicConfigs(
  values: ConfigValues,
  scope: 'per-broker' | 'cluster-wide',
  view: BrokerConfigView,
): string | null {
  const problem = firstProblem(values, brokerConfigs(), 'broker')
  if (problem !== null) return problem
  for (const name of Object.keys(values) as BrokerConfigName[]) {
    const { update } = brokerConfig(name)
    if (update === 'read-only') return `${name} cannot be changed while the broker runs.`
    if (update === 'per-listener') {
      return `${name} can be changed for single listeners only, and none of them has TLS here.`
    }
    if (scope === 'cluster-wide' && update === 'per-broker') {
      return `${name} can be set for one broker only, not for all.`
    }
  }
  const layer = scope === 'per-broker' ? { dynamicBroker: values } : { dynamicDefault: values }
  const next = { ...view, ...layer }
  return shutOut(next) ?? validateTopicConfigs({}, next)
}

/** With these nobody could connect any more, not even to take them back. */
function shutOut(view: BrokerConfigView): string | null {
  if (brokerValue('max.connections', view) === 0) {
    return 'max.connections must be at least 1: nobody could connect to change it again.'
  }
  const perIpMax = brokerValue('max.connections.per.ip', view)
  const overrides = brokerValue('max.connections.per.ip.overrides', view)
  if (letsSomebodyIn(perIpMax, overrides)) return null
  return 'max.connections.per.ip may be 0 only together with max.connections.per.ip.overrides.'
}
