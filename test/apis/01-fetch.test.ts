import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { fetchOne } from './fetching.ts'
import { versionsOf, Wire } from './wire.ts'

const test = suite('Fetch')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

/** [base offset, last offset] of each batch; checks every CRC. */
function batchesOf(records: Buffer): [number, number][] {
  const found: [number, number][] = []
  for (let at = 0; at < records.length; ) {
    const bytes = batch.batchBytes(records, at)
    const one = records.subarray(at, at + bytes)
    assert.is(one.length, bytes, 'only whole batches')
    assert.is(batch.computeCrc(one), batch.storedCrc(one))
    found.push([batch.baseOffset(one), batch.lastOffset(one)])
    at += bytes
  }
  return found
}

/** A topic with `count` batches of `records` records. */
async function filled(topic: string, count: number, records = 1, configs = {}): Promise<void> {
  await wire.createTopic(topic, 1, configs)
  for (let i = 0; i < count; i++) await wire.produce(topic, records)
}

test('every version returns what was produced, with its marks', async () => {
  await filled('versions', 3, 2)
  for (const version of versionsOf(fetchApi)) {
    const answer = await fetchOne(wire, 'versions', 0, { version })
    assert.is(answer.error, 'NONE')
    assert.is(answer.highWatermark, 6)
    assert.is(answer.lastStableOffset, 6)
    if (version >= 5) assert.is(answer.logStartOffset, 0)
    assert.equal(batchesOf(answer.records), [
      [0, 1],
      [2, 3],
      [4, 5],
    ])
  }
})

test('an offset inside a batch returns that batch whole', async () => {
  await filled('inside', 4, 5)
  assert.equal(batchesOf((await fetchOne(wire, 'inside', 7)).records)[0], [5, 9])
  assert.equal(batchesOf((await fetchOne(wire, 'inside', 19)).records), [[15, 19]])
})

test('the end is empty, beyond it and below the start are out of range', async () => {
  await filled('range', 2)
  const end = await fetchOne(wire, 'range', 2)
  assert.is(end.error, 'NONE')
  assert.is(end.records.length, 0)
  assert.is((await fetchOne(wire, 'range', 3)).error, 'OFFSET_OUT_OF_RANGE')
  assert.is((await fetchOne(wire, 'range', -1)).error, 'OFFSET_OUT_OF_RANGE')
  await wire.node.registry.replicas.deleteRecords(wire.node.registry.partition('range', 0)!, 1)
  assert.is((await fetchOne(wire, 'range', 0)).error, 'OFFSET_OUT_OF_RANGE')
  assert.equal(batchesOf((await fetchOne(wire, 'range', 1)).records), [[1, 1]])
})

test('byte limits cut between batches; the first batch comes whole however large', async () => {
  await filled('limits', 10, 10)
  const one = (await fetchOne(wire, 'limits', 0, { partitionMaxBytes: 1 })).records
  assert.equal(batchesOf(one), [[0, 9]])
  const two = { partitionMaxBytes: one.length * 2 + 5 }
  assert.equal(batchesOf((await fetchOne(wire, 'limits', 0, two)).records).length, 2)
  const three = { maxBytes: one.length * 3 }
  assert.equal(batchesOf((await fetchOne(wire, 'limits', 40, three)).records).length, 3)
  const none = { maxBytes: 0, partitionMaxBytes: 0 }
  assert.equal(batchesOf((await fetchOne(wire, 'limits', 95, none)).records), [[90, 99]])
})

test('max_bytes is shared by the partitions in the order asked, and only the first may exceed it', async () => {
  await wire.createTopic('shared', 3)
  for (const index of [0, 1, 2]) await wire.produceTo('shared', index, 10)
  const { responses } = await wire.send(fetchApi, 11, {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1,
    topics: [
      {
        topic: 'shared',
        partitions: [2, 0, 1].map(partition => ({ partition, partitionMaxBytes: 1000 })),
      },
    ],
  })
  const lengths = responses[0]!.partitions.map(p => [p.partitionIndex, p.records!.length > 0])
  assert.equal(lengths, [
    [2, true],
    [0, false],
    [1, false],
  ])
})

test('a fetch waits for min_bytes and is woken by a produce', async () => {
  await filled('poll', 1)
  const other = await wire.connect()
  const started = performance.now()
  const waiting = fetchOne(wire.over(other), 'poll', 1, { maxWaitMs: 5_000 })
  await wire.produce('poll', 3)
  const answer = await waiting
  assert.equal(batchesOf(answer.records), [[1, 3]])
  assert.ok(performance.now() - started < 2_500)
  await other.close()
})

test('a fetch gives up waiting after max_wait_ms with what there is', async () => {
  await filled('patience', 1)
  const started = performance.now()
  const answer = await fetchOne(wire, 'patience', 0, { maxWaitMs: 120, minBytes: 1_000_000 })
  assert.ok(performance.now() - started >= 110)
  assert.equal(batchesOf(answer.records), [[0, 0]])
  const empty = await fetchOne(wire, 'patience', 1, { maxWaitMs: 50 })
  assert.is(empty.records.length, 0)
})

test('a waiting fetch learns at once that its topic was deleted', async () => {
  await filled('doomed', 1)
  const other = await wire.connect()
  const waiting = fetchOne(wire.over(other), 'doomed', 1, { maxWaitMs: 10_000 })
  await wire.client.apiVersions()
  await wire.node.registry.delete(wire.node.registry.topic('doomed')!)
  assert.is((await waiting).error, 'UNKNOWN_TOPIC_OR_PARTITION')
  await other.close()
})

test('read_committed gives an empty list of aborted transactions, read_uncommitted none', async () => {
  await filled('isolation', 1)
  const committed = await fetchOne(wire, 'isolation', 0, { isolationLevel: 1 })
  assert.equal(committed.abortedTransactions, [])
  assert.equal(batchesOf(committed.records), [[0, 0]])
  assert.is((await fetchOne(wire, 'isolation', 0)).abortedTransactions, null)
})

test('leader epochs are fenced, and a diverging one is told where it ends', async () => {
  await filled('epochs', 2)
  assert.is(
    (await fetchOne(wire, 'epochs', 0, { currentLeaderEpoch: 3 })).error,
    'UNKNOWN_LEADER_EPOCH',
  )
  wire = await wire.restart()
  assert.is(
    (await fetchOne(wire, 'epochs', 0, { currentLeaderEpoch: 0, version: 16 })).error,
    'FENCED_LEADER_EPOCH',
  )
  await wire.produce('epochs', 1)
  const good = await fetchOne(wire, 'epochs', 2, { version: 12, lastFetchedEpoch: 0 })
  assert.is(good.divergingEpoch.epoch, -1)
  const beyond = await fetchOne(wire, 'epochs', 3, { version: 12, lastFetchedEpoch: 0 })
  assert.equal(beyond.divergingEpoch, { epoch: 0, endOffset: 2 })
  assert.is(beyond.records.length, 0)
})

test('unknown topics, partitions and ids are told', async () => {
  await filled('some', 1)
  assert.is((await fetchOne(wire, 'none', 0)).error, 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.is((await fetchOne(wire, 'some', 0, { index: 9 })).error, 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.is((await fetchOne(wire, 'none', 0, { version: 13 })).error, 'UNKNOWN_TOPIC_ID')
})

test('a client that poses as a replica is told that it is none', async () => {
  await filled('replica', 1)
  const partitions = [{ partition: 0, partitionMaxBytes: 1000 }]
  const { responses } = await wire.send(fetchApi, 11, {
    replicaId: 2,
    topics: [{ topic: 'replica', partitions }],
  })
  assert.is(errorName(responses[0]!.partitions[0]!.errorCode), 'NOT_LEADER_OR_FOLLOWER')
})

const inSession = (sessionId: number, sessionEpoch: number, rest: object = {}) =>
  wire.send(fetchApi, 11, {
    maxWaitMs: 0,
    minBytes: 1,
    sessionId,
    sessionEpoch,
    topics: [],
    ...rest,
  })

test('a session answers only partitions with news and takes changes', async () => {
  await filled('session-a', 1)
  await filled('session-b', 1)
  const ask = (topic: string, fetchOffset: number) => ({
    topic,
    partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1000 }],
  })
  const topics = [ask('session-a', 1), ask('session-b', 1)]
  const first = await inSession(0, 0, { topics })
  assert.ok(first.sessionId > 0)
  assert.is(first.responses.length, 2, 'the first answer is complete')
  const quiet = await inSession(first.sessionId, 1)
  assert.equal(quiet.responses, [])
  await wire.produce('session-b', 1)
  const news = await inSession(first.sessionId, 2)
  assert.equal(
    news.responses.map(r => r.topic),
    ['session-b'],
  )
  const moved = await inSession(first.sessionId, 3, { topics: [ask('session-b', 2)] })
  assert.equal(moved.responses, [])
  const forgotten = await inSession(first.sessionId, 4, {
    forgottenTopicsData: [{ topic: 'session-b', partitions: [0] }],
  })
  assert.equal(forgotten.responses, [])
  await wire.produce('session-b', 1)
  assert.equal((await inSession(first.sessionId, 5)).responses, [])
})

test('session errors: unknown id, wrong epoch, closed session', async () => {
  await filled('strict', 1)
  const topics = [{ topic: 'strict', partitions: [{ partition: 0, partitionMaxBytes: 1000 }] }]
  assert.is(errorName((await inSession(12345, 1)).errorCode), 'FETCH_SESSION_ID_NOT_FOUND')
  const { sessionId } = await inSession(0, 0, { topics })
  assert.is(errorName((await inSession(sessionId, 5)).errorCode), 'INVALID_FETCH_SESSION_EPOCH')
  await inSession(sessionId, -1)
  assert.is(errorName((await inSession(sessionId, 1)).errorCode), 'FETCH_SESSION_ID_NOT_FOUND')
})

test('reads go across segments, before and after a restart', async () => {
  await filled('segments', 60, 20, { 'segment.bytes': '1048576' })
  const partition = () => wire.node.registry.partition('segments', 0)!
  for (let i = 0; i < 4; i++) await wire.produceBytes('segments', 600_000)
  assert.ok(partition().reader.segments.length > 1)
  const readAll = async () => {
    const offsets: number[] = []
    for (let offset = 0; offset < partition().highWatermark; ) {
      const { records } = await fetchOne(wire, 'segments', offset, { partitionMaxBytes: 5_000 })
      for (const [base, last] of batchesOf(records)) {
        offsets.push(base)
        offset = last + 1
      }
    }
    return offsets
  }
  const expected = [...Array.from({ length: 60 }, (_, i) => i * 20), 1200, 1201, 1202, 1203]
  assert.equal(await readAll(), expected)
  wire = await wire.restart()
  assert.equal(await readAll(), expected)
  assert.equal(batchesOf((await fetchOne(wire, 'segments', 333)).records)[0], [320, 339])
})

test.run()
