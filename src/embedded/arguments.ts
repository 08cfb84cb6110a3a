/**
 * What code may pass to an embedded broker, for programs that no compiler checks: every refusal is a TypeError that names the argument
 * and says what is allowed, before anything is done.
 */
import { wrongNameInCode } from '../configs/sources.ts'
import { nearest } from '../nearest.ts'
import type { AppendRecord } from './append.ts'
import type { ReadOptions, ReadRecord } from './read.ts'
import type { SubscribeOptions } from './subscribe.ts'

/** The largest time that a Date can hold, in ms. */
const TIMESTAMP_MAX = 8.64e15

export type Check = (value: unknown) => boolean

export const isObject: Check = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
export const isFunction: Check = value => typeof value === 'function'
/** One that UTF-8 can say: it comes back as it was. */
const isText: Check = value => typeof value === 'string' && value.isWellFormed()
export const isName: Check = value => isText(value) && value !== ''
const isBytes: Check = value => value == null || isText(value) || value instanceof Uint8Array
export const isIndex: Check = value => Number.isSafeInteger(value) && (value as number) >= 0
export const isSignal: Check = value =>
  isObject(value) && typeof (value as { aborted?: unknown }).aborted === 'boolean'

/** Whether it is an array without holes of which all hold. */
const isArrayOf =
  (holds: Check): Check =>
  value =>
    Array.isArray(value) && Array.from(value as unknown[]).every(holds)

export function expect(holds: boolean, name: string, allowed: string): void {
  if (!holds) throw new TypeError(`${name} must be ${allowed}`)
}

export function expectOptional(value: unknown, check: Check, name: string, allowed: string): void {
  expect(value === undefined || check(value), name, allowed)
}

/** Names that are not among these would be passed over in silence: a slip is refused with the nearest. */
export function expectNames(value: object, name: string, names: readonly string[]): void {
  for (const [key, given] of Object.entries(value)) {
    if (given === undefined || names.includes(key)) continue
    const near = nearest(key, names)
    const hint = near === undefined ? `there is ${names.join(', ')}` : `did you mean ${near}?`
    throw new TypeError(`${name} has no ${key}: ${hint}`)
  }
}

/** Also of what has been read and is appended again. */
const RECORD_NAMES = ['key', 'value', 'headers', 'timestamp', 'partition', 'topic', 'offset']
const READ_NAMES = ['from', 'partition', 'until', 'signal', 'onUnreadable']
const SUBSCRIBE_NAMES = ['group', 'topics', 'from', 'instanceId', 'signal', 'onUnreadable']

/** @param own what the caller takes besides configs of brokers */
export function checkStart(options: unknown, own: readonly string[]): void {
  expect(isObject(options), 'options', 'an object: broker options by their names')
  for (const [key, value] of Object.entries(options as object)) {
    const wrong = value === undefined ? null : wrongNameInCode(key, own)
    if (wrong !== null) throw new TypeError(wrong)
  }
  const { configFile, logger, signal, unref } = options as Record<string, unknown>
  expectOptional(configFile, isName, 'configFile', 'the path of a file')
  const isLogger = (value: unknown): boolean =>
    isObject(value) &&
    ['debug', 'info', 'warn', 'error'].every(level => isFunction((value as never)[level]))
  expectOptional(logger, isLogger, 'logger', 'an object with debug, info, warn and error, as pino')
  expectOptional(signal, isSignal, 'signal', 'an AbortSignal')
  expectOptional(unref, value => typeof value === 'boolean', 'unref', 'true or false')
}

export function checkTopicName(topic: unknown): void {
  expect(typeof topic === 'string', 'topic', 'a string: the name of a topic')
}

export function checkRecords(records: readonly AppendRecord[]): void {
  expect(Array.isArray(records), 'records', 'an array of records')
  // Not `forEach`, which passes over holes.
  for (let i = 0; i < records.length; i++) checkRecord(records[i], `records[${i}]`)
}

function checkRecord(record: unknown, name: string): void {
  expect(isObject(record), name, 'an object: {key, value, headers, timestamp, partition}')
  expectNames(record as object, name, RECORD_NAMES)
  const { key, value, headers, timestamp, partition } = record as Record<string, unknown>
  const bytes = 'a string, bytes or null; a string of whole characters'
  expect(isBytes(key), `${name}.key`, bytes)
  expect(isBytes(value), `${name}.value`, bytes)
  const isTime = (time: unknown): boolean =>
    Number.isInteger(time) && (time as number) >= -1 && (time as number) <= TIMESTAMP_MAX
  const time = `a whole number of ms from -1 (none) to ${TIMESTAMP_MAX}`
  expectOptional(timestamp, isTime, `${name}.timestamp`, time)
  expectOptional(partition, isIndex, `${name}.partition`, 'a whole number from 0')
  if (headers === undefined) return
  const isPlain = isObject(headers) && !(headers instanceof Map) && !(headers instanceof Set)
  expect(isPlain, `${name}.headers`, 'an object of names and values')
  for (const [header, content] of Object.entries(headers as object)) {
    expect(isText(header), `${name}.headers`, 'an object whose names are whole characters')
    expect(isBytes(content), `${name}.headers.${header}`, bytes)
  }
}

export function checkRead(topic: unknown, options: ReadOptions): void {
  checkTopicName(topic)
  expect(isObject(options), 'options', `an object: {${READ_NAMES.join(', ')}}`)
  expectNames(options, 'options', READ_NAMES)
  const { from, partition, until, signal, onUnreadable } = options
  const isStart = (value: unknown): boolean =>
    value === 'earliest' || value === 'latest' || isIndex(value)
  expectOptional(from, isStart, 'from', "'earliest', 'latest' or an offset, a whole number from 0")
  expectOptional(partition, isIndex, 'partition', 'a whole number from 0')
  expectOptional(until, value => value === 'end', 'until', "'end', or left out")
  expectOptional(signal, isSignal, 'signal', 'an AbortSignal')
  expectOptional(onUnreadable, isFunction, 'onUnreadable', 'a function')
}

export function checkSubscribe(options: SubscribeOptions): void {
  expect(isObject(options), 'options', 'an object with group and topics')
  expectNames(options, 'options', SUBSCRIBE_NAMES)
  const { group, topics, from, instanceId, signal, onUnreadable } = options
  expect(isName(group), 'group', 'a string that is not empty')
  expect(isArrayOf(isName)(topics), 'topics', 'an array of names')
  const isStart = (value: unknown): boolean => value === 'earliest' || value === 'latest'
  expectOptional(from, isStart, 'from', "'earliest' or 'latest'")
  expectOptional(instanceId, isName, 'instanceId', 'a string that is not empty')
  expectOptional(signal, isSignal, 'signal', 'an AbortSignal')
  expectOptional(onUnreadable, isFunction, 'onUnreadable', 'a function')
}

/** What `commit` takes of a record: where it is. */
export function checkCommitted(record: ReadRecord): void {
  expect(isObject(record), 'record', 'a record that was read: {topic, partition, offset}')
  checkTopicName(record.topic)
  expect(isIndex(record.partition), 'record.partition', 'a whole number from 0')
  expect(isIndex(record.offset), 'record.offset', 'a whole number from 0')
}
