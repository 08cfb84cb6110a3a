import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeClusterApi } from '../../src/protocol/messages/60-describe-cluster.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DescribeCluster')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ nodeId: 7, brokerRack: 'rack-a' })
})
test.after(() => wire.close())

test('every version tells the one broker, which is the controller too', async () => {
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  for (const version of versionsOf(describeClusterApi)) {
    const answer = await wire.send(describeClusterApi, version, {})
    expectError(answer, 'NONE')
    assert.is(answer.clusterId, wire.node.clusterId)
    assert.is(answer.controllerId, 7)
    assert.is(answer.endpointType, 1)
    assert.equal(answer.brokers, [{ brokerId: 7, host, port, rack: 'rack-a', isFenced: false }])
    assert.is(answer.clusterAuthorizedOperations, -2147483648)
  }
})

test('asking for fenced brokers too makes no difference', async () => {
  const { brokers } = await wire.send(describeClusterApi, 2, { includeFencedBrokers: true })
  assert.is(brokers.length, 1)
})

test('the authorized operations are those of a cluster without authorizer', async () => {
  const request = { includeClusterAuthorizedOperations: true }
  for (const version of versionsOf(describeClusterApi)) {
    const answer = await wire.send(describeClusterApi, version, request)
    assert.is(answer.clusterAuthorizedOperations, 8096)
  }
})

test('endpoints of controllers are not known here, other types nowhere', async () => {
  for (const version of [1, 2]) {
    const controllers = await wire.send(describeClusterApi, version, { endpointType: 2 })
    expectError(controllers, 'MISMATCHED_ENDPOINT_TYPE')
    assert.equal(controllers.brokers, [])
    for (const endpointType of [0, 3, -1]) {
      const answer = await wire.send(describeClusterApi, version, { endpointType })
      expectError(answer, 'UNSUPPORTED_ENDPOINT_TYPE')
    }
  }
})

test.run()
