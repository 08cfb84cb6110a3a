import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  ConfigType,
  type ConfigValues,
  type Definitions,
  definitionOf,
  didYouMean,
  splitList,
} from './definition.ts'

/** Operation numbers of IncrementalAlterConfigs (KIP-339). */
export const AlterOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

export interface AlterOp {
  readonly name: string
  /** One of AlterOperation, as it came over the wire. */
  readonly operation: number
  readonly value: string | null
}

const invalidRequest = (message: string) => new BrokerError(ErrorCode.INVALID_REQUEST, message)
const invalidConfig = (message: string) => new BrokerError(ErrorCode.INVALID_CONFIG, message)

function changedList(old: readonly string[], op: AlterOp, value: string): string {
  const values = splitList(value)
  if (op.operation === AlterOperation.SUBTRACT) {
    const subtracted = new Set(values)
    return old.filter(one => !subtracted.has(one)).join(',')
  }
  const known = new Set(old)
  return [...old, ...values.filter(one => !known.has(one))].join(',')
}

function applyOne(next: Map<string, string>, op: AlterOp, definitions: Definitions): void {
  const { name, operation, value } = op
  if (operation === AlterOperation.DELETE) {
    next.delete(name)
    return
  }
  if (value === null) throw invalidRequest(`A value for ${name} is missing.`)
  if (operation === AlterOperation.SET) {
    next.set(name, value)
    return
  }
  const definition = definitionOf(definitions, name)
  if (definition === undefined) {
    throw invalidConfig(`Unknown config ${name}${didYouMean(name, definitions)}`)
  }
  if (operation !== AlterOperation.APPEND && operation !== AlterOperation.SUBTRACT) {
    throw invalidRequest(`Unknown operation ${operation} on config ${name}.`)
  }
  if (definition.type !== ConfigType.LIST) {
    const verb = operation === AlterOperation.APPEND ? 'append to' : 'subtract from'
    throw invalidConfig(`Cannot ${verb} ${name}: it is not a list.`)
  }
  next.set(name, changedList(splitList(next.get(name) ?? definition.standard ?? ''), op, value))
}

/**
 * The values after a list of IncrementalAlterConfigs operations; `current` is not touched.
 * Appending and subtracting start from the config's default where nothing was set. Names and values that are set are
 * not validated: that takes all of them together (validateTopicConfigs, validateDynamicConfigs).
 * @throws BrokerError INVALID_CONFIG or INVALID_REQUEST, and then nothing applies.
 */
export function applyIncremental(
  current: ConfigValues,
  ops: readonly AlterOp[],
  definitions: Definitions,
): ConfigValues {
  const seen = new Set<string>()
  const next = new Map(Object.entries(current))
  for (const op of ops) {
    if (seen.has(op.name))
      throw invalidRequest(`Config ${op.name} is altered twice in one request.`)
    seen.add(op.name)
    applyOne(next, op, definitions)
  }
  return Object.fromEntries(next)
}
