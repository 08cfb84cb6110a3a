import * as fs from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AccessHere } from '../../src/embedded/access.ts'
import { type ReadRecord, read, type UnreadableBatch } from '../../src/embedded/read.ts'
import { Subscription } from '../../src/embedded/subscribe.ts'
import { BrokerError } from '../../src/errors.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { expectError, Wire } from '../apis/wire.ts'
import { rawBatch, rawRecords } from '../lib/odd-batch.ts'

const test = suite('what cannot be read')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

const NEVER = new AbortController().signal

async function produce(topic: string, records: Buffer): Promise<void> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await wire.send(produceApi, 9, { acks: -1, topicData })
  expectError(responses[0]!.partitionResponses[0]!, 'NONE')
}

const one = (value: string, padding = 0): Promise<Buffer> =>
  encodeBatch([
    {
      timestamp: 1_000,
      value: Buffer.from(value),
      headers: [{ key: 'p', value: Buffer.alloc(padding) }],
    },
  ])

/** Three records are announced, two are there. */
const lying = (): Buffer => {
  const records = ['first', 'second'].map((value, offsetDelta) => ({
    offsetDelta,
    key: null,
    value,
  }))
  const content = Buffer.concat([rawRecords(records), Buffer.alloc(7, 0xff)])
  return rawBatch({ count: 3, lastOffsetDelta: 2 }, content)
}

const noise = (attributes = 0): Buffer => rawBatch({ attributes }, Buffer.from('no records at all'))

async function readAll(topic: string, from: number | 'earliest' = 'earliest') {
  const events: (string | UnreadableBatch)[] = []
  const onUnreadable = (batch: UnreadableBatch): void => void events.push(batch)
  for await (const { value } of read(
    new AccessHere(wire.node),
    topic,
    { until: 'end', from, onUnreadable },
    NEVER,
  )) {
    events.push(String(value))
  }
  return events
}

const passedOver = (topic: string, offset: number, lastOffset: number, reason: RegExp) =>
  ({ topic, offset, lastOffset, reason }) as const

function assertEvents(
  events: readonly (string | UnreadableBatch)[],
  expected: readonly (string | ReturnType<typeof passedOver>)[],
): void {
  assert.is(events.length, expected.length, JSON.stringify(events))
  for (const [i, event] of events.entries()) {
    const wanted = expected[i]!
    if (typeof event === 'string' || typeof wanted === 'string') {
      assert.is(event, wanted)
      continue
    }
    const { reason, ...where } = event
    assert.match(reason, wanted.reason)
    const { topic, offset, lastOffset } = wanted
    assert.equal(where, { topic, partition: 0, offset, lastOffset })
  }
}

test('the embedded reader hands out what is before and in it, says what it passes over, and goes on', async () => {
  await wire.createTopic('lies')
  for (const bytes of [
    await one('before'),
    lying(),
    noise(),
    await one('after'),
    noise(4),
    noise(1),
  ]) {
    await produce('lies', bytes)
  }
  const rest = [
    passedOver('lies', 3, 3, /record/),
    passedOver('lies', 4, 4, /byte/),
    'after',
    passedOver('lies', 6, 6, /zstd/),
    passedOver('lies', 7, 7, /gzip/),
  ]
  assertEvents(await readAll('lies'), ['before', 'first', 'second', ...rest])
  assertEvents(await readAll('lies', 3), rest)
})

test('a whole read full of it does not look like the end', async () => {
  await wire.createTopic('full')
  const content = Buffer.alloc(900_000, 'no records at all')
  for (let i = 0; i < 3; i++) await produce('full', rawBatch({}, content))
  await produce('full', await one('behind'))
  const events = await readAll('full')
  assert.is(events.length, 4)
  assert.is(events[3], 'behind')
})

test('a member of a group goes on too, and commits behind it', async () => {
  await wire.createTopic('members')
  for (const bytes of [await one('before'), lying(), noise(), await one('after')]) {
    await produce('members', bytes)
  }
  const events: string[] = []
  const subscription = new Subscription(
    new AccessHere(wire.node),
    {
      group: 'readers',
      topics: ['members'],
      onUnreadable: ({ offset }) => events.push(`passed over ${offset}`),
    },
    NEVER,
  )
  let last: ReadRecord | null = null
  for await (const record of subscription) {
    events.push(String(record.value))
    last = record
    if (String(record.value) === 'after') break
  }
  assert.equal(events, ['before', 'first', 'second', 'passed over 3', 'passed over 4', 'after'])
  assert.is(last?.offset, 5)
})

test('damage is not passed over: what is before it is handed out, then it is an error', async () => {
  const topic = await wire.createTopic('damaged')
  for (const value of ['before', 'damaged', 'after'])
    await produce('damaged', await one(value, 100))
  const path = join(wire.node.dataDir, `${topic.name}-0`, `${'0'.repeat(20)}.log`)
  const bytes = fs.readFileSync(path)
  const fd = fs.openSync(path, 'r+')
  // The second batch's record says that it is longer than the batch.
  fs.writeSync(fd, Buffer.from([0x7e]), 0, 1, Math.floor(bytes.length / 3) + 61)
  fs.closeSync(fd)
  const found: string[] = []
  const error = await (async () => {
    for await (const { value } of read(
      new AccessHere(wire.node),
      'damaged',
      { until: 'end' },
      NEVER,
    )) {
      found.push(String(value))
    }
    return null
  })().catch((cause: unknown) => cause)
  assert.equal(found, ['before'])
  assert.instance(error, BrokerError)
  assert.is((error as BrokerError).errorCode, ErrorCode.CORRUPT_MESSAGE)
})

test('zstd frames one behind the other are taken on a compacted topic and read', async () => {
  await wire.createTopic('frames', 1, { 'cleanup.policy': 'compact' })
  const { compress } = await import('../../src/compression/codec.ts')
  const records = ['a', 'b', 'c'].map((value, offsetDelta) => ({ offsetDelta, key: value, value }))
  const skippable = Buffer.from('502a4d18030000000102ff', 'hex')
  const frames = await Promise.all(
    records.map(async record =>
      Buffer.concat([skippable, await compress(4, rawRecords([record]))]),
    ),
  )
  const header = { attributes: 4, count: 3, lastOffsetDelta: 2 }
  await produce('frames', rawBatch(header, Buffer.concat(frames)))
  assertEvents(await readAll('frames'), ['a', 'b', 'c'])
})

test('nobody writes to the topics of brokers, whatever it calls itself', async () => {
  await wire.node.groups.prepare()
  const { Client } = await import('../../src/client/client.ts')
  const endpoint = wire.node.endpoint('PLAINTEXT')
  const client = await Client.connect({ ...endpoint, clientId: '__admin_client' })
  const topicData = [
    { name: '__consumer_offsets', partitionData: [{ index: 0, records: noise() }] },
  ]
  const { responses } = await client.send(produceApi, 9, { acks: -1, topicData })
  expectError(responses[0]!.partitionResponses[0]!, 'INVALID_TOPIC_EXCEPTION')
  await client.close()
})

test.run()
