import type { Stats } from 'node:fs'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { NewRecord } from '../../protocol/records.ts'
import { CliError } from '../base/failure.ts'
import { fromJson } from '../base/json-bytes.ts'
import { isoTime } from '../base/time.ts'

/** A line, or a file that is one record, has no more. */
const RECORD_BYTES_MAX = 64 * 1024 * 1024
const NEWLINE = 0x0a

export interface Input {
  readonly name: string
  readonly stream: Readable
  /** -1 if it is not known, as of a pipe. */
  readonly bytes: number
}

/** The files, or stdin if there are none. */
export async function openInputs(files: readonly string[]): Promise<Input[]> {
  if (files.length === 0) return [{ name: 'stdin', stream: process.stdin, bytes: -1 }]
  const found: [string, Stats][] = []
  for (const name of files) {
    try {
      found.push([name, await stat(name)])
    } catch (cause) {
      throw new CliError(`${name} cannot be read: ${(cause as Error).message}`, 1, { cause })
    }
  }
  const folder = found.find(([, stats]) => stats.isDirectory())
  if (folder !== undefined) throw new CliError(`${folder[0]} is a folder, not a file`)
  return found.map(([name, stats]) => ({
    name,
    // Opened when its turn comes: there may be more files than may be open at once.
    get stream() {
      return createReadStream(name)
    },
    bytes: stats.isFile() ? stats.size : -1,
  }))
}

/** All lines that have arrived, without their ends; a last one needs none. */
export async function* lines(stream: Readable, name: string): AsyncGenerator<Buffer[]> {
  let pieces: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const found: Buffer[] = []
    let at = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      const tail = chunk.subarray(at, end)
      found.push(pieces.length === 0 ? tail : Buffer.concat([...pieces, tail]))
      pieces = []
      bytes = 0
      at = end + 1
    }
    if (at < chunk.length) pieces.push(chunk.subarray(at))
    bytes += chunk.length - at
    refuseAboveMax(bytes, `${name}: a line`)
    yield found
  }
  if (pieces.length > 0) yield [Buffer.concat(pieces)]
}

export async function whole(stream: Readable, name: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    pieces.push(chunk)
    bytes += chunk.length
    refuseAboveMax(bytes, name)
  }
  return Buffer.concat(pieces)
}

function refuseAboveMax(bytes: number, what: string): void {
  if (bytes > RECORD_BYTES_MAX) {
    throw new CliError(`${what} has more than ${RECORD_BYTES_MAX} bytes: too long for one record`)
  }
}

/** A record, and the partition that it asks for. */
export interface Parsed {
  readonly record: NewRecord
  readonly partition?: number
}

export type ParseLine = (line: Buffer) => Parsed

/** Key and value with a delimiter between; a line without one is a value. */
export function plainParser(delimiter: string | undefined, emptyIsNull: boolean): ParseLine {
  const between = delimiter === undefined ? null : Buffer.from(delimiter)
  const orNull = (bytes: Buffer): Buffer | null =>
    emptyIsNull && bytes.length === 0 ? null : bytes
  return line => {
    const at = between === null ? -1 : line.indexOf(between)
    const key = at < 0 ? null : orNull(line.subarray(0, at))
    const value = at < 0 ? line : line.subarray(at + between!.length)
    return { record: { timestamp: Date.now(), key, value: orNull(value) } }
  }
}

/** As `odradek topic consume --json` prints them: topic and offset are where the record was, and are not used; time is if there is no timestamp. */
const FIELDS = ['topic', 'partition', 'offset', 'timestamp', 'time', 'key', 'value', 'headers']

/** @throws Error with what is wrong with the line */
export function parseJsonLine(line: Buffer): Parsed {
  const object: unknown = JSON.parse(line.toString())
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    throw new Error('it must be a JSON object')
  }
  const unknown = Object.keys(object).find(name => !FIELDS.includes(name))
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${FIELDS.join(', ')}`)
  const {
    key,
    value,
    partition,
    time,
    timestamp = time === undefined ? Date.now() : parseIso(time),
    headers,
  } = object as Record<string, unknown>
  if (!Number.isSafeInteger(timestamp) || (timestamp as number) < -1) {
    throw new Error('timestamp must be ms since 1970')
  }
  if (partition !== undefined && !(Number.isSafeInteger(partition) && (partition as number) >= 0)) {
    throw new Error('partition must be a whole number')
  }
  const record = {
    timestamp: timestamp as number,
    key: fromJson(key),
    value: fromJson(value),
    headers: parseHeaders(headers),
  }
  return partition === undefined ? { record } : { record, partition: partition as number }
}

function parseIso(time: unknown): number {
  const ms = typeof time === 'string' ? isoTime(time) : Number.NaN
  if (Number.isNaN(ms)) throw new Error('time must be a time such as 2026-11-26T01:00:00Z')
  return ms
}

/** [{"key": "a", "value": "b"}], which may repeat a key, or {"a": "b"}. */
function parseHeaders(headers: unknown): NonNullable<NewRecord['headers']> {
  if (headers === undefined || headers === null) return []
  if (typeof headers !== 'object') throw new Error('headers must be an array or an object')
  if (!Array.isArray(headers)) {
    return Object.entries(headers).map(([key, value]) => ({ key, value: fromJson(value) }))
  }
  return headers.map((header: unknown) => {
    const { key, value } = (header ?? {}) as { key?: unknown; value?: unknown }
    if (typeof key !== 'string') throw new Error('every header must have a key')
    return { key, value: fromJson(value) }
  })
}
