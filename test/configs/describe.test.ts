import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type ConfigEntry,
  ConfigSource,
  describeBrokerConfigs,
  describeClusterConfigs,
  describeTopicConfigs,
} from '../../src/configs/describe.ts'
import type { BrokerConfigView } from '../../src/configs/values.ts'

const nothing: BrokerConfigView = { dynamicBroker: {}, dynamicDefault: {}, static: {} }

const all = { includeSynonyms: true }

const sourceNames = Object.fromEntries(
  Object.entries(ConfigSource).map(([name, number]) => [number, name]),
)

/** An entry as one line, as the table of Kafka's answers was taken down. */
function line(entry: ConfigEntry): string {
  const synonyms = entry.synonyms.map(one => `${sourceNames[one.source]}:${one.name}=${one.value}`)
  return `${entry.name}=${entry.value} ${sourceNames[entry.configSource]} [${synonyms.join(', ')}]`
}

const topicLine = (name: string, overrides: Record<string, string>, view: BrokerConfigView) =>
  line(describeTopicConfigs(overrides, view, { ...all, names: [name] })[0]!)

const brokerLine = (name: string, view: BrokerConfigView) =>
  line(describeBrokerConfigs(view, { ...all, names: [name] })[0]!)

const describe = suite('describe configs')

describe('a topic config shows its layers as Kafka 4.3.1 does', () => {
  const is = (actual: string, expected: string) => assert.is(actual, expected)
  is(
    topicLine('cleanup.policy', { 'cleanup.policy': 'compact,delete' }, nothing),
    'cleanup.policy=compact,delete TOPIC [TOPIC:cleanup.policy=compact,delete, DEFAULT:log.cleanup.policy=delete]',
  )
  is(topicLine('retention.ms', {}, nothing), 'retention.ms=604800000 DEFAULT []')
  is(
    topicLine('retention.ms', { 'retention.ms': ' 1000 ' }, nothing),
    'retention.ms=1000 TOPIC [TOPIC:retention.ms=1000]',
  )
  is(topicLine('flush.ms', {}, nothing), 'flush.ms=9223372036854775807 DEFAULT []')
  is(
    topicLine('remote.log.copy.disable', { 'remote.log.copy.disable': 'true' }, nothing),
    'remote.log.copy.disable=true TOPIC [TOPIC:remote.log.copy.disable=true]',
  )
})

describe('dynamic broker values stand before those for all brokers, then the file, then the default', () => {
  const view: BrokerConfigView = {
    dynamicBroker: { 'message.max.bytes': '2000000' },
    dynamicDefault: { 'message.max.bytes': '3000000' },
    static: { 'message.max.bytes': '4000000' },
  }
  assert.is(
    topicLine('max.message.bytes', {}, view),
    'max.message.bytes=2000000 DYNAMIC_BROKER [DYNAMIC_BROKER:message.max.bytes=2000000, ' +
      'DYNAMIC_DEFAULT_BROKER:message.max.bytes=3000000, STATIC_BROKER:message.max.bytes=4000000, ' +
      'DEFAULT:message.max.bytes=1048588]',
  )
})

describe('hours in the file give the milliseconds, unnamed as in Kafka', () => {
  const view = { ...nothing, static: { 'log.retention.hours': '24', 'log.roll.hours': '5' } }
  assert.is(topicLine('retention.ms', {}, view), 'retention.ms=86400000 DEFAULT []')
  assert.is(topicLine('segment.ms', {}, view), 'segment.ms=18000000 DEFAULT []')
  const minutes = { ...nothing, static: { 'log.retention.minutes': '-1', ...view.static } }
  assert.is(topicLine('retention.ms', {}, minutes), 'retention.ms=-1 DEFAULT []')
  const dynamic = { ...view, dynamicDefault: { 'log.retention.ms': '777000' } }
  assert.is(
    topicLine('retention.ms', {}, dynamic),
    'retention.ms=777000 DYNAMIC_DEFAULT_BROKER [DYNAMIC_DEFAULT_BROKER:log.retention.ms=777000, ' +
      'STATIC_BROKER:log.retention.hours=24, DEFAULT:log.retention.hours=168]',
  )
})

describe('broker configs of a chain show what stands behind them', () => {
  const view: BrokerConfigView = {
    dynamicBroker: { 'log.retention.ms': '5000' },
    dynamicDefault: {},
    static: { 'log.retention.hours': '24' },
  }
  assert.is(
    brokerLine('log.retention.ms', view),
    'log.retention.ms=5000 DYNAMIC_BROKER [DYNAMIC_BROKER:log.retention.ms=5000, ' +
      'STATIC_BROKER:log.retention.hours=24, DEFAULT:log.retention.hours=168]',
  )
  assert.is(
    brokerLine('log.retention.hours', view),
    'log.retention.hours=24 STATIC_BROKER [STATIC_BROKER:log.retention.hours=24, DEFAULT:log.retention.hours=168]',
  )
  assert.is(brokerLine('log.retention.minutes', view), 'log.retention.minutes=null DEFAULT []')
})

describe('all configs come sorted, typed, with the flags that tools read', () => {
  const topic = describeTopicConfigs({}, nothing)
  assert.is(topic.length, 33)
  assert.equal(
    topic.map(entry => entry.name),
    topic.map(entry => entry.name).sort(),
  )
  assert.ok(topic.every(entry => !entry.readOnly && !entry.isSensitive && entry.isDefault))
  assert.ok(topic.every(entry => entry.documentation === null && entry.synonyms.length === 0))
  const broker = describeBrokerConfigs(nothing, { includeDocumentation: true })
  assert.ok(broker.every(entry => (entry.documentation ?? '').length > 10))
  const readOnly = (name: string) => broker.find(entry => entry.name === name)!.readOnly
  assert.is(readOnly('log.dirs'), true)
  assert.is(readOnly('log.retention.ms'), false)
})

describe('an empty list of names means all, unknown names are left out', () => {
  assert.is(describeTopicConfigs({}, nothing, { names: [] }).length, 33)
  assert.is(describeTopicConfigs({}, nothing, { names: null }).length, 33)
  const some = describeTopicConfigs({}, nothing, { names: ['x', 'constructor', 'segment.ms'] })
  assert.equal(
    some.map(entry => entry.name),
    ['segment.ms'],
  )
})

describe('the broker named "" shows only what was set for all brokers', () => {
  const view = { ...nothing, dynamicDefault: { 'log.retention.ms': '777000' }, static: {} }
  assert.equal(describeClusterConfigs(view, all).map(line), [
    'log.retention.ms=777000 DYNAMIC_DEFAULT_BROKER [DYNAMIC_DEFAULT_BROKER:log.retention.ms=777000]',
  ])
  assert.equal(describeClusterConfigs(nothing, all), [])
})

describe('durability shows: a record is flushed before it is acknowledged unless someone says otherwise', () => {
  assert.is(
    topicLine('flush.messages', {}, nothing),
    'flush.messages=1 DEFAULT [DEFAULT:log.flush.interval.messages=1]',
  )
})

describe.run()
