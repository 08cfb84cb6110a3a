import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import type * as DotProperties from 'dot-properties'
import { InvalidOption } from '../errors.ts'
import { nearest } from '../nearest.ts'
import { brokerConfigs, gonePrefixes, readConfigs, unlistedPrefixes } from './broker.ts'
import { camelCase } from './definition.ts'
import type { Given } from './listeners.ts'

/** Options of one source or of all, by Kafka name. */
export type GivenOptions = Map<string, Given>

const FILE_BYTES_MAX = 1_048_576

/** Variables of Kafka's start scripts and images that start like options but are none. */
const SCRIPT_VARIABLES =
  /^KAFKA_(HEAP_OPTS|OPTS|CMD_OPTS|GC_LOG_OPTS|GC_LOG_ENABLED|JVM_PERFORMANCE_OPTS|MODE|HOME|VERSION|CLUSTER_ID|DEBUG|DEBUG_OPTS|JAVA_DEBUG_.*|DEBUG_SUSPEND_FLAG|LOG4J_.*|JMX_.*|TOOLS_.*)$/

/** What bitnami's image puts before Kafka's names; Kafka's own image, whose rule holds here, does not know it. */
const BITNAMI_PREFIX = 'KAFKA_CFG_'

let aliases: Map<string, string> | undefined

/** The names that code has for configs, with Kafka's. */
function byAlias(): Map<string, string> {
  if (aliases === undefined) {
    aliases = new Map(Object.keys(brokerConfigs()).map(name => [camelCase(name), name]))
    aliases.set('dataDir', 'log.dirs')
  }
  return aliases
}

/** The Kafka name that stands behind what code calls a config; as it is if there is none. */
const nameInCode = (key: string): string => (isKnown(key) ? key : (byAlias().get(key) ?? key))

export const isKnown = (name: string): boolean =>
  Object.hasOwn(readConfigs, name) || Object.hasOwn(brokerConfigs(), name)

const isOneOf = (prefixes: readonly string[], name: string) =>
  prefixes.some(prefix => name.startsWith(prefix))
const isUnderstood = (name: string) =>
  isOneOf(unlistedPrefixes, name) || isOneOf(gonePrefixes, name)

const nearestConfig = (wrong: string) => nearest(wrong, Object.keys(brokerConfigs()))

function unknownWarning(name: string, origin: string): string {
  if (isOneOf(unlistedPrefixes, name)) {
    return `Option ${name} (from ${origin}) is one of Kafka's that Odradek does not have; it has no effect.`
  }
  if (isOneOf(gonePrefixes, name)) {
    return `Option ${name} (from ${origin}) is of older versions of Kafka; it has no effect.`
  }
  const near = nearestConfig(name)
  const hint = near === undefined ? '' : ` Did you mean ${near}?`
  return `Unknown option ${name} (from ${origin}) has no effect.${hint}`
}

function take(into: GivenOptions, name: string, given: Given, warnings: string[]): void {
  if (isKnown(name)) into.set(name, given)
  else warnings.push(unknownWarning(name, given.origin))
}

/** The text of a server.properties: Java's rules for comments, escapes and continued lines. */
export function fromProperties(text: string, origin: string, warnings: string[]): GivenOptions {
  // Loaded only where there is a file: most starts have none.
  const { parseLines } = createRequire(import.meta.url)('dot-properties') as typeof DotProperties
  const found: GivenOptions = new Map()
  for (const line of parseLines(text)) {
    if (typeof line === 'string') continue
    const [name, value] = line as [string, string]
    if (found.has(name))
      warnings.push(`Option ${name} is given twice in ${origin}; the last one counts.`)
    take(found, name, { text: value.trim(), origin }, warnings)
  }
  return found
}

function readText(path: string, refuse: (allowed: string) => InvalidOption): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw refuse(`a file that can be read (${(error as Error).message})`)
  }
}

/** @throws InvalidOption when the file cannot be read or is too large to be one. */
export function fromFile(path: string, warnings: string[]): GivenOptions {
  const refuse = (allowed: string) => new InvalidOption('config', path, 'flag', allowed)
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) throw refuse('a file that exists')
  if (stats.isDirectory()) throw refuse('a file, not a folder')
  if (stats.size > FILE_BYTES_MAX) {
    throw refuse(`a properties file of at most ${FILE_BYTES_MAX} bytes`)
  }
  return fromProperties(readText(path, refuse), `file ${path}`, warnings)
}

/** KAFKA_LOG_RETENTION_MS -> log.retention.ms: "___" stands for "-", "__" for "_", "_" for ".". */
export function nameFromVariable(variable: string): string {
  const marks: Record<string, string> = { ___: '-', __: '_', _: '.' }
  return variable
    .slice('KAFKA_'.length)
    .toLowerCase()
    .replace(/___|__|_/g, mark => marks[mark]!)
}

/**
 * The rule of the apache/kafka image. Programs use variables with this prefix for much else
 * (KAFKA_BROKERS), so a name that is neither known nor near a known one is passed over in silence.
 */
export function fromEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): GivenOptions {
  const found: GivenOptions = new Map()
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined) continue
    const given = { text, origin: `environment ${variable}` }
    if (variable === 'CLUSTER_ID') found.set('odradek.cluster.id', given)
    if (variable.startsWith(BITNAMI_PREFIX)) {
      const own = `KAFKA_${variable.slice(BITNAMI_PREFIX.length)}`
      warnings.push(`${variable} is a name of bitnami's image and has no effect: call it ${own}.`)
      continue
    }
    if (!variable.startsWith('KAFKA_') || SCRIPT_VARIABLES.test(variable)) continue
    const name = nameFromVariable(variable)
    if (isKnown(name) || isUnderstood(name) || nearestConfig(name) !== undefined) {
      take(found, name, given, warnings)
    }
  }
  return found
}

/** `key=value` texts, as after --override. */
export function fromOverrides(overrides: readonly string[], warnings: string[]): GivenOptions {
  const found: GivenOptions = new Map()
  for (const override of overrides) {
    const at = override.indexOf('=')
    if (at < 1) throw new InvalidOption('override', override, 'flag', 'key=value')
    const given = { text: override.slice(at + 1).trim(), origin: 'flag' }
    take(found, override.slice(0, at).trim(), given, warnings)
  }
  return found
}

/**
 * Null, or a sentence about a name in code that is no config's, with the nearest that is, or of these that the caller takes besides.
 * Kafka's names that have no effect here are understood: they are warned of, like anywhere else.
 */
export function wrongNameInCode(key: string, besides: readonly string[]): string | null {
  const name = nameInCode(key)
  if (besides.includes(key) || isKnown(name) || isUnderstood(name)) return null
  const near = nearest(key, [...besides, ...byAlias().keys(), ...byAlias().values()])
  return `${key} is no option${near === undefined ? '' : `: did you mean ${near}?`}`
}

/** What code may give for an option. */
export type OptionValue = string | number | bigint | boolean | readonly string[] | null | undefined

const SINGLE = ['string', 'number', 'bigint', 'boolean']

/** What an OptionValue is, in words that fit after "must be". */
export const OPTION_VALUES = 'a text, a number, true or false, or an array of texts'

/** For programs that no compiler checks; holes in an array are none. */
export function isOptionValue(value: unknown): boolean {
  if (!Array.isArray(value)) return SINGLE.includes(typeof value)
  return Array.from(value as unknown[]).every(one => SINGLE.includes(typeof one))
}

/** As it would stand in a file. */
export const textOfValue = (value: NonNullable<OptionValue>): string =>
  Array.isArray(value) ? value.join(',') : String(value)

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? 'an array of other things' : `of type ${typeof value}`

/**
 * Options from code, by Kafka name or camelCase alias; null and undefined leave an option unset.
 */
export function fromCode(
  options: Readonly<Record<string, OptionValue>>,
  origin: string,
  warnings: string[],
): GivenOptions {
  const found: GivenOptions = new Map()
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null) continue
    const name = nameInCode(key)
    if (!isOptionValue(value)) {
      throw new InvalidOption(name, `what is ${kindOf(value)}`, origin, OPTION_VALUES)
    }
    const text = textOfValue(value)
    if (found.has(name))
      throw new InvalidOption(name, text, origin, `given once, not also as ${key}`)
    take(found, name, { text, origin }, warnings)
  }
  return found
}
