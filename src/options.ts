import { resolve } from 'node:path'
import type { Dial } from './cluster/dial.ts'
import { RING_BYTES_MAX } from './configs/broker/engine.ts'
import {
  type BrokerConfigName,
  type BrokerConfigs,
  type BrokerSettings,
  brokerConfig,
  readConfigs,
} from './configs/broker.ts'
import {
  allowedText,
  type CamelCase,
  type ConfigValues,
  camelCase,
  type Definition,
  shownText,
  type ValueOf,
} from './configs/definition.ts'
import { letsSomebodyIn } from './configs/ip-overrides.ts'
import {
  type AdvertisedListener,
  type Given,
  type Listener,
  listenersFor,
  parseAdvertised,
  parseListeners,
} from './configs/listeners.ts'
import {
  fromCode,
  fromEnvironment,
  fromFile,
  fromOverrides,
  type GivenOptions,
} from './configs/sources.ts'
import type { BrokerConfigView } from './configs/values.ts'
import { InvalidOption } from './errors.ts'
import { batchBytesToCome, deriveLimits, type Limits, ringBytesFor } from './limits.ts'
import type { MetadataStore } from './metadata/store.ts'

/** What code may give for a config whose setting is T: the setting itself, or its text. */
type Loose<T> = T | string | undefined

/**
 * Broker options in code: server.properties names, or their camelCase aliases (odradek.ring.bytes
 * is ringBytes).
 */
export type BrokerOptions = {
  readonly [K in BrokerConfigName]?: Loose<ValueOf<BrokerConfigs[K]>>
} & {
  readonly [K in BrokerConfigName as CamelCase<K>]?: Loose<ValueOf<BrokerConfigs[K]>>
} & {
  /** Data directory: another name for log.dirs. */
  readonly dataDir?: string
}

/** Where options come from, in order of rising precedence. */
export interface OptionSources {
  /** What the caller prefers to our defaults. */
  readonly defaults?: BrokerOptions
  /** Path of a server.properties. */
  readonly file?: string
  /** Usually process.env; the embedded broker leaves it out. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** key=value texts of --override. */
  readonly overrides?: readonly string[]
  readonly code?: BrokerOptions
  /** The metadata of a cluster, for brokers in one process; instead of an address of it. */
  readonly metadata?: MetadataStore
  /** How such a broker reaches the others; by TCP if left out. */
  readonly dial?: Dial
}

/**
 * What is set in the server.properties that Kafka comes with, though it is not its default: the first generation of a group
 * need not wait for 3 s. For `defaults`.
 */
export const SHIPPED: BrokerOptions = { 'group.initial.rebalance.delay.ms': 0 }

/**
 * The options in force, checked. Frozen.
 * @internal
 */
export interface Options {
  /** Every broker config, typed, by camelCase name. */
  readonly settings: BrokerSettings
  readonly nodeId: number
  /** Absolute path. */
  readonly dataDir: string
  readonly listeners: readonly Listener[]
  readonly advertised: readonly AdvertisedListener[]
  readonly limits: Limits
  /** What was given, as text by Kafka name: the static layer of DescribeConfigs. */
  readonly given: ConfigValues
  /** Where each option that was given came from, by Kafka name. */
  readonly origins: Readonly<Record<string, string>>
  /** Unknown, unsupported and doubled options, one sentence each. */
  readonly warnings: readonly string[]
}

/** All sources laid over each other. */
function gather(sources: OptionSources, warnings: string[]): GivenOptions {
  const layers = [
    fromCode(sources.defaults ?? {}, 'default', warnings),
    sources.file === undefined ? new Map<string, Given>() : fromFile(sources.file, warnings),
    fromEnvironment(sources.env ?? {}, warnings),
    fromOverrides(sources.overrides ?? [], warnings),
    fromCode(sources.code ?? {}, 'code', warnings),
  ]
  return new Map(layers.flatMap(layer => [...layer]))
}

function parseSettings(given: GivenOptions): BrokerSettings {
  const settings: Record<string, unknown> = {}
  // What is given is checked also where nobody reads it.
  const names = new Set([...Object.keys(readConfigs), ...given.keys()])
  for (const name of names as Set<BrokerConfigName>) {
    const definition: Definition<unknown> = brokerConfig(name)
    const option = given.get(name)
    const text = option?.text ?? definition.standard
    const value = text === null ? null : definition.parse(text)
    if (value === undefined) {
      const shown = shownText(definition, text!)
      const allowed = allowedText(name, definition)
      throw new InvalidOption(name, shown, option?.origin ?? 'default', allowed)
    }
    settings[camelCase(name)] = value
  }
  return Object.freeze(settings) as BrokerSettings
}

/**
 * A ring that nobody has set follows message.max.bytes: a file of Kafka's, which knows no ring, is to work as it is. What it
 * then is counts as given, for whoever asks for it.
 */
function withRing(settings: BrokerSettings, given: GivenOptions): BrokerSettings {
  const key = 'odradek.ring.bytes'
  const origin = given.get(key)?.origin ?? 'default'
  const { messageMaxBytes, socketRequestMaxBytes, ringBytes } = settings
  const wanted = ringBytesFor(batchBytesToCome(messageMaxBytes, socketRequestMaxBytes))
  if (origin !== 'default' || wanted <= ringBytes) return settings
  const grown = Math.min(wanted, RING_BYTES_MAX)
  given.set(key, { text: String(grown), origin: 'message.max.bytes' })
  return Object.freeze({ ...settings, ringBytes: grown })
}

/** node.id, or broker.id as it used to be called. */
function nodeIdOf(settings: BrokerSettings, given: GivenOptions): number {
  if (settings.brokerId < 0) return settings.nodeId
  const nodeId = given.get('node.id')
  if (nodeId !== undefined && settings.nodeId !== settings.brokerId) {
    const allowed = `the same as broker.id, which is ${settings.brokerId}`
    throw new InvalidOption('node.id', nodeId.text, nodeId.origin, allowed)
  }
  return settings.brokerId
}

function addressesOf(settings: BrokerSettings, given: GivenOptions, warnings: string[]) {
  const standard = (name: 'listeners' | 'listener.security.protocol.map'): Given =>
    given.get(name) ?? { text: readConfigs[name].standard!, origin: 'default' }
  const advertised = given.get('advertised.listeners')
  let listening = standard('listeners')
  if (advertised !== undefined && !given.has('listeners')) {
    listening = { text: listenersFor(advertised), origin: advertised.origin }
  }
  const map = standard('listener.security.protocol.map')
  const { listeners, leftOut } = parseListeners(listening, map, settings.controllerListenerNames)
  for (const name of leftOut) {
    warnings.push(`Listener ${name} is left out: Odradek has no controller connections.`)
  }
  return { listeners, advertised: parseAdvertised(advertised, listeners, listening, leftOut) }
}

/** With no connections for anybody there must be somebody who may have some, as in Kafka. */
function checkPerIp(settings: BrokerSettings, given: GivenOptions): void {
  const { maxConnectionsPerIp, maxConnectionsPerIpOverrides } = settings
  if (letsSomebodyIn(maxConnectionsPerIp, maxConnectionsPerIpOverrides)) return
  const key = 'max.connections.per.ip'
  const allowed = 'at least 1 if max.connections.per.ip.overrides lets nobody in'
  throw new InvalidOption(key, '0', given.get(key)!.origin, allowed)
}

/** Defaults of topic configs must fit together as a topic's own would. */
function checkTopicDefaults(settings: BrokerSettings, given: GivenOptions): void {
  const least = settings.logCleanerMinCompactionLagMs
  const most = settings.logCleanerMaxCompactionLagMs
  if (least <= most) return
  const key = 'log.cleaner.min.compaction.lag.ms'
  const origin = given.get(key)?.origin ?? 'default'
  const allowed = `at most ${most}, which log.cleaner.max.compaction.lag.ms is`
  throw new InvalidOption(key, String(least), origin, allowed)
}

/**
 * Reads and checks the broker's options.
 * @throws InvalidOption at the first value that cannot be used
 * @internal
 */
export function resolveOptions(sources: OptionSources = {}): Options {
  const warnings: string[] = []
  const found = gather(sources, warnings)
  const settings = withRing(parseSettings(found), found)
  checkTopicDefaults(settings, found)
  checkPerIp(settings, found)
  const nodeId = nodeIdOf(settings, found)
  const addresses = addressesOf(settings, found, warnings)
  const limits = deriveLimits(settings, key => found.get(key)?.origin ?? 'default')
  const given = Object.fromEntries([...found].map(([name, { text }]) => [name, text]))
  return Object.freeze({
    settings,
    nodeId,
    // Exactly one: log.dirs goes before log.dir.
    dataDir: resolve((settings.logDirs ?? settings.logDir)[0]!),
    listeners: Object.freeze(addresses.listeners),
    advertised: Object.freeze(addresses.advertised),
    limits,
    given: Object.freeze(given),
    origins: Object.freeze(
      Object.fromEntries([...found].map(([name, { origin }]) => [name, origin])),
    ),
    warnings: Object.freeze(warnings),
  })
}

/**
 * The options as the static layer under what AlterConfigs set.
 * @internal
 */
export function brokerConfigView(
  options: Options,
  dynamicBroker: ConfigValues = {},
  dynamicDefault: ConfigValues = {},
): BrokerConfigView {
  return { dynamicBroker, dynamicDefault, static: options.given }
}
