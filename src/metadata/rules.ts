import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  CHANGES_MAX,
  type Change,
  type Compare,
  type Json,
  type JsonItem,
  KEY_BYTES_MAX,
  type PrefixDeletion,
  VALUE_BYTES_MAX,
} from './store.ts'

const refuse = (message: string): never => {
  throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
}

function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key)
  if (bytes === 0 || bytes > KEY_BYTES_MAX) {
    refuse(`A metadata key has 1 to ${KEY_BYTES_MAX} bytes, not ${bytes}.`)
  }
}

export const isPrefix = (change: object): change is PrefixDeletion => 'prefix' in change

function checkValue(key: string, value: Json | null): void {
  if (value === undefined) refuse(`The value of ${key} is undefined.`)
  const bytes = Buffer.byteLength(JSON.stringify(value))
  if (bytes > VALUE_BYTES_MAX) {
    refuse(`The metadata value of ${key} takes ${bytes} bytes; at most ${VALUE_BYTES_MAX} fit.`)
  }
}

/** The bounds that every store keeps. @throws BrokerError INVALID_REQUEST */
export function checkTransaction(compares: readonly Compare[], changes: readonly Change[]): void {
  if (compares.length > CHANGES_MAX || changes.length > CHANGES_MAX) {
    refuse(`A metadata transaction has at most ${CHANGES_MAX} compares and ${CHANGES_MAX} changes.`)
  }
  for (const { key } of compares) checkKey(key)
  const keys = new Set<string>()
  const prefixes = changes.filter(isPrefix).map(({ prefix }) => prefix)
  for (const change of changes) {
    const name = isPrefix(change) ? change.prefix : change.key
    checkKey(name)
    const isTwice = prefixes.some(prefix => prefix !== name && name.startsWith(prefix))
    if (keys.has(name) || isTwice) refuse(`A metadata transaction changes ${name} twice.`)
    keys.add(name)
    if (!isPrefix(change)) checkValue(name, change.value)
  }
}

/** Freezes a value and all that is in it. */
export function freeze<T extends JsonItem>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) freeze(item as JsonItem)
    Object.freeze(value)
  }
  return value
}

/** The change as it would be read back, apart from the caller's. */
export function copyOf(change: Change): Change {
  if (isPrefix(change)) return { prefix: change.prefix, value: null }
  return { ...change, value: JSON.parse(JSON.stringify(change.value)) as Json | null }
}
