import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError, type ReadRecord } from '../../src/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { readOn, SOON, topicOn } from './placed.ts'

const test = suite('the embedded API, on whichever broker')
const IDS = [1, 2, 3]
let cluster: TestCluster

test.before(async () => {
  cluster = await startTestCluster({
    groupConsumerMinHeartbeatIntervalMs: 50,
    groupConsumerHeartbeatIntervalMs: 50,
  })
})
test.after(() => cluster.close())

const valuesOf = (records: readonly ReadRecord[]): string[] => records.map(r => String(r.value))

const failureOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, BrokerError, String(error))
  const { errorCode, message } = error as BrokerError
  return `${errorName(errorCode)}: ${message}`
}

test('what one broker appends each of them reads at once, up to the end', async () => {
  for (const assignment of [[1, 2, 3], [2, 3], [3]]) {
    const topic = await topicOn(cluster, assignment)
    const written: string[] = []
    for (let i = 0; i < 12; i++) {
      const by = IDS[i % 3]!
      written.push(`${i}`)
      const [appended] = await cluster.broker(by).append(topic, [{ key: 'k', value: `${i}` }])
      assert.equal(appended, { partition: 0, offset: i })
      const reader = IDS[(i + 1) % 3]!
      assert.equal(valuesOf(await readOn(cluster, reader, topic)), written, `broker ${reader}`)
    }
    for (const id of IDS) assert.equal(valuesOf(await readOn(cluster, id, topic)), written)
  }
})

test('keys, values, headers, nulls and times come back as they were, wherever they were written', async () => {
  const topic = await topicOn(cluster, [1], [2], [3])
  const sent = IDS.map(id => ({
    ...{ key: `k${id}`, value: new Uint8Array([0, 255]), timestamp: 1_000 + id },
    ...{ headers: { a: 'b', none: null }, partition: id - 1 },
  }))
  for (const by of IDS) {
    const appended = await cluster.broker(by).append(topic, sent)
    assert.equal(
      appended.map(({ partition }) => partition),
      [0, 1, 2],
    )
  }
  for (const id of IDS) {
    const records = await readOn(cluster, id, topic)
    assert.is(records.length, 9)
    for (const { partition, key, value, headers, timestamp } of records) {
      assert.is(String(key), `k${partition + 1}`)
      assert.equal([...value!], [0, 255])
      assert.is(String(headers.a), 'b')
      assert.is(headers.none, null)
      assert.is(timestamp, 1_001 + partition)
    }
  }
})

test('a key goes to the same partition from every broker', async () => {
  const topic = await topicOn(cluster, [1], [2], [3], [1, 2, 3])
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
    const places = await Promise.all(
      IDS.map(async id => (await cluster.broker(id).append(topic, [{ key, value: '' }]))[0]!),
    )
    assert.is(new Set(places.map(({ partition }) => partition)).size, 1)
    assert.is(new Set(places.map(({ offset }) => offset)).size, 3)
  }
})

test('what was appended in turn is there in turn, though nobody waited', async () => {
  const topic = await topicOn(cluster, [2, 3])
  const value = Buffer.alloc(10_000, 'x')
  for (const round of [0, 1]) {
    const appends = Array.from({ length: 150 }, (_, i) => {
      const key = `${round * 150 + i}`
      return cluster.broker(1).append(topic, [
        { key, value },
        { key, value },
      ])
    })
    const places = (await Promise.all(appends)).flat()
    assert.equal(
      places.map(({ offset }) => offset),
      Array.from({ length: 300 }, (_, i) => round * 300 + i),
    )
  }
  const records = await readOn(cluster, 1, topic)
  assert.equal(
    records.map(({ key }) => String(key)),
    Array.from({ length: 600 }, (_, i) => `${Math.floor(i / 2)}`),
  )
})

test('batches as large as the topic takes, and larger than what is read at a time', async () => {
  const topic = await topicOn(cluster, [2])
  const value = Buffer.alloc(1_000_000, 'x')
  for (let i = 0; i < 6; i++) await cluster.broker(1).append(topic, [{ value }])
  for (const id of IDS) assert.is((await readOn(cluster, id, topic)).length, 6)
})

test('reading goes on as records come, from the latest on, too', async () => {
  const topic = await topicOn(cluster, [2], [1, 2, 3], [3, 1])
  await cluster.broker(1).append(
    topic,
    [0, 1, 2].map(partition => ({ value: 'old', partition })),
  )
  const stop = new AbortController()
  const seen = IDS.map(() => new Map<number, string[]>())
  const begun = new Set<number>()
  const readers = IDS.map(async (id, at) => {
    const latest = cluster.broker(id).read(topic, { from: 'latest', signal: stop.signal })
    const first = latest.next()
    begun.add(id)
    for (let next = await first; !next.done; next = await latest.next()) {
      const { partition, value } = next.value
      seen[at]!.set(partition, [...(seen[at]!.get(partition) ?? []), String(value)])
      if (seen.every(one => [...one.values()].flat().length >= 30)) stop.abort()
    }
  })
  // So many that all readers have begun by the time of the last ones.
  let sent = 0
  while (!stop.signal.aborted) {
    const partition = sent % 3
    await cluster.broker(IDS[sent % 2]!).append(topic, [{ value: `${sent++}`, partition }])
  }
  await Promise.all(readers)
  for (const one of seen) {
    for (const [partition, values] of one) {
      const numbers = values.map(Number)
      const first = numbers[0]!
      assert.equal(
        numbers,
        numbers.map((_, i) => first + 3 * i),
        `partition ${partition}`,
      )
    }
  }
})

test('errors are the same wherever the partition is', async () => {
  const here = await topicOn(cluster, [1])
  const there = await topicOn(cluster, [2])
  const both = async (what: (topic: string) => Promise<unknown>): Promise<string> => {
    const [a, b] = [await failureOf(what(here)), await failureOf(what(there))]
    const plain = (text: string, topic: string): string => text.replaceAll(topic, 'topic')
    assert.is(plain(b, there), plain(a, here))
    return a
  }
  const broker = cluster.broker(1)
  await broker.append(here, [{ value: 'x' }])
  await broker.append(there, [{ value: 'x' }])
  const large = Buffer.alloc(2_000_000)
  assert.match(await both(t => broker.append(t, [{ value: large }])), /^MESSAGE_TOO_LARGE/)
  assert.match(
    await both(t => broker.append(t, [{ value: 'x', partition: 1 }])),
    /^UNKNOWN_TOPIC_OR_PARTITION/,
  )
  assert.match(
    await both(t => readOn(cluster, 1, t, { partition: 1 })),
    /^UNKNOWN_TOPIC_OR_PARTITION/,
  )
  assert.match(
    await both(t => readOn(cluster, 1, t, { from: 2 })),
    /^OFFSET_OUT_OF_RANGE.*0 to 1, not 2/,
  )
  assert.match(await failureOf(readOn(cluster, 1, 'nowhere')), /^UNKNOWN_TOPIC_OR_PARTITION/)
  assert.equal(valuesOf(await readOn(cluster, 1, there, { from: 1 })), [])
})

test('one append that is refused costs none of those that go together with it', async () => {
  const topic = await topicOn(cluster, [2])
  const { registry } = cluster.broker(1).node
  const compacted = 'compacted'
  const to = { replicationFactor: -1, assignments: [[2]] }
  await registry.create(compacted, 1, { 'cleanup.policy': 'compact' }, '', undefined, to)
  await cluster.waitForIsr(compacted, 0, SOON)
  await cluster.broker(1).append(topic, [{ value: 'x' }])
  const appends = Array.from({ length: 20 }, (_, i) =>
    cluster.broker(1).append(compacted, [{ key: i === 7 ? null : `${i}`, value: 'x' }]),
  )
  const outcomes = await Promise.allSettled(appends)
  assert.equal(
    outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : [])),
    [7],
  )
  assert.is((await readOn(cluster, 3, compacted)).length, 19)
})

test('a deleted topic ends its readers and appends everywhere', async () => {
  const topic = await topicOn(cluster, [2])
  await cluster.broker(1).append(topic, [{ value: 'x' }])
  const reading = IDS.map(async id => {
    for await (const _ of cluster.broker(id).read(topic)) await cluster.broker(2).append(topic, [])
  })
  const ended = Promise.all(reading.map(failureOf))
  const { registry } = cluster.broker(2).node
  await registry.delete(registry.topic(topic)!)
  for (const failure of await ended) assert.match(failure, /^UNKNOWN_TOPIC_OR_PARTITION.*deleted/)
})

test.run()
