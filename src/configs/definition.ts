import { nearest } from '../nearest.ts'

/** Numbers that DescribeConfigs uses for a config's type (KIP-569). */
export const ConfigType = {
  BOOLEAN: 1,
  STRING: 2,
  INT: 3,
  SHORT: 4,
  LONG: 5,
  DOUBLE: 6,
  LIST: 7,
  CLASS: 8,
  PASSWORD: 9,
} as const
export type ConfigType = (typeof ConfigType)[keyof typeof ConfigType]

/**
 * Where a broker config can be changed: in the file only, for one listener of one broker, on one broker, or for all brokers
 * too (KIP-226).
 */
export type UpdateMode = 'read-only' | 'per-listener' | 'per-broker' | 'cluster-wide'

/** Values as text by Kafka name, as they were given. */
export type ConfigValues = Readonly<Record<string, string>>

/**
 * A config, once: what is described, what is checked and what the engine reads all come from here.
 */
export interface Definition<T> {
  readonly type: ConfigType
  /** The text used when nobody gives one; null means unset. */
  readonly standard: string | null
  /** What a value may be, in words that fit after "must be". */
  readonly allowed: string
  /** The typed value, or undefined when the text is not allowed. */
  readonly parse: (text: string) => T | undefined
  /** One sentence about what it does in Odradek. */
  readonly documentation: string
  readonly update: UpdateMode
}

export type Definitions = Readonly<Record<string, Definition<unknown>>>

export type ValueOf<D> = D extends Definition<infer T> ? T : never

/** retention.ms -> retentionMs; our own prefix is dropped: odradek.ring.bytes -> ringBytes. */
export type CamelCase<S extends string> = S extends `odradek.${infer Own}`
  ? CamelCase<Own>
  : S extends `${infer Head}.${infer Tail}`
    ? `${Head}${Capitalize<CamelCase<Tail>>}`
    : S

export function camelCase(name: string): string {
  return name
    .replace(/^odradek\./, '')
    .replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** Looks a definition up without finding what every object inherits ("constructor"). */
export function definitionOf<D>(definitions: Readonly<Record<string, D>>, name: string) {
  return Object.hasOwn(definitions, name) ? definitions[name] : undefined
}

export const LONG_MAX = 9223372036854775807n
export const INT_MAX = 2147483647

const bits = { [ConfigType.SHORT]: 16n, [ConfigType.INT]: 32n, [ConfigType.LONG]: 64n } as const

export interface Range {
  readonly min?: number
  readonly max?: number
  readonly or?: number
  /** Values that stand for something else, in words: `-1: no limit`. */
  readonly meaning?: string
}

type Nullable<T, S> = T | Extract<S, null>

/** A range as it is told: its ends may be beyond what JavaScript's numbers hold. */
interface ToldRange extends Omit<Range, 'min' | 'max'> {
  readonly min?: number | bigint
  readonly max?: number | bigint
}

function rangeText({ min, max, or, meaning }: ToldRange): string {
  let text = ''
  if (min !== undefined && max !== undefined) text = ` from ${min} to ${max}`
  else if (min !== undefined) text = ` of at least ${min}`
  else if (max !== undefined) text = ` of at most ${max}`
  if (or !== undefined) text += `, or ${or}`
  return meaning === undefined ? text : `${text} (${meaning})`
}

function within(value: number, { min, max, or }: Range): boolean {
  if (value === or) return true
  return (min === undefined || value >= min) && (max === undefined || value <= max)
}

/**
 * Whole numbers. A LONG beyond 2^53 loses its last digits as a JavaScript number: only "practically
 * for ever" lies there, and the text keeps all of them.
 */
function whole<S extends number | bigint | null>(
  type: keyof typeof bits,
  standard: S,
  range: Range,
  documentation: string,
  update: UpdateMode,
): Definition<Nullable<number, S>> {
  const end = 1n << (bits[type] - 1n)
  const told = { ...range, min: range.min ?? -end, max: range.max ?? end - 1n }
  return {
    type,
    standard: standard === null ? null : String(standard),
    allowed: `a whole number${rangeText(told)}`,
    parse(text) {
      const digits = text.trim()
      if (!/^[+-]?\d{1,20}$/.test(digits)) return undefined
      const exact = BigInt(digits.replace('+', ''))
      if (exact < -end || exact >= end) return undefined
      return within(Number(exact), range) ? Number(exact) : undefined
    },
    documentation,
    update,
  }
}

export function int<S extends number | null>(
  standard: S,
  range: Range,
  documentation: string,
  update: UpdateMode = 'read-only',
) {
  return whole(ConfigType.INT, standard, range, documentation, update)
}

export function short<S extends number | null>(
  standard: S,
  range: Range,
  documentation: string,
  update: UpdateMode = 'read-only',
) {
  return whole(ConfigType.SHORT, standard, range, documentation, update)
}

export function long<S extends number | bigint | null>(
  standard: S,
  range: Range,
  documentation: string,
  update: UpdateMode = 'read-only',
) {
  return whole(ConfigType.LONG, standard, range, documentation, update)
}

export function double(
  standard: number,
  range: Range,
  documentation: string,
  update: UpdateMode = 'read-only',
): Definition<number> {
  return {
    type: ConfigType.DOUBLE,
    standard: String(standard),
    allowed: `a number${rangeText(range)}`,
    parse(text) {
      if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text)) return undefined
      const value = Number(text)
      return within(value, range) ? value : undefined
    },
    documentation,
    update,
  }
}

export function boolean(
  standard: boolean,
  documentation: string,
  update: UpdateMode = 'read-only',
): Definition<boolean> {
  return {
    type: ConfigType.BOOLEAN,
    standard: String(standard),
    allowed: 'true or false',
    parse(text) {
      const word = text.trim().toLowerCase()
      return word === 'true' ? true : word === 'false' ? false : undefined
    },
    documentation,
    update,
  }
}

/** Free text: `allowed` tells what a value may be where `check` says more than "anything". */
export function string<S extends string | null>(
  standard: S,
  documentation: string,
  {
    allowed = 'text',
    check = () => true,
    update = 'read-only',
  }: { allowed?: string; check?: (s: string) => boolean; update?: UpdateMode } = {},
): Definition<Nullable<string, S>> {
  return {
    type: ConfigType.STRING,
    standard,
    allowed,
    parse: text => (check(text.trim()) ? text.trim() : undefined),
    documentation,
    update,
  }
}

/** The name of a Java class. None is ever loaded. */
export function className<S extends string | null>(
  standard: S,
  documentation: string,
  update: UpdateMode = 'read-only',
): Definition<Nullable<string, S>> {
  return { ...string(standard, documentation, { update }), type: ConfigType.CLASS }
}

/** A secret: it is never shown, neither in answers nor in messages. */
export function password(
  documentation: string,
  update: UpdateMode = 'read-only',
): Definition<string | null> {
  return { ...string(null, documentation, { update }), type: ConfigType.PASSWORD }
}

/**
 * A config that must stay at its default, because to ignore another value would leave something unprotected that people believe
 * to be protected. `allowed` says why.
 */
export function onlyDefault<T>(definition: Definition<T>, allowed: string): Definition<T> {
  const { standard } = definition
  return {
    ...definition,
    allowed,
    parse: text => (text.trim() === (standard ?? '') ? definition.parse(text) : undefined),
  }
}

export function oneOf<C extends string>(
  standard: C,
  choices: readonly C[],
  documentation: string,
  update: UpdateMode = 'read-only',
): Definition<C> {
  return {
    type: ConfigType.STRING,
    standard,
    allowed: `one of ${choices.join(', ')}`,
    parse: text => choices.find(choice => choice === text.trim()),
    documentation,
    update,
  }
}

export function splitList(text: string): string[] {
  const trimmed = text.trim()
  return trimmed === '' ? [] : trimmed.split(/\s*,\s*/)
}

/** Values divided by commas; a value given twice counts once. `check` sees the whole list. */
export function list<S extends string | null>(
  standard: S,
  documentation: string,
  {
    allowed = 'a list divided by commas',
    check = () => true,
    update = 'read-only',
  }: { allowed?: string; check?: (list: readonly string[]) => boolean; update?: UpdateMode } = {},
): Definition<Nullable<readonly string[], S>> {
  return {
    type: ConfigType.LIST,
    standard,
    allowed,
    parse(text) {
      const values = [...new Set(splitList(text))]
      return values.every(value => value !== '') && check(values) ? values : undefined
    },
    documentation,
    update,
  }
}

/**
 * The text in Kafka's own spelling of the value: " 5 " -> "5", "TRUE" -> "true". A bad text is
 * given back as it is.
 */
export function canonical(definition: Definition<unknown>, text: string): string {
  const value = definition.parse(text)
  if (value === undefined) return text
  if (typeof value === 'number' && definition.type !== ConfigType.DOUBLE) {
    return String(BigInt(text.trim().replace('+', '')))
  }
  if (typeof value === 'number') return Number.isInteger(value) ? value.toFixed(1) : String(value)
  return Array.isArray(value) ? value.join(',') : String(value)
}

/** A value as messages may have it. */
export function shownText(definition: Definition<unknown>, text: string): string {
  return definition.type === ConfigType.PASSWORD ? '(hidden)' : text
}

/** What a value may be, with its unit: Kafka's names of times and sizes end with it. */
export function allowedText(name: string, { allowed, type }: Definition<unknown>): string {
  const unit = Object.hasOwn(bits, type) && /\.(ms|seconds|minutes|hours|bytes)$/.exec(name)?.[1]
  return unit ? `${allowed}, in ${unit}` : allowed
}

/** What ends a sentence about a name that is none of these: the one that may be meant, also by its name in code. */
export function didYouMean(wrong: string, definitions: Definitions): string {
  const names = Object.keys(definitions)
  const near = names.find(name => camelCase(name) === wrong) ?? nearest(wrong, names)
  return near === undefined ? '.' : `: did you mean ${near}?`
}

/** The longest string of Kafka's protocol: what is longer could be set in pieces, but never be described. */
const CONFIG_BYTES_MAX = 0x7fff

/** Null, or one sentence that names the key, the value and what is allowed. */
export function problemWith(name: string, definition: Definition<unknown>, text: string) {
  const bytes = Buffer.byteLength(text)
  if (bytes > CONFIG_BYTES_MAX) {
    return `The value for ${name} has ${bytes} bytes: at most ${CONFIG_BYTES_MAX} can be told to a client.`
  }
  if (definition.parse(text) !== undefined) return null
  return `Invalid value ${shownText(definition, text)} for ${name}: it must be ${allowedText(name, definition)}.`
}

/** The first problem of all these values, an unknown name among them. */
export function firstProblem(
  values: ConfigValues,
  definitions: Definitions,
  kind: string,
): string | null {
  for (const [name, text] of Object.entries(values)) {
    const definition = definitionOf(definitions, name)
    if (definition === undefined) {
      return `Unknown ${kind} config ${name}${didYouMean(name, definitions)}`
    }
    const problem = problemWith(name, definition, text)
    if (problem !== null) return problem
  }
  return null
}
