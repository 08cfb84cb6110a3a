import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Broker, BrokerError, type ReadRecord, type Subscription } from '../../src/index.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'

const test = suite('Broker.subscribe')
let broker: Broker
let dataDir: string
const FAST = { groupConsumerMinHeartbeatIntervalMs: 50, groupConsumerHeartbeatIntervalMs: 50 }

test.before(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'odradek-subscribe-'))
  broker = await Broker.start({ dataDir, numPartitions: 4, ...FAST })
})
test.after(async () => {
  await broker.close()
  rmSync(dataDir, { recursive: true })
})

const fill = (topic: string, from: number, count: number) =>
  broker.append(
    topic,
    Array.from({ length: count }, (_, i) => ({ key: `k${from + i}`, value: `v${from + i}` })),
  )

/** Takes so many records, then does `then` with the last one and leaves. */
async function take(
  subscription: Subscription,
  count: number,
  each: (record: ReadRecord) => unknown = () => {},
): Promise<string[]> {
  const values: string[] = []
  for await (const record of subscription) {
    values.push(record.value!.toString())
    await each(record)
    if (values.length === count) break
  }
  return values.sort()
}

const expected = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => `v${from + i}`).sort()

test('a member reads all partitions, commits, and the next one goes on from there', async () => {
  await fill('resumed', 0, 20)
  const first = broker.subscribe({ group: 'resumed', topics: ['resumed'] })
  assert.equal(await take(first, 20, record => first.commit(record)), expected(0, 20))
  assert.equal(first.assignment, [], 'it has left')
  await fill('resumed', 20, 5)
  const second = broker.subscribe({ group: 'resumed', topics: ['resumed'] })
  assert.equal(await take(second, 5, () => second.commit()), expected(20, 5))
})

test('what is not committed comes again', async () => {
  await fill('again', 0, 8)
  for (let i = 0; i < 2; i++) {
    const subscription = broker.subscribe({ group: 'again', topics: ['again'] })
    assert.equal(await take(subscription, 8), expected(0, 8))
  }
})

test("from: 'latest' starts with what comes after the member has joined", async () => {
  await fill('latest', 0, 8)
  const subscription = broker.subscribe({ group: 'latest', topics: ['latest'], from: 'latest' })
  const taking = take(subscription, 3)
  while (subscription.assignment.length < 4) await new Promise(resolve => setTimeout(resolve, 5))
  await fill('latest', 8, 3)
  assert.equal(await taking, expected(8, 3))
})

test('two members share the partitions; when one leaves the other has them all', async () => {
  await fill('shared', 0, 40)
  const stop = new AbortController()
  const seen = new Map<string, number>()
  const members = [0, 1].map(() =>
    broker.subscribe({ group: 'shared', topics: ['shared'], signal: stop.signal }),
  )
  const run = async (member: Subscription): Promise<void> => {
    for await (const record of member) {
      const value = record.value!.toString()
      seen.set(value, (seen.get(value) ?? 0) + 1)
      await member.commit(record).catch((error: unknown) => {
        assert.is((error as BrokerError).errorCode, ErrorCode.STALE_MEMBER_EPOCH)
      })
    }
  }
  const running = members.map(run)
  const until = async (what: string, condition: () => boolean): Promise<void> => {
    for (let i = 0; i < 600 && !condition(); i++) await new Promise(r => setTimeout(r, 10))
    assert.ok(condition(), what)
  }
  const counts = () => members.map(member => member.assignment.length)
  await until('each has two', () => counts().every(count => count === 2))
  await fill('shared', 40, 40)
  await until('all is seen', () => seen.size === 80)
  await members[0]!.close()
  await until('the other has all', () => members[1]!.assignment.length === 4)
  await fill('shared', 80, 20)
  await until('all is seen', () => seen.size === 100)
  stop.abort()
  await Promise.all(running)
})

test('a topic that is made later is consumed when it is there', async () => {
  const subscription = broker.subscribe({ group: 'later', topics: ['later'] })
  const taking = take(subscription, 4)
  await new Promise(resolve => setTimeout(resolve, 100))
  await fill('later', 0, 4)
  assert.equal(await taking, expected(0, 4))
})

test('the signal ends it without an error, and so does closing the broker', async () => {
  const own = mkdtempSync(join(tmpdir(), 'odradek-subscribe-'))
  const other = await Broker.start({ dataDir: own, ...FAST })
  await other.append('t', [{ value: 'x' }])
  const stop = new AbortController()
  const aborted = (async () => {
    for await (const _ of other.subscribe({ group: 'a', topics: ['t'], signal: stop.signal }))
      stop.abort()
  })()
  await aborted
  const closed = (async () => {
    for await (const _ of other.subscribe({ group: 'b', topics: ['t'] })) void other.close()
  })()
  await closed
  await other.close()
  rmSync(own, { recursive: true })
})

test("a partition that is not this member's cannot be committed", async () => {
  await fill('strange', 0, 4)
  const subscription = broker.subscribe({ group: 'strange', topics: ['strange'] })
  let record: ReadRecord | undefined
  await take(subscription, 1, one => {
    record = one
  })
  const error = await subscription.commit(record!).catch((e: unknown) => e)
  assert.instance(error, BrokerError)
  assert.is((error as BrokerError).errorCode, ErrorCode.STALE_MEMBER_EPOCH)
})

test.run()
