import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { leaveGroupApi } from '../../src/protocol/messages/13-leave-group.ts'
import { beat, commit, committed, joined } from '../apis/grouping.ts'
import { Wire } from '../apis/wire.ts'
import { rawBatch } from '../lib/odd-batch.ts'

const test = suite('what is kept of groups')
const OPTIONS = { groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 1 }

test('a log that is written anew has everything that is true, and starts there', async () => {
  let wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic', 2)
  const { memberId, generationId } = await joined(wire, 'classic', 'topic')
  const { memberEpoch } = await beat(wire, 'consumer', 'm', 0)
  for (let i = 0; i < 50; i++) assert.is(await commit(wire, 'simple', 'topic', i), 0)
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  assert.is(await commit(wire, 'classic', 'topic', 7, over), 0)
  const [shard] = wire.node.groups.shards
  await Promise.all([shard!.compaction.run(), commit(wire, 'simple', 'topic', 99)])
  const partition = wire.node.registry.partition('__consumer_offsets', 0)!
  assert.ok(partition.logStartOffset >= 50, `it starts at ${partition.logStartOffset}`)
  wire = await wire.restart()
  assert.equal(await committed(wire, 'simple'), { 'topic-0': 99 })
  assert.equal(await committed(wire, 'classic'), { 'topic-0': 7 })
  assert.is(await commit(wire, 'classic', 'topic', 8, over), 0)
  assert.is((await beat(wire, 'consumer', 'm', memberEpoch)).errorCode, 0)
  await wire.close()
})

test('a batch that no coordinator has written and nobody can read keeps no group from being loaded', async () => {
  let wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'before', 'topic', 1), 0)
  const partition = wire.node.registry.partition('__consumer_offsets', 0)!
  // As it got there when clients could write to the topic.
  partition.append(rawBatch({}, Buffer.from('no records at all')), null, 0)
  assert.is(await commit(wire, 'behind', 'topic', 2), 0)
  wire = await wire.restart()
  assert.equal(await committed(wire, 'before'), { 'topic-0': 1 })
  assert.equal(await committed(wire, 'behind'), { 'topic-0': 2 })
  await wire.close()
})

test('the cleaner leaves the log to its coordinator', async () => {
  const wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  await commit(wire, 'simple', 'topic', 1)
  const { registry } = wire.node
  const topic = registry.topic('__consumer_offsets')!
  const small = { 'segment.ms': '1', 'min.cleanable.dirty.ratio': '0' }
  await registry.setConfigs(topic, configs => ({ ...configs, ...small }))
  for (let i = 2; i < 5; i++) await commit(wire, 'simple', 'topic', i)
  assert.ok(topic.partitions[0]!.reader.segments.length > 1, 'there would be something to do')
  assert.equal(await registry.rounds.cleanable(() => assert.unreachable()), [])
  await wire.close()
})

test('a group that its members have left is there after a restart, until it expires', async () => {
  let wire = await Wire.start({ ...OPTIONS, offsetsRetentionMinutes: 1 })
  const { memberId, generationId } = await joined(wire, 'left', 'topic')
  await wire.send(leaveGroupApi, 1, { groupId: 'left', memberId })
  wire = await wire.restart()
  const group = wire.node.groups.entry('left')!.entry.group as ClassicGroup
  assert.equal([group.state, group.generation], ['Empty', generationId + 1])
  wire.node.groups.expire()
  assert.is(wire.node.groups.entry('left'), undefined)
  wire = await wire.restart()
  assert.is(wire.node.groups.entry('left'), undefined)
  await wire.close()
})

test('offsets expire: of an empty group, of topics that its members do not consume, not of the others', async () => {
  const wire = await Wire.start({ ...OPTIONS, offsetsRetentionMinutes: 1 })
  for (const topic of ['topic', 'other']) await wire.createTopic(topic)
  assert.is(await commit(wire, 'simple', 'topic', 1), 0)
  const { memberId, generationId } = await joined(wire, 'busy', 'topic')
  const over = { memberId, generationIdOrMemberEpoch: generationId }
  for (const topic of ['topic', 'other']) assert.is(await commit(wire, 'busy', topic, 1, over), 0)
  const realNow = Date.now
  try {
    wire.node.groups.expire()
    assert.equal(await committed(wire, 'simple'), { 'topic-0': 1 })
    Date.now = () => realNow() + 61_000
    wire.node.groups.expire()
  } finally {
    Date.now = realNow
  }
  assert.equal(await committed(wire, 'simple'), {})
  assert.is(wire.node.groups.entry('simple'), undefined, 'a group without anything is gone')
  assert.equal(await committed(wire, 'busy'), { 'topic-0': 1 })
  await wire.close()
})

test('an offset committed with a retention of its own (v2-4) expires by that', async () => {
  const wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'short', 'topic', 1, { retentionTimeMs: 1 }, 4), 0)
  const until = Date.now() + 2
  while (Date.now() < until) {}
  wire.node.groups.expire()
  assert.equal(await committed(wire, 'short'), {})
  await wire.close()
})

test('when the offsets topic is deleted its groups are gone, and the next one makes it anew', async () => {
  const wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'g', 'topic', 1), 0)
  await wire.node.registry.delete(wire.node.registry.topic('__consumer_offsets')!)
  assert.equal(await committed(wire, 'g'), {})
  assert.is(await commit(wire, 'g', 'topic', 2), 0)
  assert.equal(await committed(wire, 'g'), { 'topic-0': 2 })
  await wire.close()
})

test('commits of many clients share batches, and all are there', async () => {
  const wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  await commit(wire, 'g0', 'topic', 0)
  const partition = wire.node.registry.partition('__consumer_offsets', 0)!
  const bytes = partition.reader.size
  const clients = await Promise.all(Array.from({ length: 20 }, () => wire.connect()))
  const codes = await Promise.all(
    clients.map((client, i) => commit(wire.over(client), `g${i}`, 'topic', i + 1)),
  )
  assert.equal([...new Set(codes)], [0])
  assert.ok(partition.reader.size - bytes < 20 * 150, 'fewer batches than commits')
  for (let i = 0; i < 20; i++) assert.equal(await committed(wire, `g${i}`), { 'topic-0': i + 1 })
  for (const client of clients) await client.close()
  await wire.close()
})

test('a log with records that nobody knows, or that are broken, does not lose the others', async () => {
  let wire = await Wire.start(OPTIONS)
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'g', 'topic', 5), 0)
  const { encodeBatch } = await import('../../src/protocol/records.ts')
  const unknown = Buffer.from([0, 99, 1, 2, 3])
  const batch = await encodeBatch([
    { timestamp: 1, key: unknown, value: unknown },
    { timestamp: 1, key: null, value: unknown },
  ])
  const partition = wire.node.registry.partition('__consumer_offsets', 0)!
  assert.ok(partition.append(batch, null, 0))
  assert.is(await commit(wire, 'h', 'topic', 6), 0)
  wire = await wire.restart()
  assert.equal(await committed(wire, 'g'), { 'topic-0': 5 })
  assert.equal(await committed(wire, 'h'), { 'topic-0': 6 })
  const topics = [{ name: 'topic', partitionIndexes: [0] }]
  const answer = await wire.send(offsetFetchApi, 1, { groupId: 'g', topics })
  assert.is(answer.topics[0]!.partitions[0]!.committedOffset, 5)
  await wire.close()
})

test('a log that cannot be read has no coordinator, instead of groups without offsets', async () => {
  let wire = await Wire.start({ ...OPTIONS, offsetsTopicNumPartitions: 50 })
  await wire.createTopic('topic')
  for (const group of ['a', 'b']) assert.is(await commit(wire, group, 'topic', 5), 0)
  const { encodeBatch } = await import('../../src/protocol/records.ts')
  const broken = await encodeBatch([{ timestamp: 1, key: Buffer.from([0, 1, 0, 50]), value: null }])
  const { groups, registry } = wire.node
  const partition = registry.partition('__consumer_offsets', groups.partitionFor('a'))!
  assert.ok(partition.append(broken, null, 0))
  wire = await wire.restart()
  const topics = [{ name: 'topic', partitionIndexes: [0] }]
  const fetch = (groupId: string) => wire.send(offsetFetchApi, 7, { groupId, topics })
  assert.is(errorName((await fetch('a')).errorCode), 'COORDINATOR_NOT_AVAILABLE')
  assert.is(errorName(await commit(wire, 'a', 'topic', 6)), 'COORDINATOR_NOT_AVAILABLE')
  assert.is((await fetch('b')).topics[0]!.partitions[0]!.committedOffset, 5)
  await wire.close()
})

test.run()
