import { InvalidArgumentError } from 'commander'
import type { BatchRecord } from '../../protocol/records.ts'
import { parseEscapes } from '../base/escapes.ts'
import { prettyJson, toJson } from '../base/json-bytes.ts'

/** A record and the partition that it is in. */
export interface Consumed {
  readonly topic: string
  readonly partition: number
  readonly record: BatchRecord
}

/** What is printed for a record, in pieces. */
export type Format = (consumed: Consumed) => readonly (string | Buffer)[]

const headersOf = ({ headers }: BatchRecord): string =>
  headers.map(({ key, value }) => `${key}=${value === null ? '' : value.toString()}`).join(',')

/** kcat's letters. Keys and values are written as their bytes; null as nothing. */
const LETTERS: Readonly<Record<string, (consumed: Consumed) => string | Buffer>> = {
  t: ({ topic }) => topic,
  p: ({ partition }) => String(partition),
  o: ({ record }) => String(record.offset),
  k: ({ record }) => record.key ?? '',
  s: ({ record }) => record.value ?? '',
  h: ({ record }) => headersOf(record),
  T: ({ record }) => String(record.timestamp),
  K: ({ record }) => String(record.key?.length ?? -1),
  S: ({ record }) => String(record.value?.length ?? -1),
  '%': () => '%',
}

/** @throws InvalidArgumentError for a letter that there is not */
export function parseFormat(text: string): Format {
  const parts = parseEscapes(text)
    .split(/(%.?)/s)
    .filter(part => part !== '')
    .map(part => {
      if (!part.startsWith('%')) return () => part
      const letter = LETTERS[part.slice(1)]
      if (letter !== undefined) return letter
      throw new InvalidArgumentError(
        `${part} is none of ${Object.keys(LETTERS)
          .map(key => `%${key}`)
          .join(' ')}.`,
      )
    })
  return consumed => parts.map(part => part(consumed))
}

/** Value and line break; with a delimiter the key before. */
export function lineFormat(delimiter: string | undefined, pretty: boolean): Format {
  return ({ record: { key, value } }) => {
    const shown = (pretty && value !== null && prettyJson(value.toString())) || (value ?? '')
    return delimiter === undefined ? [shown, '\n'] : [key ?? '', delimiter, shown, '\n']
  }
}

/** One object a line, which `odradek topic produce --json` reads. */
export const jsonFormat: Format = ({ topic, partition, record }) => {
  const { offset, timestamp, key, value } = record
  const headers = record.headers.map(h => ({ key: h.key, value: toJson(h.value) }))
  const fields = { topic, partition, offset, timestamp, key: toJson(key), value: toJson(value) }
  return [JSON.stringify({ ...fields, headers }), '\n']
}
