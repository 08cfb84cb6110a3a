/** What code may pass to the methods of a test broker, as src/embedded/arguments.ts: a test that is written wrong is to say so, not to pass. */
import {
  expect,
  expectNames,
  expectOptional,
  isFunction,
  isIndex,
  isName,
  isObject,
  isSignal,
} from '../embedded/arguments.ts'
import type { TopicSeed } from './content.ts'
import type { FaultOptions } from './faults/fault.ts'
import type { GroupWaitOptions } from './wait-for-group.ts'
import type { MessageWaitOptions } from './wait-for-messages.ts'

/** The longest timer that Node has, in ms. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1
const WAIT_NAMES = ['timeout', 'signal']
const FAULT_NAMES = ['api', 'topic', 'partition', 'error', 'delay', 'drop', 'times']

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0
const isTimeout = (value: unknown): boolean =>
  value === Number.POSITIVE_INFINITY ||
  (typeof value === 'number' && value >= 0 && value <= TIMEOUT_MS_MAX)

export function checkWait(options: object, names: readonly string[]): void {
  expect(isObject(options), 'options', `an object: {${[...WAIT_NAMES, ...names].join(', ')}}`)
  expectNames(options, 'options', [...WAIT_NAMES, ...names])
  const { timeout, signal } = options as { timeout?: unknown; signal?: unknown }
  const time = `a number of ms from 0 to ${TIMEOUT_MS_MAX}, or Infinity`
  expectOptional(timeout, isTimeout, 'timeout', time)
  expectOptional(signal, isSignal, 'signal', 'an AbortSignal')
}

export function checkMessageWait(topic: unknown, options: MessageWaitOptions): void {
  expect(isName(topic), 'topic', 'a string: the name of a topic')
  checkWait(options, ['count', 'where', 'partition'])
  expectOptional(options.count, isCount, 'count', 'a whole number above 0')
  expectOptional(options.where, isFunction, 'where', 'a function that takes a record')
  expectOptional(options.partition, isIndex, 'partition', 'a whole number from 0')
}

export function checkGroupWait(group: unknown, options: GroupWaitOptions): void {
  expect(isName(group), 'group', 'a string: the id of a group')
  checkWait(options, ['members'])
  expectOptional(options.members, isCount, 'members', 'a whole number above 0')
}

export function checkSeed(topics: Readonly<Record<string, TopicSeed>>): void {
  expect(isObject(topics), 'topics', 'an object: { name: records }')
  for (const [name, given] of Object.entries(topics)) {
    if (Array.isArray(given)) continue // of which `append` says what is wrong
    expect(
      isObject(given),
      name,
      'an array of records, or an object: {partitions, configs, records}',
    )
    expectNames(given, name, ['partitions', 'configs', 'records'])
    const { partitions, configs } = given as { partitions?: unknown; configs?: unknown }
    expectOptional(partitions, isCount, `${name}.partitions`, 'a whole number above 0')
    expectOptional(configs, isObject, `${name}.configs`, 'an object of names and values')
  }
}

export function checkRestart(options: object): void {
  expect(isObject(options), 'options', 'an object: {crash}')
  expectNames(options, 'options', ['crash'])
  const { crash } = options as { crash?: unknown }
  expectOptional(crash, value => typeof value === 'boolean', 'crash', 'true or false')
}

export function checkFault(options: FaultOptions): void {
  expect(isObject(options), 'options', `an object: {${FAULT_NAMES.join(', ')}}`)
  expectNames(options, 'options', FAULT_NAMES)
}
