import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import { GROUP_BYTES, GroupMemory, OFFSET_BYTES, PROTOCOL_BYTES } from '../../src/groups/memory.ts'
import { GroupOffsets, NO_EXPIRY } from '../../src/groups/offsets.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { leaveGroupApi } from '../../src/protocol/messages/13-leave-group.ts'
import { deleteGroupsApi } from '../../src/protocol/messages/42-delete-groups.ts'
import { beat, join, joined } from '../apis/grouping.ts'
import { Wire } from '../apis/wire.ts'
import { GroupWorld } from '../lib/group-world.ts'
import { until } from '../lib/until.ts'
import { ClassicDriver, SESSION_MS } from './classic-driver.ts'

const test = suite('what members of groups take in memory')

const says = (bytes: number) => [{ name: 'range', metadata: Buffer.alloc(bytes) }]
/** The coordinator does this after everything that happens to a group. */
function counted(memory: GroupMemory, group: { heldBytes: number }, entry: { heldBytes: number }) {
  memory.set(entry, group.heldBytes)
  return memory.usedBytes
}

test('a join past the bound is to come again, one that says no more than before is taken', () => {
  const driver = new ClassicDriver()
  const entry = { heldBytes: 0 }
  let lines = 0
  driver.memory = new GroupMemory(100_000, () => lines++)
  const first = driver.joinNew({ protocols: says(60_000) }).value
  assert.is(first.errorCode, ErrorCode.NONE)
  assert.ok(counted(driver.memory, driver.group, entry) > 60_000)
  const { errorCode } = driver.join({ protocols: says(60_000), version: 3 }).value
  assert.is(errorName(errorCode), 'COORDINATOR_LOAD_IN_PROGRESS')
  driver.join({ protocols: says(60_000), version: 3 })
  assert.is(lines, 1, 'it is said once')
  const { memberId } = first
  assert.is(driver.join({ memberId, protocols: says(60_000) }).value.errorCode, ErrorCode.NONE)
  driver.group.leave(memberId, null, null)
  assert.is(counted(driver.memory, driver.group, entry), 0)
  assert.is(driver.joinNew({ protocols: says(60_000) }).value.errorCode, ErrorCode.NONE)
})

test('protocols count by their number too', () => {
  const driver = new ClassicDriver()
  const many = Array.from({ length: (1024 * 1024) / PROTOCOL_BYTES }, (_, i) => ({
    name: `p${i}`,
    metadata: Buffer.alloc(0),
  }))
  assert.is(driver.join({ protocols: many }).value.errorCode, ErrorCode.INVALID_REQUEST)
})

test('a member of the consumer protocol past the bound is to come again', () => {
  const world = new GroupWorld()
  const entry = { heldBytes: 0 }
  world.memory = new GroupMemory(100_000, () => {})
  const names = Array.from({ length: 300 }, (_, i) => `topic-${i}`)
  world.enter('a', names)
  assert.ok(counted(world.memory, world.group, entry) > 20_000)
  world.enter('b', names)
  counted(world.memory, world.group, entry)
  assert.throws(
    () => world.enter('c', names),
    (e: { errorCode: number }) => e.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  )
  world.heartbeat({ memberId: 'a', memberEpoch: -1 })
  counted(world.memory, world.group, entry)
  world.enter('c', names)
  for (const memberId of ['b', 'c']) world.heartbeat({ memberId, memberEpoch: -1 })
  assert.is(world.group.heldBytes, 0)
})

test('offsets count as long as they are there, and their metadata', () => {
  const offsets = new GroupOffsets('g')
  const value = {
    ...{ offset: 1, leaderEpoch: -1, metadata: 'x'.repeat(100) },
    ...{ commitTimestamp: 0, expireTimestamp: NO_EXPIRY, topicId: ZERO_UUID },
  }
  assert.is(offsets.growth('t', 0, value), OFFSET_BYTES + 100)
  offsets.apply(offsets.record('t', 0, value))
  offsets.apply(offsets.record('t', 1, value))
  assert.is(offsets.bytes, 2 * (OFFSET_BYTES + 100))
  assert.is(offsets.growth('t', 0, { ...value, metadata: '' }), -100)
  for (const record of offsets.tombstones()) offsets.apply(record)
  assert.is(offsets.bytes, 0)
})

test('a commit past the bound is to come again, one of before is taken; what is deleted makes room', async () => {
  const wire = await Wire.start()
  try {
    await wire.createTopic('t')
    const memory = wire.node.groups.offsetMemory
    const commit = async (groupId: string) => {
      const partitions = [{ partitionIndex: 0, committedOffset: 7 }]
      const { topics } = await wire.client.send(offsetCommitApi, 8, {
        groupId,
        topics: [{ name: 't', partitions }],
      })
      return errorName(topics[0]!.partitions[0]!.errorCode)
    }
    assert.is(await commit('first'), 'NONE')
    const taken = memory.usedBytes
    assert.ok(taken >= GROUP_BYTES + OFFSET_BYTES)
    const filler = { heldBytes: 0 }
    memory.set(filler, 1e12)
    assert.is(await commit('second'), 'COORDINATOR_LOAD_IN_PROGRESS')
    assert.is(await commit('first'), 'NONE')
    const groupsNames = ['first']
    await wire.client.send(deleteGroupsApi, 2, { groupsNames })
    memory.set(filler, 0)
    assert.is(memory.usedBytes, 0, 'a group that was refused leaves nothing')
    assert.is(await commit('second'), 'NONE')
  } finally {
    await wire.close()
  }
})

test('a join whose client is gone is let go within its session, and the others go on', () => {
  const driver = new ClassicDriver()
  const stays = driver.joinNew().value.memberId
  const gone = driver.joinNew({ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: 60_000 })
  assert.ok(gone.isWaiting)
  driver.group.abandon(gone.reply)
  assert.is(driver.group.size, 2)
  while (driver.group.size === 2 && driver.time < SESSION_MS) {
    driver.group.heartbeat(stays, null, 1)
    driver.pass(SESSION_MS / 10)
  }
  assert.equal(
    [...driver.group.members].map(m => m.memberId),
    [stays],
  )
})

test('a join whose client is gone is not let go if it is back in time', () => {
  const driver = new ClassicDriver()
  const stays = driver.joinNew().value.memberId
  const { memberId } = driver.join().value
  const gone = driver.join({ memberId, rebalanceTimeoutMs: 60_000 })
  driver.group.abandon(gone.reply)
  driver.pass(SESSION_MS / 2)
  const again = driver.join({ memberId, rebalanceTimeoutMs: 60_000 })
  for (let i = 0; i < 20; i++) {
    driver.group.heartbeat(stays, null, 1)
    driver.pass(SESSION_MS / 10)
  }
  assert.ok(again.isWaiting)
  assert.is(driver.group.size, 2)
})

test('over the wire: joins are taken up to 128 MiB, and what they take comes back when their clients are gone', async () => {
  const wire = await Wire.start({
    groupInitialRebalanceDelayMs: 60_000,
    groupMinSessionTimeoutMs: 1,
    offsetsTopicNumPartitions: 1,
  })
  const { memory } = wire.node.groups
  const says1s = { protocols: says(1_000_000), sessionTimeoutMs: 1_000 }
  const others = { heldBytes: 0 }
  const room = 128 * 1024 * 1024 - 1_500_000
  memory.set(others, room)
  const client = await wire.connect()
  const gone = Promise.allSettled([join(wire.over(client), 'parked', says1s, 1)])
  await until(() => memory.usedBytes > room, 10_000)
  const { errorCode } = await join(wire, 'one-more', says1s, 1)
  assert.is(errorName(errorCode), 'COORDINATOR_LOAD_IN_PROGRESS')
  await client.close()
  await gone
  await until(() => memory.usedBytes === room, 10_000)
  await wire.close()
})

test('over the wire: members of both protocols are counted, also after a restart, until they leave', async () => {
  let wire = await Wire.start({ groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 1 })
  await wire.createTopic('topic', 3)
  const { memberId } = await joined(wire, 'classic', 'topic')
  await beat(wire, 'consumer', 'm', 0)
  const held = () =>
    ['classic', 'consumer'].map(
      id => (wire.node.groups.entry(id)!.entry.group as ClassicGroup).heldBytes,
    )
  const used = wire.node.groups.memory.usedBytes
  const [, consumer] = held()
  assert.is(
    used,
    held().reduce((a, b) => a + b),
  )
  wire = await wire.restart()
  assert.is(held()[1], consumer)
  assert.is(
    wire.node.groups.memory.usedBytes,
    held().reduce((a, b) => a + b),
  )
  await wire.send(leaveGroupApi, 1, { groupId: 'classic', memberId })
  await beat(wire, 'consumer', 'm', -1)
  assert.is(wire.node.groups.memory.usedBytes, 0)
  await wire.close()
})

test.run()
