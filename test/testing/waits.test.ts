import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ReadRecord } from '../../src/embedded/read.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/test-broker.ts'
import { clientOf, produce, QUICK } from './kafkajs.ts'

/** So short that the wait is over before anything can come. */
const SOON = 30

const test = suite('waits of a test broker')
let broker: TestBroker

test.before(async () => {
  broker = await startTestBroker()
})
test.after(() => broker.close())
test.after.each(() => broker.reset())

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    error => `${error.name}: ${error.message}`,
  )

/** Notices soon that its group is rebalancing. */
async function consumer(groupId: string) {
  const made = clientOf(broker, 5_000).consumer({ groupId, ...QUICK })
  await made.connect()
  await made.subscribe({ topics: ['t'], fromBeginning: true })
  await made.run({ eachMessage: async () => {} })
  return { close: () => made.disconnect() }
}

test('waitForMessages has the first records, also of a topic that is made meanwhile', async () => {
  const waiting = broker.waitForMessages('t', { count: 2 })
  await broker.seed({ t: {} })
  await produce(clientOf(broker), 't', ['a', 'b', 'c'])
  const records = await waiting
  assert.equal(
    records.map(({ value }) => String(value)),
    ['a', 'b'],
  )
})

test('waitForMessages counts only what `where` takes, and only the partition that is asked for', async () => {
  await broker.seed({
    t: {
      partitions: 2,
      records: [
        { value: 'x', partition: 0 },
        { value: 'y', partition: 1 },
        { value: 'z', partition: 1 },
      ],
    },
  })
  const [found] = await broker.waitForMessages('t', { where: r => String(r.value) === 'z' })
  assert.is(found!.offset, 1)
  const [first] = await broker.waitForMessages('t', { partition: 1 })
  assert.is(String(first!.value), 'y')
})

test('a wait for messages that is too long says what there was instead', async () => {
  assert.is(
    await messageOf(broker.waitForMessages('t', { timeout: SOON })),
    `WaitTimeout: Topic 't' had 0 of 1 records after ${SOON} ms: it does not exist; there are no topics.`,
  )
  await broker.seed({ t: [{ key: 'k', value: 'v' }] })
  assert.is(
    await messageOf(broker.waitForMessages('t', { count: 3, timeout: SOON })),
    `WaitTimeout: Topic 't' had 1 of 3 records after ${SOON} ms. The last: partition 0, offset 0, key "k", value "v".`,
  )
  assert.match(
    await messageOf(broker.waitForMessages('t', { where: () => false, timeout: SOON })),
    /had 0 of 1 records after 30 ms, and 1 that `where` did not take\. The last: /,
  )
  assert.match(
    await messageOf(broker.waitForMessages('other', { timeout: SOON })),
    /it does not exist; there is 't'\.$/,
  )
})

test('waitForGroupStable has the members once all of them have their partitions', async () => {
  await broker.seed({ t: { partitions: 2 } })
  const both = broker.waitForGroupStable('g', { members: 2, timeout: 10_000 })
  const one = await consumer('g')
  const two = await consumer('g')
  const { type, members } = await both
  assert.is(type, 'classic')
  assert.equal(
    members.map(({ clientId }) => clientId),
    ['kafkajs', 'kafkajs'],
  )
  const partitions = members.map(({ assignment }) => assignment)
  partitions.sort((a, b) => a.t![0]! - b.t![0]!)
  assert.equal(partitions, [{ t: [0] }, { t: [1] }])
  await Promise.all([one.close(), two.close()])
})

test('waitForGroupStable knows groups of the consumer protocol', async () => {
  await broker.seed({ t: { partitions: 3 } })
  await using subscription = broker.subscribe({ group: 'g', topics: ['t'] })
  const first = subscription[Symbol.asyncIterator]().next()
  const { type, members } = await broker.waitForGroupStable('g')
  assert.is(type, 'consumer')
  assert.equal(
    members.map(({ assignment }) => assignment),
    [{ t: [0, 1, 2] }],
  )
  await broker.append('t', [{ value: 'x' }])
  assert.is(String(((await first).value as ReadRecord).value), 'x')
})

test('a wait for a group that is too long says in what state it was', async () => {
  assert.is(
    await messageOf(broker.waitForGroupStable('g', { timeout: SOON })),
    `WaitTimeout: Group 'g' was not stable after ${SOON} ms: no client has joined any group.`,
  )
  await broker.seed({ t: {} })
  const member = await consumer('g')
  await broker.waitForGroupStable('g')
  assert.is(
    await messageOf(broker.waitForGroupStable('g', { members: 2, timeout: SOON })),
    `WaitTimeout: Group 'g' was not stable with 2 members after ${SOON} ms: it is Stable with 1 member (kafkajs at 127.0.0.1).`,
  )
  assert.match(
    await messageOf(broker.waitForGroupStable('typo', { timeout: SOON })),
    /no client has joined it; there is 'g'\.$/,
  )
  await member.close()
})

test('an aborted signal ends a wait with its reason', async () => {
  const reason = new Error('the test is over')
  const aborted = AbortSignal.abort(reason)
  assert.is(await broker.waitForMessages('t', { signal: aborted }).catch(e => e), reason)
  await broker.seed({ t: {} })
  const stop = new AbortController()
  const waits = [
    broker.waitForMessages('t', { signal: stop.signal }),
    broker.waitForMessages('missing', { signal: stop.signal }),
    broker.waitForGroupStable('g', { signal: stop.signal }),
  ].map(wait => (wait as Promise<unknown>).catch(error => error))
  stop.abort(reason)
  assert.equal(await Promise.all(waits), [reason, reason, reason])
})

test('a restart or stop ends a wait at once, and the error says so', async () => {
  await broker.seed({ t: {} })
  const waits = [broker.waitForMessages('t'), broker.waitForGroupStable('g')].map(messageOf)
  await broker.restart()
  const message = 'Error: The broker was closed or restarted during the wait.'
  assert.equal(await Promise.all(waits), [message, message])
})

test.run()
