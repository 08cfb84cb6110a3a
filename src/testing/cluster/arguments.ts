import { expect, expectOptional, isIndex, isName } from '../../embedded/arguments.ts'
import { InvalidOption } from '../../errors.ts'
import { checkWait } from '../arguments.ts'

/** All in one process, each with workers of its own. */
const BROKERS_MAX = 9

const isIds = (value: unknown): boolean => Array.isArray(value) && value.every(isIndex)

export function checkBrokers(brokers: unknown, given: object): void {
  const isCount = isIndex(brokers) && (brokers as number) >= 1 && (brokers as number) <= BROKERS_MAX
  expect(isCount, 'brokers', `a whole number from 1 to ${BROKERS_MAX}`)
  for (const key of ['node.id', 'nodeId', 'broker.id', 'brokerId']) {
    const value = (given as Record<string, unknown>)[key]
    if (value === undefined) continue
    throw new InvalidOption(key, String(value), 'code', 'left out: the brokers are 1, 2, ...')
  }
}

export function checkGroups(groups: readonly unknown[]): void {
  const areIds = groups.length > 0 && groups.every(isIds)
  expect(areIds, 'groups', 'arrays of ids: partition([1], [2, 3])')
  const ids = groups.flat()
  expect(new Set(ids).size === ids.length, 'groups', 'without a broker that is in two of them')
}

export function checkPlace(
  topic: unknown,
  partition: unknown,
  options: object,
  names: readonly string[],
): void {
  expect(isName(topic), 'topic', 'a string: the name of a topic')
  expect(isIndex(partition), 'partition', 'a whole number from 0')
  checkWait(options, names)
  const { id, not, isr } = options as { id?: unknown; not?: unknown; isr?: unknown }
  expectOptional(id, isIndex, 'id', 'the id of a broker')
  expectOptional(not, isIndex, 'not', 'the id of a broker')
  expectOptional(isr, isIds, 'isr', 'an array of ids of brokers')
}
