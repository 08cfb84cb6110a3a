import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { servedApis } from '../../src/apis/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('ApiVersions')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

const software = { clientSoftwareName: 'test', clientSoftwareVersion: '1.0' }
const ask = (version: number, request: object = software) =>
  wire.send(apiVersionsApi, version, version >= 3 ? request : {})

test('every version answers exactly the APIs that are served', async () => {
  for (const version of versionsOf(apiVersionsApi)) {
    const answer = await ask(version)
    assert.is(errorName(answer.errorCode), 'NONE')
    assert.equal(
      answer.apiKeys.map(k => [k.apiKey, k.maxVersion]),
      servedApis.map(a => [a.request.apiKey, a.max]),
    )
  }
})

test('Produce is advertised from version 0, for old librdkafka, and InitProducerId without its unstable version', async () => {
  const { apiKeys } = await ask(3)
  const range = (key: number) => {
    const found = apiKeys.find(k => k.apiKey === key)!
    return [found.minVersion, found.maxVersion]
  }
  assert.equal(range(0), [0, 13])
  assert.equal(range(22), [0, 5])
})

test('a version from the future is answered in version 0 with the error and our range', async () => {
  const other = await wire.connect()
  const request = Buffer.from('0012 0063 00000007 0004 74657374 00'.replaceAll(' ', ''), 'hex')
  const length = Buffer.alloc(4)
  length.writeInt32BE(request.length)
  const frame = await other.sendRaw(Buffer.concat([length, request]))
  const reader = new Reader(frame)
  assert.is(reader.int32(), 7)
  const body = apiVersionsApi.response.decode(reader, 0)
  assert.is(errorName(body.errorCode), 'UNSUPPORTED_VERSION')
  assert.equal(body.apiKeys, [{ apiKey: 18, minVersion: 0, maxVersion: 5 }])
  await other.close()
})

test('software names must be plain', async () => {
  for (const bad of ['', '-x', 'x y', 'x/']) {
    const answer = await ask(3, { ...software, clientSoftwareName: bad })
    assert.is(errorName(answer.errorCode), 'INVALID_REQUEST', bad)
  }
})

test('a client that looks for another cluster or node is sent back to its bootstrap servers', async () => {
  const { clusterId } = wire.node
  const at = async (rest: object) => errorName((await ask(5, { ...software, ...rest })).errorCode)
  assert.is(await at({ clusterId, nodeId: 1 }), 'NONE')
  assert.is(await at({ clusterId: 'other' }), 'REBOOTSTRAP_REQUIRED')
  assert.is(await at({ clusterId, nodeId: 2 }), 'REBOOTSTRAP_REQUIRED')
})

test('features are told from version 3 on: those that mean something here', async () => {
  const name = 'eligible.leader.replicas.version'
  for (const version of versionsOf(apiVersionsApi)) {
    const answer = await ask(version)
    const told = version >= 3
    const supported = { name, minVersion: 1, maxVersion: 1 }
    const finalized = { name, maxVersionLevel: 1, minVersionLevel: 1 }
    assert.equal(answer.supportedFeatures, told ? [supported] : [])
    assert.equal(answer.finalizedFeatures, told ? [finalized] : [])
    assert.is(answer.finalizedFeaturesEpoch, told ? 0 : -1)
  }
})

test.run()
