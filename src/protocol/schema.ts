import {
  compileDecoder,
  compileEncoder,
  compilePiecewiseDecoder,
  compilePiecewiseEncoder,
} from './compile.ts'
import {
  type DecodedFields,
  type EncodableFields,
  type Fields,
  includes,
  parseVersions,
  type VersionRange,
  type Versions,
} from './fields.ts'
import type { Reader } from './reader.ts'
import { SchemaError, type Writer } from './writer.ts'

export interface MessageOptions {
  readonly apiKey: number
  /** Kafka's validVersions. */
  readonly versions: Versions
  /** Versions in KIP-482's compact encoding with tag sections. */
  readonly flexible: Versions
  /** Kafka serves the highest version only when unstable versions are switched on. */
  readonly latestVersionUnstable?: boolean
}

/**
 * One request or response in all its versions. The codec of a version is compiled on first use.
 * `decode` throws MalformedFrame; `encode` throws SchemaError and then leaves part of the message
 * in the writer.
 */
export class Message<F extends Fields = Fields> {
  readonly name: string
  readonly apiKey: number
  readonly versions: VersionRange
  readonly flexible: VersionRange
  readonly latestVersionUnstable: boolean
  readonly fields: F
  readonly #decoders: (((reader: Reader) => DecodedFields<F>) | undefined)[] = []
  readonly #encoders: (((writer: Writer, value: EncodableFields<F>) => void) | undefined)[] = []
  readonly #piecewiseDecoders: ((reader: Reader) => Generator<void, DecodedFields<F>>)[] = []
  readonly #piecewiseEncoders: ((w: Writer, v: EncodableFields<F>) => Generator<void, void>)[] = []

  constructor(name: string, options: MessageOptions, fields: F) {
    this.name = name
    this.apiKey = options.apiKey
    this.versions = parseVersions(options.versions)
    this.flexible = parseVersions(options.flexible)
    this.latestVersionUnstable = options.latestVersionUnstable ?? false
    this.fields = fields
  }

  isFlexible(version: number): boolean {
    return includes(this.flexible, version)
  }

  /** Bytes after the message are the caller's to judge: see `reader.remaining`. */
  decode(reader: Reader, version: number): DecodedFields<F> {
    const decoder = this.#decoders[version] ?? this.#compileDecoder(version)
    return decoder(reader)
  }

  encode(writer: Writer, version: number, value: EncodableFields<F>): void {
    const encoder = this.#encoders[version] ?? this.#compileEncoder(version)
    encoder(writer, value)
  }

  /** The same a piece at a time, for a message that would take too long at once. */
  decodeInPieces(reader: Reader, version: number): Generator<void, DecodedFields<F>> {
    this.#checkVersion(version)
    this.#piecewiseDecoders[version] ??= compilePiecewiseDecoder<DecodedFields<F>>(this, version)
    return this.#piecewiseDecoders[version](reader)
  }

  /** The same a piece at a time. The value must not change meanwhile. */
  encodeInPieces(
    writer: Writer,
    version: number,
    value: EncodableFields<F>,
  ): Generator<void, void> {
    this.#checkVersion(version)
    this.#piecewiseEncoders[version] ??= compilePiecewiseEncoder<EncodableFields<F>>(this, version)
    return this.#piecewiseEncoders[version](writer, value)
  }

  #compileDecoder(version: number): (reader: Reader) => DecodedFields<F> {
    this.#checkVersion(version)
    const decoder = compileDecoder<DecodedFields<F>>(this, version)
    this.#decoders[version] = decoder
    return decoder
  }

  #compileEncoder(version: number): (writer: Writer, value: EncodableFields<F>) => void {
    this.#checkVersion(version)
    const encoder = compileEncoder<EncodableFields<F>>(this, version)
    this.#encoders[version] = encoder
    return encoder
  }

  #checkVersion(version: number): void {
    if (!Number.isInteger(version) || !includes(this.versions, version)) {
      throw new SchemaError(`${this.name} has no version ${version}`)
    }
  }
}

/** Both directions of one API, as the client and the API table want them. */
export interface Api<Q extends Fields = Fields, R extends Fields = Fields> {
  readonly request: Message<Q>
  readonly response: Message<R>
}

export type Decoded<M> = M extends Message<infer F> ? DecodedFields<F> : never
export type Encodable<M> = M extends Message<infer F> ? EncodableFields<F> : never

export function request<const F extends Fields>(
  name: `${string}Request`,
  options: MessageOptions,
  fields: F,
): Message<F> {
  return new Message(name, options, fields)
}

export function response<const F extends Fields>(
  name: `${string}Response`,
  options: MessageOptions,
  fields: F,
): Message<F> {
  return new Message(name, options, fields)
}

/** What is written into a log or into opaque bytes, not sent as a request: encoded by the same rules. */
export function record<const F extends Fields>(
  name: string,
  options: MessageOptions,
  fields: F,
): Message<F> {
  return new Message(name, options, fields)
}
