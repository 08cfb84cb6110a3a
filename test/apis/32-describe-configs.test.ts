import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brokerConfigs } from '../../src/configs/broker.ts'
import { ConfigType } from '../../src/configs/definition.ts'
import { ConfigSource } from '../../src/configs/describe.ts'
import { topicConfigs } from '../../src/configs/topic.ts'
import { describeConfigsApi } from '../../src/protocol/messages/32-describe-configs.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DescribeConfigs')
const TOPIC = 2
const BROKER = 4
const CLIENT_METRICS = 16
const SECRET = 'hunter2'
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ messageMaxBytes: 2_000_000, 'ssl.key.password': SECRET })
  await wire.createTopic('topic', 1, { 'retention.ms': '5000' })
})
test.after(() => wire.close())

interface Asked {
  type?: number
  name: string
  keys?: string[] | null
}

async function describe(asked: Asked[], version = 4, options = {}) {
  const resources = asked.map(({ type = TOPIC, name, keys = null }) => ({
    resourceType: type,
    resourceName: name,
    configurationKeys: keys,
  }))
  const { results } = await wire.send(describeConfigsApi, version, { resources, ...options })
  return results
}

test('every version describes a topic, a broker, and what is set for all brokers', async () => {
  for (const version of versionsOf(describeConfigsApi)) {
    const [topic, broker, all] = await describe(
      [{ name: 'topic' }, { type: BROKER, name: '1' }, { type: BROKER, name: '' }],
      version,
    )
    for (const result of [topic, broker, all]) expectError(result!, 'NONE')
    assert.is(topic!.configs.length, Object.keys(topicConfigs).length)
    assert.is(broker!.configs.length, Object.keys(brokerConfigs()).length)
    assert.equal(all!.configs, [])
    const retention = topic!.configs.find(({ name }) => name === 'retention.ms')!
    assert.is(retention.value, '5000')
    assert.is(retention.configSource, ConfigSource.TOPIC)
    assert.is(retention.configType, version >= 3 ? ConfigType.LONG : 0)
    assert.not(retention.readOnly)
    assert.not(retention.isSensitive)
  }
})

test('null and no keys mean all; unknown ones are left out', async () => {
  const count = Object.keys(topicConfigs).length
  assert.is((await describe([{ name: 'topic', keys: [] }]))[0]!.configs.length, count)
  const keys = ['retention.ms', 'nope', 'retention.ms', 'toString']
  const [some] = await describe([{ name: 'topic', keys }])
  assert.equal(
    some!.configs.map(({ name }) => name),
    ['retention.ms'],
  )
})

test('synonyms and documentation come when they are asked for', async () => {
  const asked = [{ name: 'topic', keys: ['max.message.bytes'] }]
  const plain = (await describe(asked))[0]!.configs[0]!
  assert.equal(plain.synonyms, [])
  assert.is(plain.documentation, null)
  const options = { includeSynonyms: true, includeDocumentation: true }
  const full = (await describe(asked, 4, options))[0]!.configs[0]!
  assert.is(full.configSource, ConfigSource.STATIC_BROKER)
  assert.equal(
    full.synonyms.map(({ name, value, source }) => [name, value, source]),
    [
      ['message.max.bytes', '2000000', ConfigSource.STATIC_BROKER],
      ['message.max.bytes', '1048588', ConfigSource.DEFAULT],
    ],
  )
  assert.match(full.documentation ?? '', 'bytes')
})

test('what only a restart can change is read-only', async () => {
  const keys = ['log.dirs', 'log.retention.ms']
  const [broker] = await describe([{ type: BROKER, name: '1', keys }])
  const readOnly = Object.fromEntries(broker!.configs.map(c => [c.name, c.readOnly]))
  assert.equal(readOnly, { 'log.dirs': true, 'log.retention.ms': false })
})

test('secrets are sensitive and not shown, whether given at start or set while running', async () => {
  const { configs } = wire.node
  await configs.change('1', () => ({ 'sasl.jaas.config': SECRET }))
  const options = { includeSynonyms: true, includeDocumentation: true }
  const [broker] = await describe([{ type: BROKER, name: '1' }], 4, options)
  await configs.change('1', () => ({}))
  const shown = broker!.configs.filter(c => c.isSensitive && c.synonyms.length > 0)
  assert.equal(
    shown.map(c => [c.name, c.value, c.configSource, c.synonyms.map(s => s.value)]),
    [
      ['sasl.jaas.config', null, ConfigSource.DYNAMIC_BROKER, [null]],
      ['ssl.key.password', null, ConfigSource.STATIC_BROKER, [null]],
    ],
  )
  assert.is(broker!.configs.filter(c => c.isSensitive).length, 10)
  assert.not.match(JSON.stringify(broker), SECRET)
})

test('a subscription of client metrics shows what was set, or its defaults', async () => {
  const asked = [{ type: CLIENT_METRICS, name: 'sub' }]
  const shown = async () => {
    const [{ configs }] = await describe(asked, 4, { includeSynonyms: true })
    return configs.map(c => `${c.name}=${c.value} ${c.configSource} ${c.synonyms.length}`)
  }
  assert.equal(await shown(), ['interval.ms=300000 5 0', 'match= 5 0', 'metrics= 5 0'])
  await wire.node.clientMetrics.change('sub', () => ({ metrics: '*', 'interval.ms': ' 500' }))
  const { CLIENT_METRICS: own } = ConfigSource
  assert.equal(await shown(), [`interval.ms=500 ${own} 1`, 'match= 5 0', `metrics=* ${own} 1`])
  await wire.node.clientMetrics.change('sub', () => ({}))
})

test('what does not exist is refused, each for itself', async () => {
  const asked: Asked[] = [
    { name: 'nope' },
    { name: 'a b' },
    { name: '' },
    { type: BROKER, name: '2' },
    { type: BROKER, name: 'x' },
    { type: BROKER, name: '1' },
    { type: 8, name: '1' },
    { type: CLIENT_METRICS, name: '' },
    { type: 32, name: 'group' },
    { type: 3, name: 'what' },
  ]
  const results = await describe(asked)
  assert.equal(
    errorsBy(results, r => `${r.resourceType} ${r.resourceName}`),
    {
      '2 nope': 'UNKNOWN_TOPIC_OR_PARTITION',
      '2 a b': 'INVALID_TOPIC_EXCEPTION',
      '2 ': 'INVALID_TOPIC_EXCEPTION',
      '4 2': 'INVALID_REQUEST',
      '4 x': 'INVALID_REQUEST',
      '4 1': 'NONE',
      '8 1': 'INVALID_REQUEST',
      '16 ': 'INVALID_REQUEST',
      '32 group': 'NONE',
      '3 what': 'INVALID_REQUEST',
    },
  )
  assert.match(results[6]!.errorMessage ?? '', 'broker loggers')
})

test("a group has the broker's values until it has its own", async () => {
  const GROUP = 32
  const shown = async () => {
    const [group] = await describe([
      { type: GROUP, name: 'g', keys: ['consumer.session.timeout.ms'] },
    ])
    const { value, configSource, readOnly } = group!.configs[0]!
    return { value, configSource, readOnly }
  }
  assert.equal(await shown(), { value: '45000', configSource: 5, readOnly: false })
  await wire.node.groupConfigs.change('g', () => ({ 'consumer.session.timeout.ms': '50000' }))
  assert.equal(await shown(), { value: '50000', configSource: 8, readOnly: false })
  const [all] = await describe([{ type: GROUP, name: 'other' }])
  assert.is(all!.configs.length, 3)
})

test('a resource that is given twice is described once', async () => {
  const results = await describe([{ name: 'topic' }, { name: 'topic' }])
  expectError(results[0]!, 'NONE')
  expectError(results[1]!, 'INVALID_REQUEST')
  assert.equal(results[1]!.configs, [])
})

test('long answers let other requests through', async () => {
  const names = Array.from({ length: 400 }, (_, i) => `many-${i}`)
  for (const name of names) await wire.createTopic(name)
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 1)
  const results = await describe(
    names.map(name => ({ name })),
    4,
    { includeSynonyms: true, includeDocumentation: true },
  )
  clearInterval(timer)
  assert.is(results.length, 400)
  assert.ok(longest < 500, `the event loop was held for ${longest} ms`)
})

test.run()
