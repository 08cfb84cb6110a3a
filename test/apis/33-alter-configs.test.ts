import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { alterConfigsApi } from '../../src/protocol/messages/33-alter-configs.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('AlterConfigs')
const TOPIC = 2
const BROKER = 4
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

interface Asked {
  type?: number
  name: string
  configs: [string, string | null][]
}

async function alter(asked: Asked[], validateOnly = false, version = 2) {
  const resources = asked.map(({ type = TOPIC, name, configs }) => ({
    resourceType: type,
    resourceName: name,
    configs: configs.map(([key, value]) => ({ name: key, value })),
  }))
  const answer = await wire.send(alterConfigsApi, version, { resources, validateOnly })
  return answer.responses
}

const configOf = (topic: string) => wire.node.registry.topic(topic)!.config

test('every version replaces all that was set on a topic', async () => {
  for (const version of versionsOf(alterConfigsApi)) {
    const name = `version-${version}`
    await wire.createTopic(name, 1, { 'retention.ms': '1', 'segment.ms': '2' })
    const configs: Asked['configs'] = [['segment.ms', '3']]
    const responses = await alter([{ name, configs }], false, version)
    assert.equal(responses, [
      { errorCode: 0, errorMessage: null, resourceType: TOPIC, resourceName: name },
    ])
    assert.equal(wire.node.registry.topic(name)!.configs, { 'segment.ms': '3' })
    assert.is(configOf(name).segmentMs, 3)
    assert.is(configOf(name).retentionMs, 604_800_000)
  }
})

test('no configs takes everything back', async () => {
  await wire.createTopic('cleared', 1, { 'retention.ms': '1' })
  expectError((await alter([{ name: 'cleared', configs: [] }]))[0]!, 'NONE')
  assert.equal(wire.node.registry.topic('cleared')!.configs, {})
})

test('what is wrong changes nothing, and does not stop the others', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await wire.createTopic(name)
  const responses = await alter([
    { name: 'nope', configs: [] },
    { name: 'x y', configs: [] },
    { name: '', configs: [] },
    {
      name: 'a',
      configs: [
        ['retention.ms', '1'],
        ['unknown', '1'],
      ],
    },
    { name: 'b', configs: [['retention.ms', 'x']] },
    { name: 'c', configs: [['retention.ms', null]] },
    {
      name: 'd',
      configs: [
        ['retention.ms', '1'],
        ['retention.ms', '1'],
      ],
    },
    { name: 'e', configs: [['retention.ms', '8']] },
    { name: 'f', configs: [] },
    { name: 'f', configs: [] },
  ])
  assert.is(responses.length, 10)
  assert.equal(
    errorsBy(responses, r => r.resourceName),
    {
      nope: 'UNKNOWN_TOPIC_OR_PARTITION',
      'x y': 'INVALID_TOPIC_EXCEPTION',
      '': 'INVALID_REQUEST',
      a: 'INVALID_CONFIG',
      b: 'INVALID_CONFIG',
      c: 'INVALID_REQUEST',
      d: 'INVALID_REQUEST',
      e: 'NONE',
      f: 'INVALID_REQUEST',
    },
  )
  for (const name of ['a', 'b', 'c', 'd']) assert.is(configOf(name).retentionMs, 604_800_000)
  assert.is(configOf('e').retentionMs, 8)
})

test('validateOnly changes nothing', async () => {
  await wire.createTopic('validated')
  const good: Asked = { name: 'validated', configs: [['retention.ms', '7']] }
  const bad: Asked = { name: 'validated', configs: [['retention.ms', 'x']] }
  expectError((await alter([good], true))[0]!, 'NONE')
  expectError((await alter([bad], true))[0]!, 'INVALID_CONFIG')
  assert.equal(wire.node.registry.topic('validated')!.configs, {})
})

test('a broker config reaches the topics that do not say otherwise, and is kept', async () => {
  await wire.createTopic('follows')
  await wire.createTopic('stands', 1, { 'retention.ms': '11' })
  const set = async (name: string, value: string) => {
    const configs: Asked['configs'] = [['log.retention.ms', value]]
    expectError((await alter([{ type: BROKER, name, configs }]))[0]!, 'NONE')
  }
  await set('', '900')
  assert.is(configOf('follows').retentionMs, 900)
  await set('1', '800')
  assert.is(configOf('follows').retentionMs, 800)
  assert.is(configOf('stands').retentionMs, 11)
  assert.equal((await wire.node.store.get('configs/brokers/1'))?.value, {
    'log.retention.ms': '800',
  })
  expectError((await alter([{ type: BROKER, name: '1', configs: [] }]))[0]!, 'NONE')
  assert.is(configOf('follows').retentionMs, 900)
  expectError((await alter([{ type: BROKER, name: '', configs: [] }]))[0]!, 'NONE')
  assert.is(configOf('follows').retentionMs, 604_800_000)
})

test('broker configs that are read-only, bad or of another broker are refused', async () => {
  const refused: [string, string, string | null][] = [
    ['1', 'log.dirs', '/x'],
    ['', 'num.partitions', '2'],
    ['1', 'log.retention.ms', 'x'],
    ['1', 'log.retention.ms', null],
    ['2', 'log.retention.ms', '1'],
    ['x', 'log.retention.ms', '1'],
  ]
  for (const [name, key, value] of refused) {
    const [response] = await alter([{ type: BROKER, name, configs: [[key, value]] }])
    expectError(response!, 'INVALID_REQUEST')
    assert.ok(response!.errorMessage)
  }
  assert.equal(wire.node.configs.current('1'), {})
  assert.equal(wire.node.configs.current(''), {})
})

test('validateOnly checks broker configs without setting them', async () => {
  const asked: Asked = { type: BROKER, name: '1', configs: [['log.retention.ms', '5']] }
  expectError((await alter([asked], true))[0]!, 'NONE')
  assert.equal(wire.node.configs.current('1'), {})
})

test('other kinds of resources have no configs', async () => {
  for (const type of [0, 3, 8, -1]) {
    expectError((await alter([{ type, name: '1', configs: [] }]))[0]!, 'INVALID_REQUEST')
  }
})

test.run()
