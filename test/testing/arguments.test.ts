import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts'

const test = suite('what a test is told that is written wrong')
let broker: TestBroker

test.before(async () => {
  broker = await startTestBroker()
})
test.after(() => broker.close())

// biome-ignore lint/suspicious/noExplicitAny: as in a program that no compiler checks
type Any = any

async function failure(action: () => unknown): Promise<Error> {
  try {
    await action()
  } catch (error) {
    return error as Error
  }
  throw new Error(`nothing was refused: ${action}`)
}

const SLIPS: readonly [call: (b: Any) => unknown, message: RegExp][] = [
  [
    b => b.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER', topics: 'x' }),
    /did you mean topic\?/,
  ],
  [b => b.fault('Produce'), /options must be an object: \{api, topic/],
  [b => b.fault({ api: 'produce', drop: true }), /did you mean 'Produce'/],
  [b => b.fault({ api: 'Produce', error: 'NONE' }), /has no error 'NONE'/],
  [
    b => b.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLOWER' }),
    /mean 'NOT_LEADER_OR_FOLLOWER'/,
  ],
  [b => b.seed('orders'), /topics must be an object/],
  [b => b.seed([{ topic: 'a' }]), /topics must be an object/],
  [
    b => b.seed({ orders: { messages: [] } }),
    /orders has no messages: there is partitions, configs, records/,
  ],
  [
    b => b.seed({ orders: { partitions: '3' } }),
    /orders\.partitions must be a whole number above 0/,
  ],
  [
    b => b.seed({ orders: { configs: { cleanupPolicy: 'compact' } } }),
    /Unknown topic config cleanupPolicy: did you mean cleanup\.policy\?/,
  ],
  [b => b.seed({ orders: [{ val: 'a' }] }), /records\[0\] has no val/],
  [b => b.waitForMessages(), /topic must be a string/],
  [b => b.waitForMessages('t', { timeoutMs: 100 }), /did you mean timeout\?/],
  [b => b.waitForMessages('t', 3), /options must be an object/],
  [b => b.waitForMessages('t', { count: 0 }), /count must be a whole number above 0/],
  [b => b.waitForMessages('t', { count: 1.5 }), /count must be a whole number above 0/],
  [b => b.waitForMessages('t', { count: '1' }), /count must be a whole number above 0/],
  [b => b.waitForMessages('t', { where: { key: 'a' } }), /where must be a function/],
  [b => b.waitForMessages('t', { timeout: '5s' }), /timeout must be a number of ms/],
  [b => b.waitForMessages('t', { timeout: 3e9 }), /timeout must be a number of ms/],
  [b => b.waitForGroupStable(), /group must be a string/],
  [b => b.waitForGroupStable('g', { member: 1 }), /did you mean members\?/],
  [b => b.restart(true), /options must be an object: \{crash\}/],
  [b => b.restart({ kill: true }), /options has no kill: there is crash/],
  [b => b.read('t', { fromBeginning: true }).next(), /options has no fromBeginning: there is from/],
  [
    b => b.subscribe({ group: 'g', topics: ['t'], fromBeginning: true }),
    /options has no fromBeginning/,
  ],
]

for (const [call, message] of SLIPS) {
  test(`${call.toString().replace(/^b => /, '')} is refused`, async () => {
    const error = await failure(() => call(broker))
    assert.match(error.message, message)
  })
}

test('a record that was read can be appended as it is', async () => {
  await broker.seed({ from: [{ key: 'k', value: 'v', headers: { a: 'b' } }] })
  const [record] = await broker.waitForMessages('from')
  await broker.append('to', [record!])
  assert.is(String((await broker.waitForMessages('to'))[0]!.value), 'v')
})

test('without a time-out a wait goes on until the record comes', async () => {
  const waiting = broker.waitForMessages('late', { timeout: Number.POSITIVE_INFINITY })
  await broker.append('late', [{ value: '1' }])
  assert.is((await waiting).length, 1)
})

test('seeds of one topic at the same time lose nothing', async () => {
  for (let i = 0; i < 20; i++) {
    const name = `both-${i}`
    await Promise.all([
      broker.seed({ [name]: [{ value: '1' }] }),
      broker.seed({ [name]: [{ value: '2' }] }),
    ])
    const found = await broker.waitForMessages(name, { count: 2 })
    assert.equal(found.map(({ value }) => String(value)).sort(), ['1', '2'])
  }
})

test('resets and restarts at the same time come one after the other', async () => {
  await broker.seed({ gone: [{ value: '1' }] })
  await Promise.all([broker.reset(), broker.restart(), broker.reset()])
  await broker.seed({ gone: [{ value: '2' }] })
  assert.is(String((await broker.waitForMessages('gone'))[0]!.value), '2')
})

test('whatever is asked of a closed broker says that it is closed', async () => {
  const closed: Any = await startTestBroker()
  await closed.close()
  const calls: ((b: Any) => unknown)[] = [
    b => b.append('t', [{ value: '1' }]),
    b => b.seed({ t: [] }),
    b => b.reset(),
    b => b.restart(),
    b => b.waitForMessages('t'),
    b => b.waitForGroupStable('g'),
    b => b.read('t').next(),
    b => b.subscribe({ group: 'g', topics: ['t'] }),
    b => b.fault({ api: 'Produce', drop: true }),
  ]
  for (const call of calls) {
    assert.is((await failure(() => call(closed))).message, 'The broker is closed.')
  }
})

test.run()
