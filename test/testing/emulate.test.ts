import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { servedApis } from '../../src/apis/index.ts'
import { Client } from '../../src/client/client.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { apiNames, releases } from '../../src/testing/releases.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/test-broker.ts'
import { addressOf } from './fault-requests.ts'
import { clientOf, produce } from './kafkajs.ts'

const test = suite('a test broker that passes for an older release')
let broker: TestBroker

test.before(async () => {
  broker = await startTestBroker({ emulate: '3.7' })
})
test.after(() => broker.close())

async function rangesOf(): Promise<Record<number, string>> {
  await using client = await Client.connect(addressOf(broker))
  const ranges = await client.apiVersions()
  return Object.fromEntries([...ranges].map(([key, { min, max }]) => [key, `${min}-${max}`]))
}

test('the table names the APIs that are served', () => {
  const names = servedApis.map(({ request }) => request.name.replace(/Request$/, ''))
  assert.equal([...apiNames].sort(), names.sort())
})

test('Kafka 3.7 has these versions, less those that are too old for us', async () => {
  broker.emulate('3.7')
  const ranges = await rangesOf()
  assert.is(ranges[0], '0-10')
  assert.is(ranges[1], '4-16')
  assert.is(ranges[9], '1-9')
  assert.is(ranges[18], '0-3')
  assert.is(ranges[68], '0-0')
  assert.is(ranges[69], undefined, 'ConsumerGroupDescribe was not stable')
  assert.is(ranges[75], undefined, 'DescribeTopicPartitions came later')
})

test('Kafka 4.0 has dropped old versions of its own', async () => {
  broker.emulate('4.0')
  assert.is((await rangesOf())[11], '2-9')
})

test('a version that the release does not have closes the connection', async () => {
  broker.emulate('3.7')
  await using client = await Client.connect(addressOf(broker))
  const request = { maxWaitMs: 0, minBytes: 0, topics: [] }
  assert.is((await client.send(fetchApi, 16, request)).errorCode, 0)
  const refused = await client.send(fetchApi, 17, request).catch(error => String(error.message))
  assert.match(String(refused), /closed the connection/)
})

test('ApiVersions in a newer version is answered with the versions to use (KIP-511)', async () => {
  broker.emulate('3.7')
  await using client = await Client.connect(addressOf(broker))
  const software = { clientSoftwareName: 'a', clientSoftwareVersion: '1' }
  const frame = await client.send(apiVersionsApi, 3, software)
  assert.is(frame.errorCode, 0)
  const newer = await client.sendRaw(apiVersionsV4())
  assert.is(newer.readInt16BE(4), 35, 'UNSUPPORTED_VERSION')
  assert.equal([newer.readInt16BE(10), newer.readInt16BE(12), newer.readInt16BE(14)], [18, 0, 3])
})

/** With a flexible header, no client id, empty names. */
function apiVersionsV4(): Buffer {
  const body = Buffer.from([0, 18, 0, 4, 0, 0, 0, 9, 0xff, 0xff, 0, 2, 0x61, 2, 0x61, 0])
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

for (const release of releases) {
  test(`KafkaJS works with it as ${release}, through a restart`, async () => {
    broker.emulate(release)
    await broker.restart()
    await broker.seed({ t: {} })
    await produce(clientOf(broker), 't', ['x'])
    const [record] = await broker.waitForMessages('t')
    assert.is(String(record!.value), 'x')
    await broker.reset()
  })
}

test('null ends it; a release that is not known is refused with those that are', async () => {
  broker.emulate(null)
  assert.is((await rangesOf())[1], '4-18')
  assert.throws(() => broker.emulate('3.6' as never), /Kafka 3\.6 cannot be emulated; 2\.8, /)
})

test.run()
