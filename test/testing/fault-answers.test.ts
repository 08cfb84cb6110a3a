import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { answerableApis } from '../../src/testing/faults/answers.ts'
import type { ApiName } from '../../src/testing/releases.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/test-broker.ts'
import { addressOf, errorsOf, handlerOf, idOf, type NamedTopic } from './fault-requests.ts'

/** One that the broker does not give by itself. */
const ERROR = 'LISTENER_NOT_FOUND'

const test = suite('errors of faults, in every version of every API')
let broker: TestBroker
let client: Client

test.before(async () => {
  broker = await startTestBroker()
  client = await Client.connect(addressOf(broker))
})
test.after(async () => {
  await client.close()
  await broker.close()
})

/** Two topics, made anew. */
async function topics(): Promise<NamedTopic[]> {
  await broker.reset()
  await broker.seed({ one: { partitions: 1 }, two: { partitions: 1 } })
  return [await idOf(client, 'one'), await idOf(client, 'two')]
}

function* versionsOf(api: ApiName): Iterable<number> {
  const { min, max } = handlerOf(api)
  for (let version = min; version <= max; version++) yield version
}

for (const api of answerableApis() as ApiName[]) {
  test(`${api} is answered with the error, and nothing else is`, async () => {
    for (const version of versionsOf(api)) {
      const named = await topics()
      const fault = broker.fault({ api, error: ERROR })
      const errors = (await errorsOf(client, api, version, named)).map(({ error }) => error)
      assert.ok(errors.includes(ERROR), `v${version}: ${errors}`)
      assert.ok(
        errors.every(error => error === ERROR || error === 'NONE'),
        `v${version}: ${errors}`,
      )
      assert.is(fault.hits, 1)
    }
  })
}

for (const api of answerableApis(({ scope }) => scope !== 'request') as ApiName[]) {
  test(`${api} fails for one topic, the other one is handled`, async () => {
    for (const version of versionsOf(api)) {
      const [one, two] = (await topics()) as [NamedTopic, NamedTopic]
      broker.fault({ api, topic: 'one', error: ERROR })
      const errors = await errorsOf(client, api, version, [one, two])
      const failed = errors.filter(({ error }) => error === ERROR)
      assert.ok(failed.length > 0, `v${version} has the error`)
      for (const { topic } of failed) {
        assert.ok(topic === 'one' || topic === one.topicId, `v${version}: ${topic}`)
      }
      const others = errors.filter(({ topic }) => topic === 'two' || topic === two.topicId)
      assert.ok(others.length > 0, `v${version} answers the other one`)
    }
  })
}

test('an API that cannot be answered with an error is refused, with a list of those that can', () => {
  assert.throws(
    () => broker.fault({ api: 'DescribeConfigs', error: ERROR }),
    /^DescribeConfigs cannot be answered with an error; Produce, Fetch, .*JoinGroup.* can\.$/,
  )
})

test.run()
