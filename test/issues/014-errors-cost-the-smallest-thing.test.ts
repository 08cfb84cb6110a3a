import { once } from 'node:events'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { commit, joined } from '../apis/grouping.ts'
import { Wire } from '../apis/wire.ts'
import { metadata } from '../attack/attacks.ts'
import { Bytes } from '../attack/bytes.ts'

// What nobody expected, in reading a request or in a timer of groups, ended the process.
const test = suite('an error costs the smallest thing that it is about')
const OPTIONS = { groupInitialRebalanceDelayMs: 0, groupMinSessionTimeoutMs: 1 }
let wire: Wire
let lines: { err: Error; message: string }[]
let logged: Promise<void>

const planted = (): never => {
  throw new TypeError('planted')
}

test.before.each(async () => {
  wire = await Wire.start({ ...OPTIONS, offsetsTopicNumPartitions: 2 })
  lines = []
  logged = new Promise(resolve => {
    wire.node.log.error = (({ err }: { err: Error }, message: string) => {
      lines.push({ err, message })
      resolve()
    }) as typeof wire.node.log.error
  })
})

test.after.each(() => wire.close())

/** One line, with the stack, and others are served. */
async function costsOneLine(message: RegExp): Promise<void> {
  assert.is(lines.length, 1)
  assert.match(lines[0]!.message, message)
  assert.match(lines[0]!.err.stack!, /planted/)
  assert.is((await wire.send(apiVersionsApi, 0, {})).errorCode, 0)
}

for (const [what, names] of [
  ['at once', 1],
  ['in pieces', 20_000],
] as const) {
  test(`a request that is read ${what}`, async () => {
    const { apis } = wire.node
    const handler = apis[metadataApi.request.apiKey]!
    const { request } = handler
    const broken = Object.create(request, {
      decode: { value: names === 1 ? planted : request.decode.bind(request) },
      decodeInPieces: { value: planted },
    }) as typeof request
    wire.node.apis = { ...apis, [metadataApi.request.apiKey]: { ...handler, request: broken } }
    const socket = connect(wire.node.endpoint('PLAINTEXT'))
    socket.resume().write(
      metadata(
        new Bytes().repeat(names, b => b.string('x')),
        names,
      ),
    )
    await once(socket, 'close')
    await costsOneLine(/a request cannot be read/)
  })
}

test('the deadline of a group', async () => {
  await wire.createTopic('topic')
  await joined(wire, 'broken', 'topic')
  const { group } = wire.node.groups.entry('broken')!.entry
  group.onTime = planted
  // It asks to be called at once.
  Object.defineProperty(group, 'deadline', { get: () => 0 })
  assert.is(await commit(wire, 'other', 'topic', 1), 0)
  const { shard, entry } = wire.node.groups.entry('broken')!
  shard.run(entry, () => {})
  await logged
  await costsOneLine(/a group has failed/)
  assert.is(await commit(wire, 'other', 'topic', 2), 0)
})

test('the retention of offsets of one partition', async () => {
  await wire.createTopic('topic')
  assert.is(await commit(wire, 'any', 'topic', 1), 0)
  const [first, second] = wire.node.groups.shards
  let expired = 0
  // Of a group by itself: test/exceptions.
  first!.expire = planted
  second!.expire = () => {
    expired++
  }
  wire.node.groups.expire()
  assert.is(expired, 1)
  await costsOneLine(/offsets of this partition could not be expired/)
})

test('the offsets of a deleted topic, in one partition', async () => {
  const topic = await wire.createTopic('topic')
  assert.is(await commit(wire, 'any', 'topic', 1), 0)
  const [first, second] = wire.node.groups.shards
  const told: string[] = []
  first!.forgetTopic = planted
  second!.forgetTopic = name => told.push(name)
  await wire.node.registry.delete(topic)
  assert.equal(told, ['topic'])
  await costsOneLine(/offsets of a deleted topic/)
})

test('the writing of a group log', async () => {
  await wire.createTopic('topic')
  const { groups } = wire.node
  await groups.prepare()
  const inPartition = (index: number): string =>
    Array.from({ length: 50 }, (_, i) => `g${i}`).find(id => groups.partitionFor(id) === index)!
  groups.shards[0]!.log.partition.append = planted
  const code = await commit(wire, inPartition(0), 'topic', 1)
  assert.is(errorName(code), 'COORDINATOR_NOT_AVAILABLE')
  assert.is(await commit(wire, inPartition(1), 'topic', 1), 0)
  await costsOneLine(/the groups of this partition are offline/)
})

test.run()
