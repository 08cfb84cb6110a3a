import { INT64_MAX } from './int64.ts'
import { ZERO_UUID } from './reader.ts'

/** As in Kafka's definitions: '3+', '0-12', '5', 'none'. */
export type Versions = `${number}+` | `${number}-${number}` | `${number}` | 'none'

/** Both ends included; empty when min > max. */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

export type Kind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'string'
  | 'bytes'
  | 'uuid'
  | 'records'
  | 'struct'
  | 'array'

export interface FieldOptions<T> {
  /** Versions in which null may stand for the value. */
  readonly nullable?: Versions
  /** What an absent field is. Without it: zero, '', false, empty, null for records. */
  readonly default?: T | null
  /** Outside its versions a value is dropped silently instead of refused. */
  readonly ignorable?: boolean
  /** Tag number (KIP-482); `tagged` says in which versions the field moves to the tag section. */
  readonly tag?: number
  readonly tagged?: Versions
}

declare const decodedType: unique symbol
declare const encodableType: unique symbol

/** D: what decoding gives. E: what encoding takes. The rest is the field's row of the table. */
export interface Field<D = unknown, E = unknown> {
  readonly kind: Kind
  readonly versions: VersionRange
  readonly nullable: VersionRange
  readonly default: unknown
  readonly ignorable: boolean
  /** -1 when the field is never tagged. */
  readonly tag: number
  readonly tagged: VersionRange
  /** The element of an array. */
  readonly element: Field | undefined
  /** The fields of a struct, in wire order. */
  readonly fields: Fields | undefined
  readonly [decodedType]?: (value: never) => D
  readonly [encodableType]?: (value: never) => E
}

export interface Fields {
  readonly [name: string]: Field
}

type DecodedField<F> = F extends Field<infer D, unknown> ? D : never
type EncodableField<F> = F extends Field<unknown, infer E> ? E : never

/** Every field present, whatever the version. */
export type DecodedFields<F extends Fields> = { -readonly [K in keyof F]: DecodedField<F[K]> }

/** Every field optional: an omitted one takes its default. */
export type EncodableFields<F extends Fields> = {
  readonly [K in keyof F]?: EncodableField<F[K]>
}

/** Adds null when the options allow it in any version. */
type OrNull<T, O> = O extends { nullable: Versions } ? T | null : T

const NEVER: VersionRange = { min: 1, max: 0 }

export function parseVersions(text: Versions): VersionRange {
  if (text === 'none') return NEVER
  const match = /^(\d+)(\+|-(\d+))?$/.exec(text)
  if (match === null) throw new RangeError(`not a version range: ${text}`)
  const min = Number(match[1])
  if (match[2] === undefined) return { min, max: min }
  return { min, max: match[3] === undefined ? Number.POSITIVE_INFINITY : Number(match[3]) }
}

export function includes(range: VersionRange, version: number): boolean {
  return version >= range.min && version <= range.max
}

function field<D, E>(
  kind: Kind,
  versions: Versions,
  fallback: unknown,
  options: FieldOptions<unknown> = {},
  inner: { element?: Field; fields?: Fields } = {},
): Field<D, E> {
  return {
    kind,
    versions: parseVersions(versions),
    nullable: parseVersions(options.nullable ?? 'none'),
    default: options.default === undefined ? fallback : options.default,
    ignorable: options.ignorable ?? false,
    tag: options.tag ?? -1,
    tagged: parseVersions(options.tagged ?? 'none'),
    element: inner.element,
    fields: inner.fields,
  }
}

const scalar =
  <T, E = T>(kind: Kind, fallback: T | null) =>
  <const O extends FieldOptions<T>>(versions: Versions, options?: O) =>
    field<OrNull<T, O>, OrNull<E, O>>(kind, versions, fallback, options)

export const bool = scalar<boolean>('bool', false)
export const int8 = scalar<number>('int8', 0)
export const int16 = scalar<number>('int16', 0)
export const uint16 = scalar<number>('uint16', 0)
export const int32 = scalar<number>('int32', 0)
export const uint32 = scalar<number>('uint32', 0)
/** A number: exact, or an end of the range (int64.ts); Long.MAX_VALUE is INT64_MAX. */
export const int64 = scalar<number>('int64', 0)
export const float64 = scalar<number>('float64', 0)
export const string = scalar<string>('string', '')
/** The 22 base64url characters of the 16 bytes, as Kafka prints them. */
export const uuid = scalar<string>('uuid', ZERO_UUID)
/** Decodes to a copy. */
export const bytes = scalar<Buffer, Uint8Array>('bytes', Buffer.alloc(0))
/**
 * Record batches. Decodes to a VIEW on the frame, valid only while the handler runs synchronously.
 * Encodes one buffer, or several one after another; long ones by reference (see Writer).
 */
export const records = scalar<Buffer, Buffer | readonly Buffer[]>('records', null)

/** Array of a primitive (`array('0+', int32)`) or of a struct (`array('0+', { ... })`). */
export function array<D, E, const O extends FieldOptions<never>>(
  versions: Versions,
  element: (versions: Versions) => Field<D, E>,
  options?: O,
): Field<OrNull<D[], O>, OrNull<readonly E[], O>>
export function array<const F extends Fields, const O extends FieldOptions<never>>(
  versions: Versions,
  element: F,
  options?: O,
): Field<OrNull<DecodedFields<F>[], O>, OrNull<readonly EncodableFields<F>[], O>>
export function array(
  versions: Versions,
  element: Fields | ((versions: Versions) => Field),
  options?: FieldOptions<never>,
): Field {
  const inner = typeof element === 'function' ? element('0+') : struct('0+', element)
  return field('array', versions, [], options, { element: inner })
}

export function struct<const F extends Fields, const O extends FieldOptions<never>>(
  versions: Versions,
  fields: F,
  options?: O,
): Field<OrNull<DecodedFields<F>, O>, OrNull<EncodableFields<F>, O>> {
  return field('struct', versions, {}, options, { fields })
}

export { INT64_MAX, ZERO_UUID }
