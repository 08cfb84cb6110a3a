import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { consumerProtocolAssignment } from '../../src/protocol/consumer-protocol.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { beat, commit, committed, join, joined, subscription } from '../apis/grouping.ts'
import type { Wire } from '../apis/wire.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek group')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram({ groupInitialRebalanceDelayMs: 0 }))
})
test.after(() => wire.close())

function assignment(topic: string, ...partitions: number[]): Buffer {
  const writer = new Writer()
  writer.int16(1)
  consumerProtocolAssignment.encode(writer, 1, { assignedPartitions: [{ topic, partitions }] })
  return Buffer.concat(writer.chunks())
}

test('list shows groups with their types and states', async () => {
  await wire.createTopic('listed')
  await commit(wire, 'l-empty', 'listed', 0)
  await joined(wire, 'l-classic', 'listed')
  await beat(wire, 'l-consumer', 'member-1', 0, { subscribedTopicNames: ['listed'] })
  const found = await cli.json(['group', 'list'])
  const own = found.filter((g: { group: string }) => g.group.startsWith('l-'))
  assert.equal(
    own.map((g: Record<string, string>) => [g.group, g.type, g.state]),
    [
      ['l-classic', 'classic', 'Stable'],
      ['l-consumer', 'consumer', 'Stable'],
      ['l-empty', 'classic', 'Empty'],
    ],
  )
  assert.match(
    await cli.ok(['group', 'list']),
    /^GROUP +TYPE +STATE +PROTOCOL +MEMBERS +LAG\n[\s\S]*l-classic +classic +Stable/,
  )
})

test('list shows how many members each group has, and how far it is behind', async () => {
  await wire.createTopic('behind')
  await wire.produce('behind', 10)
  await commit(wire, 'm-behind', 'behind', 4)
  await joined(wire, 'm-busy', 'behind')
  const found = await cli.json(['group', 'ls'])
  const own = found.filter((g: { group: string }) => g.group.startsWith('m-'))
  assert.equal(
    own.map((g: Record<string, unknown>) => [g.group, g.members, g.lag]),
    [
      ['m-behind', 0, 6],
      ['m-busy', 1, null],
    ],
  )
})

test('describe shows lag and members of a classic group', async () => {
  await wire.createTopic('topic', 2)
  await wire.produce('topic', 10)
  const protocols = [{ name: 'range', metadata: subscription('topic') }]
  const { memberId } = await join(wire, 'classic', { protocols })
  const { generationId } = await join(wire, 'classic', { memberId, protocols })
  await wire.send(syncGroupApi, 3, {
    ...{ groupId: 'classic', memberId, generationId },
    assignments: [{ memberId, assignment: assignment('topic', 0, 1) }],
  })
  await commit(wire, 'classic', 'topic', 4, { memberId, generationIdOrMemberEpoch: generationId })
  const [found] = await cli.json(['group', 'describe', 'classic'])
  assert.is(found.state, 'Stable')
  assert.is(found.lag, 6)
  assert.equal(found.partitions, [
    { topic: 'topic', partition: 0, committed: 4, end: 10, lag: 6, member: memberId },
    { topic: 'topic', partition: 1, committed: null, end: 0, lag: null, member: memberId },
  ])
  const text = await cli.ok(['group', 'describe', 'classic'])
  assert.match(text, /^classic {2}Stable, classic group, range, 1 member, lag 6\nTOPIC +PARTITION/)
  assert.match(text, /\ntopic +0 +4 +10 +6 +\S+\ntopic +1 +- +0 +- +\S+\nMEMBER/)
})

test('describe shows a group of the consumer protocol', async () => {
  await wire.createTopic('modern', 3)
  await beat(wire, 'modern', 'm-1', 0, { subscribedTopicNames: ['modern'] })
  const [found] = await cli.json(['group', 'describe', 'modern'])
  assert.is(found.type, 'consumer')
  assert.is(found.members[0].id, 'm-1')
  assert.equal(found.members[0].assigned, [{ topic: 'modern', partitions: [0, 1, 2] }])
})

test('describe shows a group whose assignments are no list of partitions, and says which group is not there', async () => {
  await wire.createTopic('opaque')
  await joined(wire, 'odd', 'opaque')
  const [odd] = await cli.json(['group', 'describe', 'odd'])
  assert.is(odd.members[0].assigned, null)
  await cli.fails(1, /group nobody does not exist/, ['group', 'describe', 'nobody'])
})

test('seek shows what would change, and changes it only with --execute', async () => {
  await wire.createTopic('sought', 2)
  await wire.produce('sought', 10)
  await commit(wire, 'seeker', 'sought', 4)
  const seek = ['group', 'seek', 'seeker', 'sought', '-o', 'beginning']
  const text = await cli.ok(seek)
  assert.match(text, /sought +0 +4 +0\nsought +1 +- +0\nNothing is changed: add --execute/)
  assert.equal(await committed(wire, 'seeker'), { 'sought-0': 4 })
  const done = await cli.json([...seek, '--execute'])
  assert.ok(done.executed)
  assert.equal(await committed(wire, 'seeker'), { 'sought-0': 0, 'sought-1': 0 })
})

test('seek goes to the end, to an offset, to so many before the end, and to a time', async () => {
  await wire.createTopic('places')
  const now = Date.now()
  for (const ago of [3, 2, 1]) {
    await wire.append('places', [{ timestamp: now - ago * 3_600_000, value: null }])
  }
  await commit(wire, 'g', 'places', 0)
  const seek = async (...to: string[]): Promise<number> => {
    await cli.ok(['group', 'seek', 'g', ...to, '--execute'])
    return (await committed(wire, 'g'))['places-0']!
  }
  assert.is(await seek('-o', 'end'), 3)
  assert.is(await seek('places', '-p', '0', '-o', '1'), 1)
  assert.is(await seek('-o', '-1'), 2)
  assert.is(await seek('--from', '150m'), 1)
  await cli.fails(1, /offsets 0 to 3, not 9/, ['group', 'seek', 'g', '-o', '9', '--execute'])
})

test('a group with members is not moved and not deleted', async () => {
  await wire.createTopic('held')
  await joined(wire, 'busy', 'held')
  const seek = ['group', 'seek', 'busy', 'held', '-o', 'end', '--execute']
  await cli.fails(1, /group busy has 1 member \(Stable\): stop its consumers first/, seek)
  await cli.fails(1, /group busy has members: stop its consumers first/, [
    'group',
    'delete',
    'busy',
  ])
  await cli.fails(2, /where to\? give --offset, --from/, ['group', 'seek', 'busy'])
})

test('delete removes a group with its offsets, and says which is not there', async () => {
  await wire.createTopic('deleted')
  await commit(wire, 'leaves', 'deleted', 0)
  const both = await cli.run(['group', 'delete', 'leaves', 'never'])
  assert.equal(both, {
    code: 1,
    stdout: 'leaves deleted\n',
    stderr: 'odradek: group never does not exist\n',
  })
  assert.equal(await committed(wire, 'leaves'), {})
})

test('delete --offsets deletes what is committed for a topic, and leaves the rest', async () => {
  await wire.createTopic('first')
  await wire.createTopic('second')
  await commit(wire, 'both', 'first', 0)
  await commit(wire, 'both', 'second', 0)
  const remove = ['group', 'delete', 'both', '--offsets']
  await cli.fails(1, /both has committed nothing for first/, [...remove, 'first', '-p', '3'])
  assert.is(await cli.ok([...remove, 'first']), '1 offset of both deleted\n')
  assert.equal(await committed(wire, 'both'), { 'second-0': 0 })
  await cli.fails(2, /-p goes with --offsets/, ['group', 'delete', 'both', '-p', '0'])
})

test('seek goes to where another group is', async () => {
  await wire.createTopic('leading', 2)
  await wire.produce('leading', 10)
  await commit(wire, 'leader', 'leading', 7)
  await commit(wire, 'follower', 'leading', 1)
  const seek = ['group', 'seek', 'follower', '--to-group', 'leader']
  assert.match(await cli.ok(seek), /leading +0 +1 +7\nNothing is changed/)
  await cli.ok([...seek, '--execute'])
  assert.equal(await committed(wire, 'follower'), { 'leading-0': 7 })
  await cli.fails(1, /group nobody has committed nothing/, [...seek.slice(0, 4), 'nobody'])
})

test('seek goes to the offsets of a file, as describe --json and Kafka\u2019s own tools write them', async () => {
  await wire.createTopic('kept', 2)
  await wire.produce('kept', 10)
  await commit(wire, 'keeper', 'kept', 3)
  const saved = await cli.ok(['group', 'describe', 'keeper', '--json'])
  const seek = ['group', 'seek', 'keeper', '--to-file', '-', '--execute']
  await cli.ok(seek, { input: 'kept,0,5\n"kept",1,0\n' })
  assert.equal(await committed(wire, 'keeper'), { 'kept-0': 5, 'kept-1': 0 })
  await cli.ok(seek, { input: saved })
  assert.equal(await committed(wire, 'keeper'), { 'kept-0': 3, 'kept-1': 0 })
  await cli.fails(1, /stdin line 1: it must be TOPIC,PARTITION,OFFSET/, seek, { input: 'kept,5' })
  await cli.fails(1, /kept partition 0 ends at 10, before the committed offset 11/, seek, {
    input: 'kept,0,11',
  })
  await cli.fails(1, /\/no\/such\/file cannot be read/, [...seek.slice(0, 4), '/no/such/file'])
})

test.run()
