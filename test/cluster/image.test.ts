import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClusterImage } from '../../src/cluster/image.ts'
import type { ImageDiff } from '../../src/cluster/image-diff.ts'
import { knownBy } from '../../src/cluster/outcome.ts'
import type { Json } from '../../src/metadata/store.ts'
import { partitionKey, toRecord } from '../../src/replication/partition-state.ts'
import type { Entry, Observed } from '../../src/replication/types.ts'
import { partition } from '../lib/brokers.ts'

const test = suite('the image of the cluster')

const entry = (key: string, value: Json, revision: number, created = revision): Entry => ({
  key,
  value,
  revision,
  created,
})
const put = (key: string, value: Json, created: number): Observed => ({ key, value, created })
const gone = (key: string): Observed => ({ key, value: null, created: 0 })

const KEY = partitionKey('T', 0)
const record = (leader = 1, epoch = 5): Json => toRecord(partition({ leader, epoch, by: 'i' }))
const topic: Json = { name: 'a.b', id: 'T', partitions: 1, configs: {} }
const broker = (incarnation: string, over: object = {}): Json =>
  ({ incarnation, dir: 'd', ...over }) as Json

/** At revision 10: a topic with one partition, and broker 1, unfenced. */
function filled(): ClusterImage {
  const image = new ClusterImage()
  image.reset(10, [
    entry('topics/a_b', topic, 3),
    entry(KEY, record(), 2),
    entry('brokers/1', broker('x'), 4),
    entry('unfenced/1', { epoch: 4 }, 5),
    entry('configs/topics/a', {}, 6),
  ])
  return image
}

const summary = (diff: ImageDiff) => ({
  partitions: diff.partitions.map(p => [p.key, p.old?.leader ?? null, p.now?.leader ?? null]),
  brokers: diff.brokers.map(b => [b.id, b.wasUnfenced, b.isUnfenced]),
  topics: diff.topics.map(t => [t.name, t.old !== null, t.now !== null]),
  keys: diff.keys,
})

test('a list makes all of it', () => {
  const image = filled()
  assert.is(image.revision, 10)
  assert.is(image.topic('a.b')?.id, 'T')
  assert.is(image.topicById('T')?.name, 'a.b')
  assert.is(image.partition('T', 0)?.leader, 1)
  assert.is(image.broker(1)?.epoch, 4)
  assert.is(image.unfenced(1), 5)
  assert.is(image.entry('configs/topics/a')?.revision, 6)
  assert.equal(
    [...image.partitionsOn(2)].map(({ key }) => key),
    [KEY],
  )
})

test('an event changes what it names, and says what was there before', () => {
  const image = filled()
  const diff = image.apply({ revision: 11, changes: [put(KEY, record(2, 6), 2)] })
  assert.equal(summary(diff).partitions, [[KEY, 1, 2]])
  assert.is(image.partition('T', 0)?.revision, 11)
  assert.is(image.revision, 11)
})

test('what was learnt ahead of the watch is not taken back by it, nor told twice', () => {
  const image = filled()
  image.learn([entry(KEY, record(3, 7), 12, 2)])
  const diff = image.apply({ revision: 11, changes: [put(KEY, record(2, 6), 2)] })
  assert.equal(summary(diff).partitions, [])
  assert.is(image.partition('T', 0)?.leader, 3)
  const again = image.apply({ revision: 12, changes: [put(KEY, record(3, 7), 2)] })
  assert.equal(summary(again).partitions, [])
})

test('a list takes away what is not in it, but nothing that is newer', () => {
  const image = filled()
  image.learn([entry('brokers/2', broker('y'), 30)])
  const diff = image.reset(20, [entry('topics/a_b', topic, 3), entry(KEY, record(), 2)])
  assert.is(image.broker(1), null)
  assert.is(image.unfenced(1), 0)
  assert.is(image.broker(2)?.epoch, 30)
  assert.equal(summary(diff).brokers, [[1, true, false]])
  assert.equal(summary(diff).keys, ['configs/topics/a'])
})

test('a key whose deletion was learnt is not brought back by an older list', () => {
  const image = filled()
  image.learn([{ key: 'unfenced/1', value: null, revision: 15 }])
  assert.is(image.unfenced(1), 0)
  image.reset(14, [entry('brokers/1', broker('x'), 4), entry('unfenced/1', { epoch: 4 }, 5)])
  assert.is(image.unfenced(1), 0)
  image.apply({ revision: 16, changes: [put('unfenced/1', { epoch: 4 }, 16)] })
  assert.is(image.unfenced(1), 16)
})

test('what is learnt after the watch has told of it is old: what was deleted since stays so', () => {
  const image = filled()
  image.apply({ revision: 12, changes: [gone('unfenced/1')] })
  image.learn([entry('unfenced/1', { epoch: 4 }, 11)])
  assert.is(image.unfenced(1), 0)
})

test('what a transaction has told: what it wrote, what stood in its way, and what was not there', () => {
  const image = filled()
  const compares = [
    { key: KEY, revision: 2 },
    { key: 'unfenced/1', created: 5 },
    { key: 'unfenced/2', created: 0 },
  ]
  const changes = [
    { key: KEY, value: record(2, 6) },
    { key: 'unfenced/1', value: null },
    { key: 'unfenced/2', value: { epoch: 9 } },
  ]
  const outcome = { outcome: 'applied', revision: 20 } as const
  assert.equal(knownBy(image, compares, changes, outcome), [
    entry(KEY, record(2, 6), 20, 2),
    { key: 'unfenced/1', value: null, revision: 20 },
    entry('unfenced/2', { epoch: 9 }, 20),
  ])
  const now = [entry(KEY, record(3, 7), 18, 2)]
  const refused = { outcome: 'refused', revision: 21, now } as const
  image.learn(knownBy(image, compares, changes, refused))
  assert.is(image.partition('T', 0)?.leader, 3)
  assert.is(image.unfenced(1), 0)
  assert.equal(knownBy(image, compares, changes, { outcome: 'unknown' }), [])
})

test('a broker is unfenced by what was written for the registration that it has', () => {
  const image = filled()
  const diff = image.apply({ revision: 11, changes: [put('brokers/1', broker('z'), 11)] })
  assert.is(image.unfenced(1), 0)
  assert.equal(summary(diff).brokers, [[1, true, false]])
  image.apply({
    revision: 12,
    changes: [put('brokers/1', broker('z', { failed: ['T/0'], draining: true }), 11)],
  })
  image.apply({ revision: 13, changes: [put('unfenced/1', { epoch: 11 }, 13)] })
  const view = image.view(KEY)
  assert.equal(view.unfenced(1), { epoch: 11, incarnation: 'z', created: 13 })
  assert.ok(view.draining(1))
  assert.ok(view.failed(1))
  assert.not(image.view(partitionKey('T', 1)).failed(1))
})

test('records come with their topic and go with it', () => {
  const image = new ClusterImage()
  const early = image.apply({ revision: 1, changes: [put(KEY, record(), 1)] })
  assert.equal(summary(early).partitions, [], 'no topic has it yet')
  const created = image.apply({ revision: 2, changes: [put('topics/a_b', topic, 2)] })
  assert.equal(summary(created).partitions, [[KEY, null, 1]])
  assert.equal(summary(created).topics, [['a.b', false, true]])
  const deleted = image.apply({ revision: 3, changes: [gone('topics/a_b')] })
  assert.equal(summary(deleted).partitions, [[KEY, 1, null]])
  const rest = image.apply({ revision: 4, changes: [gone(KEY)] })
  assert.equal(summary(rest).partitions, [])
  assert.equal([...image.partitionsOn(1)], [])
})

test('a topic that was made anew under its name has other partitions', () => {
  const image = filled()
  const newTopic: Json = { name: 'a.b', id: 'U', partitions: 1, configs: {} }
  const newKey = partitionKey('U', 0)
  const diff = image.reset(20, [entry('topics/a_b', newTopic, 18), entry(newKey, record(3), 17)])
  assert.equal(summary(diff).partitions, [
    [KEY, 1, null],
    [newKey, null, 3],
  ])
  assert.is(image.topicById('T'), null)
})

test('whichever way the same things are told, the image is the same', () => {
  const inOrder = filled()
  inOrder.apply({ revision: 11, changes: [put(KEY, record(2, 6), 2), gone('configs/topics/a')] })
  inOrder.apply({ revision: 12, changes: [gone('unfenced/1')] })
  const byList = filled()
  byList.learn([{ key: 'unfenced/1', value: null, revision: 12 }])
  byList.reset(12, [
    entry('topics/a_b', topic, 3),
    entry(KEY, record(2, 6), 11, 2),
    entry('brokers/1', broker('x'), 4),
  ])
  for (const key of ['topics/a_b', KEY, 'brokers/1', 'unfenced/1', 'configs/topics/a']) {
    assert.equal(byList.entry(key), inOrder.entry(key), key)
  }
  assert.equal(byList.partition('T', 0), inOrder.partition('T', 0))
})

test.run()
