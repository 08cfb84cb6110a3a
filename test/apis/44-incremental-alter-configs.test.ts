import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AlterOperation } from '../../src/configs/alter.ts'
import { incrementalAlterConfigsApi } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('IncrementalAlterConfigs')
const { SET, DELETE, APPEND, SUBTRACT } = AlterOperation
const TOPIC = 2
const BROKER = 4
const CLIENT_METRICS = 16
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

type Op = [name: string, operation: number, value: string | null]

async function alterAll(
  asked: { type?: number; name: string; ops: Op[] }[],
  validateOnly = false,
  version = 1,
) {
  const resources = asked.map(({ type = TOPIC, name, ops }) => ({
    resourceType: type,
    resourceName: name,
    configs: ops.map(([key, configOperation, value]) => ({ name: key, configOperation, value })),
  }))
  const answer = await wire.send(incrementalAlterConfigsApi, version, { resources, validateOnly })
  return answer.responses
}

const alter = async (name: string, ...ops: Op[]) => (await alterAll([{ name, ops }]))[0]!
const alterBroker = async (name: string, ...ops: Op[]) =>
  (await alterAll([{ type: BROKER, name, ops }]))[0]!
const setOn = (topic: string) => wire.node.registry.topic(topic)!.configs

test('every version sets and deletes single configs and leaves the others', async () => {
  for (const version of versionsOf(incrementalAlterConfigsApi)) {
    const name = `version-${version}`
    await wire.createTopic(name, 1, { 'retention.ms': '1', 'segment.ms': '2' })
    const ops: Op[] = [
      ['retention.ms', DELETE, null],
      ['flush.messages', SET, '9'],
    ]
    const responses = await alterAll([{ name, ops }], false, version)
    assert.equal(responses, [
      { errorCode: 0, errorMessage: null, resourceType: TOPIC, resourceName: name },
    ])
    assert.equal(setOn(name), { 'segment.ms': '2', 'flush.messages': '9' })
    assert.is(wire.node.registry.topic(name)!.config.flushMessages, 9)
  }
})

test('lists grow and shrink', async () => {
  await wire.createTopic('lists')
  const key = 'cleanup.policy'
  const steps: [Op, string][] = [
    [[key, APPEND, 'compact'], 'delete,compact'],
    [[key, APPEND, 'compact'], 'delete,compact'],
    [[key, SUBTRACT, 'delete'], 'compact'],
    [[key, SUBTRACT, 'never-there'], 'compact'],
    [[key, SUBTRACT, 'compact'], ''],
  ]
  for (const [op, expected] of steps) {
    expectError(await alter('lists', op), 'NONE')
    assert.is(setOn('lists')[key], expected)
  }
  assert.equal(wire.node.registry.topic('lists')!.config.cleanupPolicy, [])
})

test('operations that cannot be done change nothing of their resource', async () => {
  await wire.createTopic('refusing', 1, { 'segment.ms': '2' })
  const refused: [Op, Parameters<typeof expectError>[1]][] = [
    [['unknown', SET, '1'], 'INVALID_CONFIG'],
    [['retention.ms', SET, 'x'], 'INVALID_CONFIG'],
    [['retention.ms', APPEND, '1'], 'INVALID_CONFIG'],
    [['cleanup.policy', APPEND, 'bogus'], 'INVALID_CONFIG'],
    [['retention.ms', SET, null], 'INVALID_REQUEST'],
    [['cleanup.policy', APPEND, null], 'INVALID_REQUEST'],
    [['retention.ms', 9, '1'], 'INVALID_REQUEST'],
    [['retention.ms', -1, '1'], 'INVALID_REQUEST'],
    [['segment.ms', SET, '3'], 'INVALID_REQUEST'],
  ]
  for (const [op, error] of refused) {
    const response = await alter('refusing', ['segment.ms', SET, '4'], op)
    expectError(response, error)
    assert.ok(response.errorMessage)
    assert.equal(setOn('refusing'), { 'segment.ms': '2' })
  }
})

test('deleting what is not set, or not known, is no error', async () => {
  await wire.createTopic('deleting')
  expectError(await alter('deleting', ['retention.ms', DELETE, 'ignored']), 'NONE')
  expectError(await alter('deleting', ['unknown', DELETE, null]), 'NONE')
  expectError(await alter('deleting'), 'NONE')
})

test('resources that are missing or given twice are refused, the others change', async () => {
  await wire.createTopic('changes')
  await wire.createTopic('doubled')
  const ops: Op[] = [['retention.ms', SET, '6']]
  const names = ['nope', 'a b', '', 'doubled', 'changes', 'doubled']
  const responses = await alterAll(names.map(name => ({ name, ops })))
  assert.is(responses.length, 6)
  assert.equal(
    errorsBy(responses, r => r.resourceName),
    {
      nope: 'UNKNOWN_TOPIC_OR_PARTITION',
      'a b': 'INVALID_TOPIC_EXCEPTION',
      '': 'INVALID_REQUEST',
      doubled: 'INVALID_REQUEST',
      changes: 'NONE',
    },
  )
  assert.equal(setOn('doubled'), {})
  assert.equal(setOn('changes'), { 'retention.ms': '6' })
})

test('validateOnly changes nothing', async () => {
  await wire.createTopic('validated')
  const good: Op[] = [['retention.ms', SET, '6']]
  const bad: Op[] = [['retention.ms', SET, 'x']]
  const topic = { name: 'validated' }
  const broker = { type: BROKER, name: '1' }
  expectError((await alterAll([{ ...topic, ops: good }], true))[0]!, 'NONE')
  expectError((await alterAll([{ ...topic, ops: bad }], true))[0]!, 'INVALID_CONFIG')
  const ops: Op[] = [['log.retention.ms', SET, '6']]
  expectError((await alterAll([{ ...broker, ops }], true))[0]!, 'NONE')
  assert.equal(setOn('validated'), {})
  assert.equal(wire.node.configs.current('1'), {})
})

test('changes from many connections at once are all kept', async () => {
  await wire.createTopic('busy')
  const topicKeys = [
    'retention.ms',
    'segment.ms',
    'flush.ms',
    'flush.messages',
    'delete.retention.ms',
  ]
  const brokerKeys = ['log.retention.ms', 'log.roll.ms', 'log.flush.interval.ms']
  const responses = await Promise.all([
    ...topicKeys.map(key => alter('busy', [key, SET, '77'])),
    ...brokerKeys.map(key => alterBroker('1', [key, SET, '77'])),
  ])
  for (const response of responses) expectError(response, 'NONE')
  assert.equal(Object.keys(setOn('busy')).sort(), topicKeys.sort())
  assert.equal(Object.keys(wire.node.configs.current('1')).sort(), brokerKeys.sort())
  const undo = brokerKeys.map((key): Op => [key, DELETE, null])
  expectError(await alterBroker('1', ...undo), 'NONE')
})

test('a broker config reaches the topics that do not say otherwise', async () => {
  await wire.createTopic('follows')
  const config = () => wire.node.registry.topic('follows')!.config
  expectError(await alterBroker('', ['log.cleanup.policy', APPEND, 'compact']), 'NONE')
  assert.equal(config().cleanupPolicy, ['delete', 'compact'])
  expectError(await alterBroker('1', ['log.cleanup.policy', SET, 'compact']), 'NONE')
  assert.equal(config().cleanupPolicy, ['compact'])
  expectError(await alterBroker('1', ['log.cleanup.policy', DELETE, null]), 'NONE')
  expectError(await alterBroker('', ['log.cleanup.policy', DELETE, null]), 'NONE')
  assert.equal(config().cleanupPolicy, ['delete'])
})

test('broker configs that are read-only, bad, unknown or of another broker are refused', async () => {
  const refused: [string, Op, Parameters<typeof expectError>[1]][] = [
    ['1', ['log.dirs', SET, '/x'], 'INVALID_REQUEST'],
    ['', ['num.partitions', SET, '3'], 'INVALID_REQUEST'],
    ['1', ['log.retention.ms', SET, 'x'], 'INVALID_REQUEST'],
    ['1', ['log.retention.ms', SET, null], 'INVALID_REQUEST'],
    ['1', ['log.retention.ms', APPEND, '1'], 'INVALID_CONFIG'],
    ['1', ['unknown', SET, '1'], 'INVALID_REQUEST'],
    ['1', ['authorizer.class.name', SET, ''], 'INVALID_REQUEST'],
    ['1', ['ssl.keystore.location', SET, '/x'], 'INVALID_REQUEST'],
    ['1', ['ssl.client.auth', SET, 'required'], 'INVALID_REQUEST'],
    ['', ['sasl.jaas.config', SET, 'x'], 'INVALID_REQUEST'],
    ['1', ['max.connections', SET, '0'], 'INVALID_REQUEST'],
    ['1', ['leader.replication.throttled.rate', SET, '-5'], 'INVALID_REQUEST'],
    ['2', ['log.retention.ms', SET, '1'], 'INVALID_REQUEST'],
    ['x', ['log.retention.ms', SET, '1'], 'INVALID_REQUEST'],
  ]
  for (const [name, op, error] of refused) expectError(await alterBroker(name, op), error)
  assert.equal(wire.node.configs.current('1'), {})
  assert.equal(wire.node.configs.current(''), {})
})

test('other kinds of resources have no configs', async () => {
  for (const type of [0, 3, 8]) {
    const ops: Op[] = [['root', SET, 'INFO']]
    expectError((await alterAll([{ type, name: '1', ops }]))[0]!, 'INVALID_REQUEST')
  }
})

const alterMetrics = async (name: string, ...ops: Op[]) =>
  (await alterAll([{ type: CLIENT_METRICS, name, ops }]))[0]!

test('subscriptions of client metrics are set, shrunk and deleted', async () => {
  const set = (name: string, value: string) => alterMetrics('sub', [name, SET, value])
  expectError(await set('interval.ms', '100'), 'NONE')
  expectError(await set('metrics', 'org.apache.kafka.,x'), 'NONE')
  expectError(await set('match', ' client_id = (?i)app-.* ,client_source_port=9+'), 'NONE')
  expectError(await alterMetrics('sub', ['metrics', SUBTRACT, 'x']), 'NONE')
  assert.equal(wire.node.clientMetrics.current('sub'), {
    'interval.ms': '100',
    metrics: 'org.apache.kafka.',
    match: ' client_id = (?i)app-.* ,client_source_port=9+',
  })
  const keys = ['interval.ms', 'metrics', 'match', 'bogus']
  expectError(await alterMetrics('sub', ...keys.map((key): Op => [key, DELETE, null])), 'NONE')
  assert.equal([...wire.node.clientMetrics.names], [])
})

test('subscriptions that cannot be are refused with the errors of Kafka', async () => {
  const refused: [string, string, Parameters<typeof expectError>[1]][] = [
    ['interval.ms', '99', 'INVALID_REQUEST'],
    ['interval.ms', '3600001', 'INVALID_REQUEST'],
    ['interval.ms', 'soon', 'INVALID_CONFIG'],
    ['match', 'foo=bar', 'INVALID_CONFIG'],
    ['match', 'client_id', 'INVALID_CONFIG'],
    ['match', 'client_id=', 'INVALID_CONFIG'],
    ['match', 'client_id=a=b', 'INVALID_CONFIG'],
    ['match', 'client_id=[', 'INVALID_CONFIG'],
    ['match', 'client_id=a,,client_source_port=1', 'INVALID_CONFIG'],
    ['match', Array.from({ length: 17 }, (_, i) => `client_id=${i}`).join(), 'INVALID_CONFIG'],
    ['metrics', 'a,,b', 'INVALID_CONFIG'],
    ['bogus', '1', 'INVALID_REQUEST'],
  ]
  for (const [key, value, error] of refused) {
    expectError(await alterMetrics('bad', [key, SET, value]), error)
  }
  expectError(await alterMetrics('', ['interval.ms', SET, '100']), 'INVALID_REQUEST')
  const ops: Op[] = [['interval.ms', SET, '100']]
  const asked = [{ type: CLIENT_METRICS, name: 'dry', ops }]
  expectError((await alterAll(asked, true))[0]!, 'NONE')
  assert.equal([...wire.node.clientMetrics.names], [])
})

test('what was set is there after a restart', async () => {
  expectError(await alterBroker('1', ['sasl.jaas.config', SET, 'secret']), 'NONE')
  expectError(await alterMetrics('kept', ['metrics', SET, '*']), 'NONE')
  await wire.createTopic('kept')
  await wire.createTopic('inherits')
  expectError(await alter('kept', ['retention.ms', SET, '55']), 'NONE')
  expectError(await alterBroker('', ['log.retention.ms', SET, '66']), 'NONE')
  wire = await wire.restart()
  assert.is(wire.node.registry.topic('kept')!.config.retentionMs, 55)
  assert.is(wire.node.registry.topic('inherits')!.config.retentionMs, 66)
  assert.equal(wire.node.configs.current('1'), { 'sasl.jaas.config': 'secret' })
  assert.equal(wire.node.clientMetrics.current('kept'), { metrics: '*' })
})

test.run()
