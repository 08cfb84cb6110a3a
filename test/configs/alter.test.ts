import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AlterOperation, applyIncremental } from '../../src/configs/alter.ts'
import { brokerConfigs } from '../../src/configs/broker.ts'
import type { ConfigValues } from '../../src/configs/definition.ts'
import { topicConfigs } from '../../src/configs/topic.ts'
import {
  type BrokerConfigView,
  brokerValue,
  resolveTopicConfig,
  validateDynamicConfigs,
  validateTopicConfigs,
} from '../../src/configs/values.ts'
import { BrokerError } from '../../src/errors.ts'
import { resolveOptions } from '../../src/options.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'

const { SET, DELETE, APPEND, SUBTRACT } = AlterOperation
const nothing: BrokerConfigView = { dynamicBroker: {}, dynamicDefault: {}, static: {} }

const after = (current: ConfigValues, ...ops: [string, number, string | null][]): ConfigValues =>
  applyIncremental(
    current,
    ops.map(([name, operation, value]) => ({ name, operation, value })),
    topicConfigs,
  )

function refused(code: number, message: string, ...ops: [string, number, string | null][]): void {
  try {
    after({ 'retention.ms': '5' }, ...ops)
  } catch (error) {
    assert.instance(error, BrokerError)
    assert.is((error as BrokerError).errorCode, code)
    assert.is((error as BrokerError).message, message)
    return
  }
  assert.unreachable(message)
}

const alter = suite('alter configs')

alter('sets and deletes, and leaves what it was given alone', () => {
  const current = Object.freeze({ 'retention.ms': '5', 'segment.ms': '6' })
  const next = after(current, ['retention.ms', SET, '7'], ['segment.ms', DELETE, null])
  assert.equal(next, { 'retention.ms': '7' })
  assert.equal(after({}, ['segment.ms', DELETE, null], ['no.such', DELETE, null]), {})
})

alter('appends to and subtracts from a list, starting from its default', () => {
  const policy = (value: string) => ({ 'cleanup.policy': value })
  assert.equal(after({}, ['cleanup.policy', APPEND, 'compact']), policy('delete,compact'))
  assert.equal(after(policy('compact'), ['cleanup.policy', APPEND, 'compact']), policy('compact'))
  assert.equal(after({}, ['cleanup.policy', SUBTRACT, 'delete']), policy(''))
  const both = policy('delete,compact')
  assert.equal(after(both, ['cleanup.policy', SUBTRACT, ' delete , x']), policy('compact'))
})

alter('refuses what cannot be applied, with the code that clients know', () => {
  const { INVALID_CONFIG, INVALID_REQUEST } = ErrorCode
  refused(INVALID_CONFIG, 'Unknown config no.such.', ['no.such', APPEND, '1'])
  refused(INVALID_CONFIG, 'Unknown config cleanup.policies: did you mean cleanup.policy?', [
    'cleanup.policies',
    APPEND,
    'compact',
  ])
  refused(INVALID_CONFIG, 'Unknown config constructor.', ['constructor', SUBTRACT, '1'])
  refused(INVALID_CONFIG, 'Cannot append to retention.ms: it is not a list.', [
    'retention.ms',
    APPEND,
    '5',
  ])
  refused(INVALID_CONFIG, 'Cannot subtract from retention.ms: it is not a list.', [
    'retention.ms',
    SUBTRACT,
    '5',
  ])
  refused(INVALID_REQUEST, 'A value for segment.ms is missing.', ['segment.ms', SET, null])
  refused(INVALID_REQUEST, 'Unknown operation 9 on config segment.ms.', ['segment.ms', 9, '1'])
  refused(
    INVALID_REQUEST,
    'Config segment.ms is altered twice in one request.',
    ['segment.ms', SET, '1'],
    ['segment.ms', DELETE, null],
  )
})

alter('a topic config set is valid only as a whole', () => {
  assert.is(validateTopicConfigs({ 'retention.ms': '5' }, nothing), null)
  assert.is(validateTopicConfigs({ 'no.such': '5' }, nothing), 'Unknown topic config no.such.')
  for (const slip of ['retention.m', 'retention-ms', 'retentionMs']) {
    assert.is(
      validateTopicConfigs({ [slip]: '5' }, nothing),
      `Unknown topic config ${slip}: did you mean retention.ms?`,
    )
  }
  const alias = 'maxMessageBytes'
  assert.match(validateTopicConfigs({ [alias]: '5' }, nothing) ?? '', /mean max\.message\.bytes\?/)
  assert.match(validateTopicConfigs({ 'retention.ms': 'x' }, nothing) ?? '', /^Invalid value x for/)
  assert.is(
    validateTopicConfigs(
      { 'min.compaction.lag.ms': '100', 'max.compaction.lag.ms': '50' },
      nothing,
    ),
    'min.compaction.lag.ms (100) must not be above max.compaction.lag.ms (50).',
  )
  const broker = { ...nothing, static: { 'log.cleaner.max.compaction.lag.ms': '50' } }
  assert.match(validateTopicConfigs({ 'min.compaction.lag.ms': '100' }, broker) ?? '', /above/)
  assert.is(
    validateTopicConfigs({ 'max.message.bytes': '20000000' }, nothing),
    'max.message.bytes (20000000) must be at most 16777136: two batches must fit in a ring of odradek.ring.bytes.',
  )
  const larger = { ...nothing, static: { 'odradek.ring.bytes': '67108864' } }
  assert.is(validateTopicConfigs({ 'max.message.bytes': '20000000' }, larger), null)
  const pasted = { 'message.max.bytes': '200000000' }
  const { given } = resolveOptions({ code: pasted })
  assert.is(validateTopicConfigs({}, { ...nothing, static: given }), null)
})

alter('broker configs can be changed where they say so', () => {
  const check = validateDynamicConfigs
  assert.is(check({ 'log.retention.ms': '5' }, 'per-broker', nothing), null)
  assert.is(check({ 'log.retention.ms': '5' }, 'cluster-wide', nothing), null)
  assert.is(
    check({ 'num.partitions': '3' }, 'cluster-wide', nothing),
    'num.partitions cannot be changed while the broker runs.',
  )
  assert.is(check({ 'no.such': '3' }, 'per-broker', nothing), 'Unknown broker config no.such.')
  assert.match(check({ 'log.retention.ms': '-2' }, 'per-broker', nothing) ?? '', /from -1 to/)
  assert.match(
    check({ 'message.max.bytes': '99999999' }, 'cluster-wide', nothing) ?? '',
    /max.message.bytes \(99999999\) must be at most/,
  )
  assert.ok(Object.values(brokerConfigs()).every(one => one.update !== undefined))
})

alter('what has its place is not changed in another', () => {
  const check = validateDynamicConfigs
  const jaas = { 'sasl.jaas.config': 'hunter2' }
  assert.is(check(jaas, 'per-broker', nothing), null)
  assert.is(
    check(jaas, 'cluster-wide', nothing),
    'sasl.jaas.config can be set for one broker only, not for all.',
  )
  for (const scope of ['per-broker', 'cluster-wide'] as const) {
    const problem = check({ 'ssl.keystore.password': 'hunter2' }, scope, nothing) ?? ''
    assert.match(problem, /^ssl\.keystore\.password can be changed for single listeners only/)
  }
})

alter('nobody can shut everybody out', () => {
  const check = (values: ConfigValues) => validateDynamicConfigs(values, 'per-broker', nothing)
  assert.match(check({ 'max.connections': '0' }) ?? '', /at least 1/)
  assert.match(check({ 'max.connections.per.ip': '0' }) ?? '', /together with/)
  const overrides = { 'max.connections.per.ip.overrides': '10.0.0.1:5' }
  assert.is(check({ 'max.connections.per.ip': '0', ...overrides }), null)
  for (const bad of ['10.0.0.1', 'localhost:5', '10.0.0.1:-1', '10.0.0.1:x', '10.0.0.1:5,']) {
    const problem = check({ 'max.connections.per.ip.overrides': bad }) ?? ''
    assert.match(problem, /it must be a list of ADDRESS:COUNT entries/)
  }
})

alter('a topic reads its own value, else the strongest of its broker, else the default', () => {
  const standard = resolveTopicConfig({}, nothing)
  assert.is(standard.retentionMs, 604_800_000)
  assert.is(standard.flushMessages, 1)
  assert.is(standard.maxMessageBytes, 1_048_588)
  assert.equal(standard.cleanupPolicy, ['delete'])
  assert.is(standard.messageTimestampType, 'CreateTime')
  assert.is(standard.preallocate, false)
  assert.is(Object.keys(standard).length, 33)
  assert.ok(Object.isFrozen(standard))
  const view: BrokerConfigView = {
    dynamicBroker: { 'log.retention.ms': '1' },
    dynamicDefault: { 'log.retention.ms': '2', 'log.segment.bytes': '2000000' },
    static: { 'log.retention.hours': '3', 'log.segment.bytes': '3000000', 'log.roll.hours': '2' },
  }
  const config = resolveTopicConfig({ 'max.message.bytes': '7' }, view)
  assert.is(config.retentionMs, 1)
  assert.is(config.segmentBytes, 2_000_000)
  assert.is(config.segmentMs, 7_200_000)
  assert.is(config.maxMessageBytes, 7)
  const hours = resolveTopicConfig({}, { ...nothing, static: { 'log.retention.hours': '-1' } })
  assert.is(hours.retentionMs, -1)
})

alter('one broker value is read typed, null where nothing is set', () => {
  const partitions: number = brokerValue('num.partitions', nothing)
  const retention: number | null = brokerValue('log.retention.ms', nothing)
  assert.is(partitions, 1)
  assert.is(retention, null)
})

alter.run()
