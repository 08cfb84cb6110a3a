import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { unregisterBrokerApi } from '../../src/protocol/messages/64-unregister-broker.ts'
import { expectError, Wire } from './wire.ts'

const test = suite('UnregisterBroker')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

test('the only broker is in use, and others are not known', async () => {
  const { nodeId } = wire.node
  const own = await wire.send(unregisterBrokerApi, 0, { brokerId: nodeId })
  expectError(own, 'DUPLICATE_BROKER_REGISTRATION')
  assert.match(own.errorMessage ?? '', /is running/)
  for (const brokerId of [nodeId + 1, -1]) {
    const other = await wire.send(unregisterBrokerApi, 0, { brokerId })
    expectError(other, 'BROKER_ID_NOT_REGISTERED')
  }
})

test.run()
