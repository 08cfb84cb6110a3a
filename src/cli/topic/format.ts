import { InvalidArgumentError } from 'commander'
import type { BatchRecord } from '../../protocol/records.ts'
import { parseEscapes } from '../base/escapes.ts'
import type { Range } from '../base/fetch.ts'
import { prettyJson, toJson } from '../base/json-bytes.ts'
import type { Writing } from '../base/output.ts'
import { isoOf } from '../base/time.ts'

/** Writes what is printed for a record of a partition. */
export type Format = (writing: Writing, from: Range, record: BatchRecord) => void

type Piece = (from: Range, record: BatchRecord) => string | Buffer

const headersOf = ({ headers }: BatchRecord): string =>
  headers.map(({ key, value }) => `${key}=${value === null ? '' : value.toString()}`).join(',')

/** kcat's letters. Keys and values are written as their bytes; null as nothing. */
const LETTERS: Readonly<Record<string, Piece>> = {
  '%t': ({ topic }) => topic,
  '%p': ({ partition }) => String(partition),
  '%o': (_, { offset }) => String(offset),
  '%k': (_, { key }) => key ?? '',
  '%s': (_, { value }) => value ?? '',
  '%h': (_, record) => headersOf(record),
  '%T': (_, { timestamp }) => String(timestamp),
  '%K': (_, { key }) => String(key?.length ?? -1),
  '%S': (_, { value }) => String(value?.length ?? -1),
  '%%': () => '%',
  '%k{hex}': (_, { key }) => key?.toString('hex') ?? '',
  '%k{base64}': (_, { key }) => key?.toString('base64') ?? '',
  '%s{hex}': (_, { value }) => value?.toString('hex') ?? '',
  '%s{base64}': (_, { value }) => value?.toString('base64') ?? '',
  '%T{iso}': (_, { timestamp }) => isoOf(timestamp) ?? String(timestamp),
}

/** A letter, with what is in braces behind those that take it. */
const LETTER = /(%(?:[ksT]\{[^}]*\}?|.)?)/s

/** @throws InvalidArgumentError for a letter that there is not */
export function parseFormat(text: string): Format {
  const parts = parseEscapes(text)
    .split(LETTER)
    .filter(part => part !== '')
    .map((part): Piece => {
      if (!part.startsWith('%')) return () => part
      const letter = LETTERS[part]
      if (letter !== undefined) return letter
      throw new InvalidArgumentError(`${part} is none of ${Object.keys(LETTERS).join(' ')}.`)
    })
  return (writing, from, record) => {
    for (const part of parts) writing.write(part(from, record))
  }
}

/** Value and line break; with a delimiter the key before. */
export function lineFormat(delimiter: string | undefined, pretty: boolean): Format {
  return (writing, _, { key, value }) => {
    if (delimiter !== undefined) {
      if (key !== null) writing.write(key)
      writing.write(delimiter)
    }
    const shown = (pretty && value !== null && prettyJson(value.toString())) || value
    if (shown !== null) writing.write(shown)
    writing.write('\n')
  }
}

/** One object a line, which `odradek topic produce --json` reads. */
export const jsonFormat: Format = (writing, { topic, partition }, record) => {
  const { offset, timestamp, key, value } = record
  const time = isoOf(timestamp)
  const headers = record.headers.map(h => ({ key: h.key, value: toJson(h.value) }))
  // Put together by hand: an object for each record, with what may be missing, takes five times as long.
  writing.write(
    `{"topic":"${topic}","partition":${partition},"offset":${offset},"timestamp":${timestamp},` +
      `${time === null ? '' : `"time":"${time}",`}"key":${JSON.stringify(toJson(key))},` +
      `"value":${JSON.stringify(toJson(value))},` +
      `"headers":${headers.length === 0 ? '[]' : JSON.stringify(headers)}}\n`,
  )
}
