import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listConfigResourcesApi } from '../../src/protocol/messages/74-list-config-resources.ts'
import { expectError, Wire } from './wire.ts'

const test = suite('ListConfigResources')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('topic')
  await wire.node.clientMetrics.change('sub', () => ({ metrics: '*' }))
  await wire.node.groupConfigs.change('group', () => ({ 'consumer.session.timeout.ms': '50000' }))
})
test.after(() => wire.close())

const list = async (resourceTypes: number[]) => {
  const { configResources } = await wire.send(listConfigResourcesApi, 1, { resourceTypes })
  return configResources.map(r => `${r.resourceType} ${r.resourceName}`)
}

test('everything that has configs is listed, or what is of the kinds that are asked for', async () => {
  const broker = `4 ${wire.node.nodeId}`
  assert.equal(await list([]), ['2 topic', broker, '16 sub', '32 group'])
  assert.equal(await list([32, 2]), ['32 group', '2 topic'])
  assert.equal(await list([16]), ['16 sub'])
})

test('the oldest version means client metrics; kinds that nobody knows are refused', async () => {
  const oldest = await wire.send(listConfigResourcesApi, 0, {})
  assert.equal(
    oldest.configResources.map(r => r.resourceName),
    ['sub'],
  )
  const unknown = await wire.send(listConfigResourcesApi, 1, { resourceTypes: [5] })
  expectError(unknown, 'UNSUPPORTED_VERSION')
})

test.run()
